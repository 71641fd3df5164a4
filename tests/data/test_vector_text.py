"""Word vectors in text files, whole and broken."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.data import DataError, _vector_text, load_vectors


@pytest.fixture
def load(tmp_path):
    def load(content):
        path = tmp_path / "vectors.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_vectors(str(path))

    return load


@pytest.mark.parametrize(
    "content",
    [
        "the 1 -2.5 3e-2\n, 0.25 0 1E2\n",
        "the 1 -2.5 3e-2\n, 0.25 0 1E2",
        "2 3\nthe 1 -2.5 3e-2\n, 0.25 0 1E2\n",
        "2 3\nthe 1 -2.5 3e-2 \n, 0.25 0 1E2 \n",  # word2vec leaves a space at the end
        "the\t1\t-2.5\t3e-2\n,\t0.25\t0\t1E2\n",
        "\ufeffthe 1 -2.5 3e-2\r\n, 0.25 0 1E2\r\n\r\n\n",
        "\ufeff2 3\nthe  1 -2.5 +3e-2\n, .25 0  100.\n",
    ],
    ids=["glove", "no end of line", "word2vec", "trailing spaces", "tabs", "bom and crlf", "bom and header"],
)
def test_forms_of_the_same_file(load, content, tmp_path):
    vectors = load(content)
    assert dict(vectors.words) == {"the": 0, ",": 1}
    expected = np.array([[1, -2.5, 0.03], [0.25, 0, 100]], np.float32)
    assert vectors.matrix.dtype == np.float32
    np.testing.assert_array_equal(vectors.matrix, expected)
    assert vectors.dim == 3
    assert vectors.name == str(vectors.path) == str(tmp_path / "vectors.txt")


def test_words_may_contain_spaces_and_look_like_numbers(load):
    content = (
        '2004 1 2\n. . . 3 4\nat name@x.org 5 6\n3.5 7 8\na\u00a0b 9 10\n\u0085 11 12\n# 13 14\n" 15 16\n'
    )
    words = ["2004", ". . .", "at name@x.org", "3.5", "a\u00a0b", "\u0085", "#", '"']
    vectors = load(content)
    assert list(vectors.words) == words
    np.testing.assert_array_equal(vectors.matrix, np.arange(1, 17, dtype=np.float32).reshape(8, 2))


def test_the_first_line_may_be_of_several_words(load):
    assert list(load(". . 1 2\nthe 3 4\n").words) == [". .", "the"]


def test_the_first_of_equal_words_counts(load):
    vectors = load("a 1\nb 2\na 3\nc 4\n")
    assert dict(vectors.words) == {"a": 0, "b": 1, "c": 3}
    assert vectors.rows(["a", "c"]).tolist() == [[1], [4]]


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=" \t\r\n\v\f\ufeff"), min_size=1, max_size=6
)


@given(
    st.integers(1, 5).flatmap(
        lambda dim: st.dictionaries(
            WORDS, st.lists(FLOATS, min_size=dim, max_size=dim), min_size=1, max_size=20
        )
    ),
    st.booleans(),
    st.integers(1, 200),
)
def test_what_is_written_is_read_whatever_the_size_of_the_pieces(tmp_path_factory, rows, header, size):
    path = tmp_path_factory.mktemp("vectors") / "v.txt"
    dim = len(next(iter(rows.values())))
    lines = [" ".join([word, *map(repr, row)]) for word, row in rows.items()]
    if header or lines[0].replace(" ", "").isdigit():
        lines.insert(0, f"{len(rows)} {dim}")
    path.write_bytes("\n".join([*lines, ""]).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_vector_text, "_CHUNK_BYTES", size)
        vectors = load_vectors(str(path))
    assert list(vectors.words) == list(rows)
    np.testing.assert_array_equal(vectors.matrix, np.array(list(rows.values()), np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ":1: expected a word and the numbers of its vector, got ''"),
        ("\n", ":1: expected a word and the numbers"),
        ("the\n", ":1: expected a word and the numbers of its vector, got 'the'"),
        ("the 1 2 x\na 1 2 3\n", ":1: expected a word and the numbers"),
        ("the 1 x 2\na 1 2 3\n", ":1: expected a word and the numbers"),
        ("the 1 2\na 1\n", ":2: expected a word and 2 numbers, got 'a 1'"),
        ("the 1 2\n\na 1 2\n", ":2: expected a word and 2 numbers, got ''"),
        ("the 1 2\na 1 2 3\n", ":2: expected a word and 2 numbers, got more in 'a 1 2 3'"),
        ("the 1 2\na 1 x\n", ":2: expected 2 finite numbers, got 'x'"),
        ("the 1 2\n  1 2\n", ":2: expected a word"),
        ("the 1 2\n 2\n", ":2: expected a word and 2 numbers"),
        ("the 1 2\na 1 0x10\n", ":2: expected 2 finite numbers, got '0x10'"),
        ("the 1 2\na 1 2#3\n", ":2: expected 2 finite numbers, got '2#3'"),
        ("the 1 2\na 1 1_0\n", ":2: expected 2 finite numbers, got '1_0'"),
        ("the 1 2\na 1 3,5\n", ":2: expected 2 finite numbers, got '3,5'"),
        ("the 1 2\nb 3 4\na nan 1\n", ":3: expected 2 finite numbers, got 'nan'"),
        ("the 1 2\na 1 -inf\n", ":2: expected 2 finite numbers, got '-inf'"),
        ("the 1 2\na 1e39 2\n", ":2: expected 2 finite numbers, got '1e39'"),
        ("the nan 2\n", ":1: expected 2 finite numbers, got 'nan'"),
        (b"the 1 2\nal\xe9 1 2\n", ":2: expected a word in UTF-8"),
        ("3 2\nthe 1 2\na 1 2\n", ":1: expected 3 vectors, as this line says, got 2"),
        ("1 2\nthe 1 2\na 1 2\n", ":1: expected 1 vectors, as this line says, got 2"),
        ("2 0\n", ":1: expected vectors of length 1 or more, got 0"),
        ("2 99999999999\nthe 1 2\n", ":2: expected a word and 99999999999 numbers, got 'the 1 2'"),
        ("2 3\n", ": expected word vectors, got none"),
        ("2 2\nthe 1 2\na 1\n", ":3: expected a word and 2 numbers"),
        ("EU\tB-ORG\nrejects\tO\n", ":1: expected a word and the numbers"),
        (b"\x89PNG\r\n\x1a\n\x00", ":1: expected a word and the numbers"),
    ],
)
def test_a_malformed_file_raises_with_its_line(load, tmp_path, content, message):
    with pytest.raises(DataError) as caught:
        load(content)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(tmp_path / "vectors.txt") + message)


def test_the_line_is_right_in_a_later_piece(load, monkeypatch):
    monkeypatch.setattr(_vector_text, "_CHUNK_BYTES", 64)
    lines = [f"w{i} {i} 0.5" for i in range(100)]
    lines[77] = "w77 77 oops"
    with pytest.raises(DataError, match=r"txt:78: expected 2 finite numbers, got 'oops'$"):
        load("\n".join(lines))


def test_a_missing_file_and_a_folder_raise(tmp_path):
    with pytest.raises(DataError, match=r"none: cannot be read: No such file or directory$"):
        load_vectors(str(tmp_path / "none"))
    with pytest.raises(DataError, match=r": cannot be read: Is a directory$"):
        load_vectors(str(tmp_path))

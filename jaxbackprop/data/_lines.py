"""Files as lines of text: whole, or block by block where a file may be larger than memory."""

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from ._errors import DataError

# ASCII only: str.split and str.splitlines would also cut at U+0085, U+00A0, U+2028, which occur inside words.
SPACE = " \t\r\v\f"
# Some tools turn CR LF into CR CR LF: still one end, or each word would be a sentence.
_END = re.compile(r"\r*\n|\r")
# An end of old Macs behind which a block may be cut: what follows it is there, and no part of a longer end.
_OLD_END = re.compile(rb"\r(?=[^\r\n])")
_BOM = b"\xef\xbb\xbf"
_BLOCK = 1 << 20


def read_lines(path: str) -> list[str]:
    """The lines of a file in UTF-8, without the white space at their ends.

    Lines end in LF, CR LF or, as on old Macs, in CR alone; a byte order mark is skipped. A file whose name
    ends in .gz is decompressed.

    Raises:
        DataError: the file cannot be read or is not UTF-8.
    """
    return [line for block in read_blocks(path, -1) for line in block]


def read_blocks(path: str, size: int = _BLOCK) -> Iterator[list[str]]:
    """The lines of `read_lines`, of about so many bytes at a time; -1 takes the whole file at once.

    Raises:
        DataError: see `read_lines`; where a block that has been asked for is the first that it applies to.
    """
    number, rest = 1, b""
    for count, content in enumerate(_contents(path, size)):
        if count == 0:
            content = content.removeprefix(_BOM)
        content = rest + content
        end = content.rfind(b"\n") + 1
        if not end:
            end = max((match.end() for match in _OLD_END.finditer(content)), default=0)
        # The last piece is no line yet, or the empty one behind the end of a line.
        *lines, _ = _lines(path, content[:end], number)
        number, rest = number + len(lines), content[end:]
        if lines:
            yield lines
    yield _lines(path, rest, number)


def _contents(path: str, size: int) -> Iterator[bytes]:
    try:
        with _open(path) as file:
            # Three bytes at least, for a byte order mark to be in one piece.
            while content := file.read(size if size < 0 else max(size, len(_BOM))):
                yield content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot be decompressed: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _open(path: str) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path, "rb") if os.fspath(path).endswith(".gz") else open(path, "rb")


def _lines(path: str, content: bytes, number: int) -> list[str]:
    """The lines of some bytes, the first of which has this number in the file."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = len(_END.findall(content[: error.start].decode())) + number
        raise DataError(f"{path}:{line}: expected UTF-8, got the byte 0x{content[error.start]:02x}") from None
    return [line.rstrip(SPACE) for line in _END.split(text)]

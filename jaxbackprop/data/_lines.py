"""Files as lines of text."""

import re

from ._errors import DataError

# ASCII only: str.split and str.splitlines would also cut at U+0085, U+00A0, U+2028, which occur inside words.
SPACE = " \t\r\v\f"
# Some tools turn CR LF into CR CR LF: still one end, or each word would be a sentence.
_END = re.compile(r"\r*\n|\r")


def read_lines(path: str) -> list[str]:
    """The lines of a file in UTF-8, without the white space at their ends.

    Lines end in LF, CR LF or, as on old Macs, in CR alone; a byte order mark is skipped.

    Raises:
        DataError: the file cannot be read or is not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = len(_END.findall(content[: error.start].decode())) + 1
        raise DataError(f"{path}:{line}: expected UTF-8, got the byte 0x{content[error.start]:02x}") from None
    return [line.rstrip(SPACE) for line in _END.split(text)]

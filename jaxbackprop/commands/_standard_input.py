"""Standard input, line by line as it arrives."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress

from jaxbackprop._errors import CannotRun

_BYTES_AT_ONCE = 1 << 20
_LINES_AT_ONCE = 4096
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def waiting_lines(descriptor: int) -> Iterator[list[str]]:
    """The lines that are waiting, again and again, until the input ends.

    No read waits for more than there is, so that whoever writes one line and waits is answered at once. Lines
    of a file, or written faster than they are answered, come many at a time. Lines end in LF or CR LF; a byte
    order mark is skipped; the last line may lack its end.

    Args:
        descriptor: of the file, pipe or terminal.

    Returns:
        Lists of up to 4,096 lines, without their ends; none of the lists is empty.

    Raises:
        CannotRun: a line is not UTF-8. The lines before it have been given, and the message has its number.
        OSError: it cannot be read.
    """
    _widen_pipe(descriptor)
    number = 0
    for batch in _batches(descriptor):
        lines = []
        for line in batch:
            number += 1
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            try:
                lines.append(line.removesuffix(b"\r").decode())
            except UnicodeDecodeError as error:
                if lines:
                    yield lines
                raise CannotRun(
                    f"standard input, line {number}: expected UTF-8, got the byte 0x{line[error.start]:02x}"
                ) from None
        yield lines


def _widen_pipe(descriptor: int) -> None:
    """Lets more than 64 KiB wait in a pipe: lines in hundreds take 1.4 times as long as in thousands."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # no pipe, or more than this user may have
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _BYTES_AT_ONCE)


def _batches(descriptor: int) -> Iterator[list[bytes]]:
    begun: list[bytes] = []  # the line whose end has not arrived, in pieces
    while read := os.read(descriptor, _BYTES_AT_ONCE):
        ended, newline, rest = read.rpartition(b"\n")
        if newline:
            lines = b"".join([*begun, ended]).split(b"\n")
            begun = []
            for at in range(0, len(lines), _LINES_AT_ONCE):
                yield lines[at : at + _LINES_AT_ONCE]
        if rest:
            begun.append(rest)
    if begun:
        yield [b"".join(begun)]

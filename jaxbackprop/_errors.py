"""What is wrong with a request, and an exception in one line."""

from __future__ import annotations


class CannotRun(Exception):
    """What was asked for cannot be done; the message tells the user why.

    Errors that are about the request and not about the program derive from it: the command line prints their
    message, and no traceback.
    """


def first_line(error: BaseException | None) -> str:
    """An exception's type and the first line of what it says.

    Of what jax tells of a callback that raised, the callback's own exception.
    """
    try:
        lines = str(error).strip().splitlines()
    except Exception:
        # It is anybody's exception, and cannot say what it is about.
        lines = []
    starts = [n for n, line in enumerate(lines) if line.endswith("Traceback (most recent call last):")]
    for line in lines[starts[0] + 1 :] if starts else []:
        if line and not line[0].isspace():
            return line.strip()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"

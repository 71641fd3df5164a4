"""How long a check may take: what has time asks before it begins another piece of work."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from contextvars import ContextVar

from ._layout import CannotCheck

_ends: ContextVar[float] = ContextVar("_ends", default=math.inf)


class OutOfTime(BaseException):
    """The budget is spent. No Exception: whoever catches what the caller's functions raise lets it pass."""


@contextlib.contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Around a check that may take so many seconds; None for as long as it takes."""
    if seconds is not None and (not isinstance(seconds, int | float) or not seconds > 0):
        raise CannotCheck(f"budget must be a number of seconds above 0, got {seconds!r}")
    token = _ends.set(math.inf if seconds is None else time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def limited() -> bool:
    """Whether there is a budget."""
    return _ends.get() < math.inf


def go_on() -> None:
    """Raises OutOfTime where the budget is spent; a compilation or a call under way is never cut short."""
    if time.monotonic() > _ends.get():
        raise OutOfTime

"""What both tables of the command need: files that are refused in one line, and a table that is not cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from ._operators import CannotVerify


def as_cannot_verify(act: Callable[..., None], *args: Any) -> None:
    """Calls a function that may fail to write.

    Raises:
        CannotVerify: where it raises OSError.
    """
    try:
        act(*args)
    except OSError as error:
        raise CannotVerify(str(error)) from None


def widen_to(console: Console, table: Table) -> None:
    """Makes a console as wide as a table: a narrow terminal wraps whole lines, cut columns lose figures."""
    unbounded = console.options.update(width=1000)
    console.width = max(console.width, Measurement.get(console, unbounded, table).maximum)

"""What commands print to: standard output as a console, warnings in one line on standard error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from jaxbackprop._errors import CannotRun

if TYPE_CHECKING:
    from rich.console import Console

_PICTURES = (".png", ".svg", ".pdf")


def refuse_no_picture(path: str | None, flag: str = "--plot") -> None:
    """Looks at the name of the file of --plot, if there is one.

    Raises:
        CannotRun: it tells no format that pictures are written in.
    """
    if path is not None and Path(path).suffix.lower() not in _PICTURES:
        raise CannotRun(f"{flag} {path}: its name must end in {', '.join(_PICTURES)}")


def make_console() -> Console:
    """A console on standard output that shortens and colours nothing in a pipe.

    Where the reader has gone it raises BrokenPipeError, and is silent from then on; rich would exit.
    """
    from rich.console import Console

    class PipeConsole(Console):
        def on_broken_pipe(self) -> NoReturn:
            self.quiet = True
            raise BrokenPipeError

    console = PipeConsole(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        # A pipe has no width; without one, rich wraps lines at 80.
        console = PipeConsole(highlight=False, markup=False, emoji=False, color_system=None, width=1_000_000)
    return console


def warn(message: str) -> None:
    """Prints a warning, in one line, on standard error."""
    print("jaxbackprop: warning: " + " ".join(message.split()), file=sys.stderr)

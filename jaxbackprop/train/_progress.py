"""What a run says while it runs: a bar and a line an epoch on a terminal, the lines alone in a pipe."""

from __future__ import annotations

import time
from types import TracebackType
from typing import NoReturn

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ._loop import Epoch
from ._metrics import Scores


class _Console(Console):
    """A console that says so when its reader has gone, where rich would exit, and is silent from then on."""

    def on_broken_pipe(self) -> NoReturn:
        self.quiet = True
        raise BrokenPipeError


def make_console() -> Console:
    """A console on standard output that shortens and colours nothing in a pipe."""
    console = _Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        # A pipe has no width; without one, rich wraps lines at 80.
        console = _Console(highlight=False, markup=False, emoji=False, color_system=None, width=1_000_000)
    return console


def print_scores(console: Console, scores: Scores) -> None:
    """Prints the table of scores, whole even where the terminal is too narrow for it."""
    table = scores.table(ruled=console.is_terminal)
    needed = Measurement.get(console, console.options.update(width=10_000), table).maximum
    wide = _Console(
        file=console.file,
        force_terminal=console.is_terminal,
        color_system=console.color_system,  # type: ignore[arg-type]  # rich types it as str here
        width=max(console.width, needed),
        quiet=console.quiet,
    )
    wide.print(table)


class Progress:
    """A progress bar of updates, with loss, learning rate and speed.

    Args:
        console: where to show it.
        steps: updates in the whole run.

    Used as a context manager; the bar is gone afterwards and the lines stay.
    """

    def __init__(self, console: Console, steps: int) -> None:
        self._console = console
        self._last = 0, time.perf_counter()
        self._bar = Bar(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  lr {task.fields[lr]:.2e}"),
            TextColumn("{task.fields[speed]:.0f} steps/s"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(
            "training", total=steps, loss=float("nan"), lr=float("nan"), speed=0.0
        )

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def steps(self, made: int, loss: float, lr: float) -> None:
        """Moves the bar to `made` updates; the speed is that since the last call."""
        now = time.perf_counter()
        speed = (made - self._last[0]) / (now - self._last[1])
        self._last = made, now
        self._bar.update(self._task, completed=made, loss=loss, lr=lr, speed=speed)

    def epoch(self, record: Epoch, scores: Scores, *, best: bool) -> None:
        """Prints an epoch's line; a star marks the best epoch so far."""
        micro = scores.micro
        self._console.print(
            f"epoch {record.epoch:3d}  step {record.step:6d}  loss {record.loss:.4f}  lr {record.lr:.2e}  "
            f"dev precision {micro.precision:.4f}  recall {micro.recall:.4f}  F1 {micro.f1:.4f}"
            + ("  *" if best else ""),
            soft_wrap=True,
        )

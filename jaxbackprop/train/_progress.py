"""What a run says while it runs: a bar and a line an epoch on a terminal, the lines alone in a pipe."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ._plan import Epoch


class Progress:
    """A progress bar of updates, with loss, learning rate and speed.

    Args:
        console: where to show it.
        steps: updates in the whole run, or None where that is not known.

    Used as a context manager; the bar is gone afterwards and the lines stay.
    """

    def __init__(self, console: Console, steps: int | None) -> None:
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

    def steps(self, made: int, loss: float, lr: float | None) -> None:
        """Moves the bar to `made` updates; the speed is that since the last call."""
        now = time.perf_counter()
        speed = (made - self._last[0]) / (now - self._last[1])
        self._last = made, now
        shown = float("nan") if lr is None else lr
        self._bar.update(self._task, completed=made, loss=loss, lr=shown, speed=speed)

    def epoch(self, epoch: Epoch, figures: str | None = None) -> None:
        """Prints an epoch's line; a star marks the best epoch so far.

        Args:
            epoch: what it came to.
            figures: its metrics as they are to be shown; None shows each by its name.
        """
        if figures is None:
            figures = "  ".join(f"{name} {value:.4f}" for name, value in epoch.metrics.items())
        parts = [f"epoch {epoch.epoch:3d}", f"step {epoch.step:6d}", f"loss {epoch.loss:.4f}"]
        if epoch.lr is not None:
            parts.append(f"lr {epoch.lr:.2e}")
        parts += [part for part in (figures, "*" if epoch.best else "") if part]
        self._console.print("  ".join(parts), soft_wrap=True)

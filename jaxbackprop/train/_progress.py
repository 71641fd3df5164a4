"""What a run says while it runs: a bar and a line an epoch on a terminal, the lines alone in a pipe."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ._loop import Epoch
from ._metrics import Scores
from ._tag_scores import TagScores

_NAMES = {"f1": "F1"}


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

    def epoch(self, record: Epoch, scores: Scores | TagScores, *, best: bool) -> None:
        """Prints an epoch's line; a star marks the best epoch so far."""
        measures = "  ".join(
            f"{_NAMES.get(name, name)} {value:.4f}" for name, value in scores.measures.items()
        )
        self._console.print(
            f"epoch {record.epoch:3d}  step {record.step:6d}  loss {record.loss:.4f}  lr {record.lr:.2e}  "
            f"dev {measures}" + ("  *" if best else ""),
            soft_wrap=True,
        )

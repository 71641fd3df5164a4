"""A progress bar over jobs, with the name of the last one that is done."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


class JobBar:
    """On a terminal a bar; in a pipe nothing. Used as a context manager; the bar is gone afterwards.

    Args:
        console: where to show it.
    """

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> JobBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, jobs: int) -> None:
        """Says how many there are."""
        self._bar.update(self._task, total=jobs)

    def show(self, doing: str) -> None:
        """Says what is being done."""
        self._bar.update(self._task, description=doing)

    def done(self, job: str = "") -> None:
        """Moves the bar by one."""
        self._bar.advance(self._task)
        if job:
            self.show(job)

"""A run's figures for TensorBoard: an event file beside its metrics.jsonl. The package is an extra."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

from jaxbackprop._errors import CannotRun

from ._manifest import RunError

_FOLDER = "tensorboard"


def refuse_missing_tensorboard() -> None:
    """Looks whether event files can be written.

    Raises:
        CannotRun: the extra is not installed.
    """
    if importlib.util.find_spec("tensorboardX") is None:
        raise CannotRun("--tensorboard needs tensorboardX: pip install 'jaxbackprop[tensorboard]'")


def has_events(run: Path) -> bool:
    """Whether a run writes event files, as it then goes on to do."""
    return (run / _FOLDER).is_dir()


class EventFile:
    """The one event file of a run, in its folder ``tensorboard``.

    Args:
        run: the run's folder.
        records: of the epochs so far. They are written anew, in the place of older event files, so that no
            point is there twice after a run has been stopped and resumed.

    Used as a context manager.

    Raises:
        CannotRun: the extra is not installed.
        RunError: the disk refuses.
    """

    def __init__(self, run: Path, records: Iterable[Mapping[str, float]]) -> None:
        refuse_missing_tensorboard()
        # Its SummaryWriter writes from a thread, and waits forever where that has met a full disk.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._folder = run / _FOLDER
        try:
            self._folder.mkdir(exist_ok=True)
            for older in self._folder.glob("events.out.tfevents.*"):
                older.unlink()
            self._writer = EventsWriter(str(self._folder / "events"))
            # A TensorBoard that has the older points lets go of them.
            start = SessionLog(status=SessionLog.START)
            self._writer.write_event(Event(step=0, session_log=start))
        except OSError as error:
            raise self._refused(error) from None
        for record in records:
            self.write(record)

    def __enter__(self) -> EventFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(self, record: Mapping[str, float]) -> None:
        """Adds an epoch's figures, at its number of steps.

        Raises:
            RunError: the disk refuses.
        """
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        figures = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in record.items()
            if name not in ("epoch", "step")
        ]
        event = Event(wall_time=time.time(), step=int(record["step"]), summary=Summary(value=figures))
        try:
            self._writer.write_event(event)
            self._writer.flush()
        except OSError as error:
            raise self._refused(error) from None

    def _refused(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self._folder}: {error.strerror or error}")

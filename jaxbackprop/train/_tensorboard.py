"""A run's figures for TensorBoard: an event file beside its metrics.jsonl. The package is an extra."""

from __future__ import annotations

import importlib.util
import os
import struct
import time
from collections.abc import Mapping, Sequence
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
    """An event file of a run, in its folder ``tensorboard``: one each time that it is begun or resumed.

    Args:
        run: the run's folder.
        records: of the epochs so far. What older event files have beyond them is cut off, so that no point is
            there twice; what they lack is written.

    Used as a context manager.

    Raises:
        CannotRun: the extra is not installed.
        RunError: the disk refuses.
    """

    def __init__(self, run: Path, records: Sequence[Mapping[str, float]]) -> None:
        refuse_missing_tensorboard()
        # Its SummaryWriter writes from a thread, and waits forever where that has met a full disk.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._folder = run / _FOLDER
        try:
            self._folder.mkdir(exist_ok=True)
            last = int(records[-1]["step"]) if records else 0
            # Not removed: a TensorBoard that has one of them open would wait for it forever.
            older = sorted(self._folder.glob("events.out.tfevents.*"))
            there = max((_cut_beyond(file, last) for file in older), default=0)
            # Files of the same second have names of their own, in the order that TensorBoard reads them in.
            self._writer = EventsWriter(str(self._folder / "events"), f".{len(older):04d}")
            # With this, TensorBoard lets go of what it has read beyond.
            start = SessionLog(status=SessionLog.START)
            self._writer.write_event(Event(step=there + 1, session_log=start))
        except OSError as error:
            raise self._refused(error) from None
        for record in records:
            if record["step"] > there:
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


def _cut_beyond(file: Path, last: int) -> int:
    """Cuts off an event file after a step, and says up to which it has figures; half an event goes, too."""
    from google.protobuf.message import DecodeError
    from tensorboardX.proto.event_pb2 import Event

    data, at, there = file.read_bytes(), 0, 0
    # Each event stands between its length with a checksum (12 bytes) and a checksum of its own (4 bytes).
    while len(data) - at >= 12:
        (length,) = struct.unpack_from("<Q", data, at)
        end = at + 12 + length + 4
        try:
            event = Event.FromString(data[at + 12 : end - 4])
        except DecodeError:
            break
        if end > len(data) or event.step > last:
            break
        if event.summary.value:
            there = int(event.step)
        at = end
    if at < len(data):
        os.truncate(file, at)
    return there

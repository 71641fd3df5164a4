"""The run folder: taken at the start, by one process; it says at any time how the run stands."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from jaxbackprop._errors import CannotRun, first_line
from jaxbackprop._output import replace_whole

from ._hosts import current_hosts
from ._manifest import MANIFEST, RunError, checksums, read_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

STATUS = "status.json"
METRICS = "metrics.jsonl"
RUNNING, FINISHED, INTERRUPTED, FAILED = "running", "finished", "interrupted", "failed"
# What ends a run that has nothing wrong with it. GeneratorExit: whoever iterates over `fit` has stopped.
_INTERRUPTIONS = (KeyboardInterrupt, SystemExit, GeneratorExit, BrokenPipeError)


class RunFolder:
    """A run's folder, held by this process alone until the context it is ends.

    ``status.json`` then says how the run ended: ``finished``, ``interrupted``, or ``failed`` and why. A
    process that is killed leaves ``running``, which :meth:`resume` knows to be untrue.

    Where several processes train together, process 0 holds it, and in the others nothing is written.

    Attributes:
        path: the folder.
        writes: whether this process is the one that writes.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path, self.writes = path, writes
        self._status: dict[str, Any] = {}
        self._lock = _lock(path) if writes else None

    @classmethod
    def of_all(cls, make: Callable[[], RunFolder]) -> RunFolder:
        """The folder that process 0 makes or finds, for all processes that train together.

        Args:
            make: called in process 0 alone; its errors end the others, too.
        """
        hosts = current_hosts()
        folder = make() if hosts.leads else None
        path = hosts.share("run folder", None if folder is None else os.fsdecode(folder.path))
        return cls(Path(path), writes=False) if folder is None else folder

    @classmethod
    def take(cls, out: str | os.PathLike[str], files: Mapping[str, Any] | None = None) -> RunFolder:
        """Makes a new folder, and its parents; an empty folder will do.

        Args:
            out: its path.
            files: JSON files by name, which it holds, with their checksums, from the moment that it is there.

        Raises:
            RunError: the name is taken, or cannot be written to.
        """
        path = Path(os.path.normpath(out))
        refuse_taken(path)
        if not _claim(path, files or {}):
            raise RunError(f"{path} has just been taken by another run")
        return cls(path)

    @classmethod
    def take_dated(
        cls, parent: str | os.PathLike[str], started: datetime, files: Mapping[str, Any] | None = None
    ) -> RunFolder:
        """As :meth:`take`, with a folder that is named by the time; runs of one second are numbered."""
        name = started.strftime("%Y%m%d-%H%M%S")
        for number in range(1, 10_000):
            path = Path(parent) / (name if number == 1 else f"{name}-{number}")
            if not path.exists() and _claim(path, files or {}):
                return cls(path)
        raise RunError(f"{parent} holds 10,000 runs of {name}")

    @classmethod
    def resume(cls, run: str | os.PathLike[str]) -> RunFolder:
        """The folder of a run that has begun, to go on with.

        Raises:
            RunError: no such run, another process is at it, or the folder cannot be written to.
        """
        path = Path(run)
        if not path.is_dir():
            raise RunError(f"{path} is no folder" if path.exists() else f"{path} does not exist")
        if not (path / STATUS).is_file():
            raise RunError(f"{path} is no run folder: it has no {STATUS}")
        if not os.access(path, os.W_OK | os.X_OK):
            raise RunError(f"cannot write {path}: {os.strerror(errno.EACCES)}")
        return cls(path)

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return read_status(self.path) == FINISHED

    def __enter__(self) -> RunFolder:
        self._status = {"status": RUNNING, "pid": os.getpid(), "host": platform.node(), "started": _now()}
        self.say()
        current_hosts().on_end(tidy=self._ended)
        return self

    def _ended(self, why: str, status: int) -> None:
        """Says how a run ends that another process's end has ended."""
        self.say(FAILED if status == 2 else INTERRUPTED, why=why)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.say(FINISHED)
            else:
                # A full disk, which may be what went wrong, keeps the older status.
                with contextlib.suppress(RunError):
                    if isinstance(error, _INTERRUPTIONS):
                        self.say(INTERRUPTED, why=type(error).__name__)
                    else:
                        told = isinstance(error, CannotRun | FloatingPointError)
                        self.say(FAILED, why=str(error) if told else first_line(error))
        finally:
            self.release()

    def release(self) -> None:
        """Lets other processes have the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def say(self, status: str | None = None, **more: Any) -> None:
        """Writes status.json: how the run stands, and what else is to be known (epoch, step, why)."""
        self._status |= more if status is None else {"status": status, **more}
        self.write_json(STATUS, {**self._status, "updated": _now()})

    def write_json(self, name: str, value: Any) -> None:
        """Writes one JSON file of the folder, whole or not at all.

        Raises:
            RunError: the disk refuses.
            ValueError: the value holds nan or an infinity, which JSON lacks.
        """
        self.write_text(name, _json(value))

    def write_text(self, name: str, text: str) -> None:
        """Writes one file of the folder, whole or not at all.

        Raises:
            RunError: the disk refuses.
        """
        if not self.writes:
            return
        path = self.path / name
        try:
            replace_whole(path, lambda beside: beside.write_text(text, encoding="utf-8"))
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror or error}") from None

    def write_metrics(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Makes metrics.jsonl hold these epochs and no more."""
        self.write_text(METRICS, "".join(map(_line, records)))

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Adds an epoch's line to metrics.jsonl.

        Raises:
            RunError: the disk refuses; half a line may be there, which a resumed run takes away.
        """
        if not self.writes:
            return
        try:
            with (self.path / METRICS).open("a", encoding="utf-8") as file:
                file.write(_line(record))
        except OSError as error:
            raise RunError(f"cannot write {self.path / METRICS}: {error.strerror or error}") from None

    def seal(self) -> None:
        """Writes the checksums of what evaluation and prediction rest on, as it now is.

        Raises:
            RunError: the disk refuses.
        """
        if self.writes:
            self.write_json(MANIFEST, {"sha256": checksums(self.path)})


def is_held(run: Path) -> bool:
    """Whether a process is at a run; where there are no locks, one may be."""
    if fcntl is None:
        return True
    handle = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def read_status(run: Path) -> str | None:
    """How a run stands: ``running``, ``finished``, ``interrupted`` or ``failed``; None where nothing says."""
    try:
        status = read_json(run / STATUS).get("status")
    except RunError:
        return None
    return status if isinstance(status, str) else None


def refuse_taken(out: str | os.PathLike[str]) -> None:
    """Looks at where a run's folder is to be; of several processes, process 0 does.

    Raises:
        RunError: something is there that is no empty folder.
    """
    if not current_hosts().leads:
        return
    path = Path(os.path.normpath(out))
    try:
        if path.is_symlink() or path.name in ("", "..") or os.path.ismount(path):
            raise RunError(f"cannot write {path}: it must be the name of a new folder")
        if path.exists():
            if not path.is_dir():
                raise RunError(f"{path} exists and is not a folder")
            if any(path.iterdir()):
                raise RunError(f"{path} exists and is not empty")
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from None


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _claim(path: Path, files: Mapping[str, Any]) -> bool:
    """Makes a run's folder under another name and moves it to its own: whole, or taken by another run."""
    made = [folder for folder in path.absolute().parents if not folder.exists()]
    beside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        for name, value in {**files, STATUS: {"status": RUNNING}}.items():
            (beside / name).write_text(_json(value), encoding="utf-8")
        if sums := checksums(beside):
            (beside / MANIFEST).write_text(_json({"sha256": sums}), encoding="utf-8")
        # mkdtemp keeps others out; a run folder follows the user's umask like any folder.
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o777 & ~umask)
        os.rename(beside, path)
        return True
    except OSError as error:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)
        # What a rename onto a folder that is not empty says.
        if beside is not None and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise RunError(f"cannot write {path}: {error.strerror or error}") from None


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"


def _lock(path: Path) -> int | None:
    """A lock on the folder, which ends with the process; where there are none, nothing is locked."""
    if fcntl is None:
        return None
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise RunError(f"{path} is being trained by another process") from None
    except OSError:  # a file system without locks
        pass
    return handle

"""Checkpoints, by orbax; nothing else in the package knows it.

orbax restores a file with a flipped bit in silence, so every checkpoint holds a sha256 of each of its files,
which is checked before orbax reads any.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import json
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from ._hosts import Hosts, current_hosts
from ._manifest import CHECKPOINT, CHECKPOINTS, MANIFEST, RunError, check_sums, checksums, read_json
from ._tree import by_name, describe_difference, like, merged, nested

_ARRAYS, _POSITION = "arrays", "position"
# What orbax writes beside them, it completes after the checksums have been taken.
_GUARDED = (_ARRAYS, _POSITION)

# Of malloc.h.
_M_ARENA_MAX = -8

# Nested dicts of arrays.
Arrays = dict[str, Any]


class Checkpoints:
    """The numbered checkpoints of a run folder, the newest `keep` of them.

    A checkpoint is one folder, ``checkpoints/<step>``, which appears when it is whole. It is written while
    training goes on; an error of the disk comes with the next call.

    Where several processes train together, process 0 writes and reads it; what it reads, all get.

    Args:
        run: the run folder.
        keep: how many to keep, at least 1.
        warn: told, in one line, of a checkpoint that cannot be used.
    """

    def __init__(self, run: Path, keep: int, warn: Callable[[str], None]) -> None:
        self._hosts = current_hosts()
        self._folder, self._keep, self._warn = run.absolute() / CHECKPOINTS, keep, warn
        self._shown = run / CHECKPOINTS
        _share_heaps()
        self._writer: Any = None
        self._target, self._writing = Path(), False

    def save(self, step: int, arrays: Any, position: dict[str, Any]) -> None:
        """Begins to write a checkpoint; one of that step that is there already stays as it is.

        Args:
            step: updates made; the checkpoint's name.
            arrays: pytree of arrays, which are copied before this returns.
            position: what else is needed, as JSON holds it.

        Raises:
            RunError: the disk refuses this checkpoint or refused the last.
        """
        if not self._hosts.leads:
            return
        self.wait()
        target = self._folder / f"{step:010d}"
        if target.exists():
            return
        ocp = _orbax()
        with self._refusals(target.name):
            if self._writer is None:
                self._folder.mkdir(exist_ok=True)
                for left in self._folder.glob("*.orbax-checkpoint-tmp*"):
                    shutil.rmtree(left)
                options = ocp.AsyncOptions(post_finalization_callback=self._seal)
                here = _this_process()
                # A file an array: one data base for all of them leaks some KiB a save.
                parts = {
                    _ARRAYS: ocp.PyTreeCheckpointHandler(use_ocdbt=False, **here),
                    _POSITION: ocp.JsonCheckpointHandler(**here),
                }
                together = ocp.CompositeOptions(**here)
                handler = ocp.CompositeCheckpointHandler(composite_options=together, **parts)
                self._writer = ocp.AsyncCheckpointer(handler, async_options=options, **here)
            # The next step writes over the arrays, and on a CPU orbax might read them where they are.
            tree = nested(jax.tree.map(_copied, arrays))
            _refuse_full_disk(self._folder, sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
            saved = {_ARRAYS: ocp.args.PyTreeSave(tree), _POSITION: ocp.args.JsonSave(position)}
            self._target, self._writing = target, True
            self._writer.save(target, args=ocp.args.Composite(**saved))

    def wait(self) -> None:
        """Waits until what is being written is whole, then removes what is too old.

        Raises:
            RunError: the disk refused it.
        """
        if not self._writing:
            return
        self._writing = False
        with self._refusals(self._target.name):
            self._writer.wait_until_finished()
            for old in self._names()[: -self._keep]:
                shutil.rmtree(self._folder / old)

    def complete(self, why: str, status: int) -> None:
        """As :meth:`wait`, where this process is about to be ended; see `Watch`."""
        self.wait()

    def close(self) -> None:
        """As :meth:`wait`, and lets go of what writes."""
        try:
            self.wait()
        finally:
            if self._writer is not None:
                with contextlib.suppress(Exception):
                    self._writer.close()
                self._writer = None

    def newest(self, expected: Any = None) -> tuple[Any, dict[str, Any]] | None:
        """Reads the newest checkpoint that is whole, after its checksums have been checked.

        Newer ones that are damaged are named. Where a run goes on, they are put aside, as
        ``<step>.damaged``: nothing is deleted.

        Args:
            expected: pytree of arrays of the shapes and dtypes that the run has; None takes what is there, as
                nested dicts of NumPy arrays, and changes nothing.

        Returns:
            Arrays in the structure of `expected`, and the position; None where there is no checkpoint.

        Raises:
            RunError: the checkpoint holds other arrays than those expected, or none is whole.
        """
        found = self._newest(expected) if self._hosts.leads else None
        if self._hosts.count > 1:
            found = _broadcast(self._hosts, found, expected)
        if found is None or expected is None:
            return found
        return like(found[0], expected), found[1]

    def _newest(self, expected: Any) -> tuple[Any, dict[str, Any]] | None:
        """As `newest`, but the arrays are nested dicts of NumPy arrays."""
        damaged: dict[str, str] = {}
        for name in reversed(self._names()):
            try:
                found = self._read(name, expected)
            except _Damaged as error:
                damaged[name] = str(error)
                continue
            for other, reason in damaged.items():
                self._warn(f"{self._shown / other} is damaged, so {name} is used: {reason}")
                if expected is not None:
                    with self._refusals(other):
                        (self._folder / other).rename(_free(self._folder / f"{other}.damaged"))
            return found
        if damaged:
            raise RunError(f"no checkpoint in {self._shown} is whole: {next(iter(damaged.values()))}")
        return None

    def _read(self, name: str, expected: Any) -> tuple[Any, dict[str, Any]]:
        folder, shown = self._folder / name, self._shown / name
        try:
            check_sums(folder, _GUARDED, required=(f"{_POSITION}/metadata",))
            # Sums of auxiliary scalars may be nan.
            position = read_json(folder / _POSITION / "metadata", nan=True)
        except RunError as error:
            raise _Damaged(str(error).replace(str(folder), str(shown))) from None
        return _restore(folder / _ARRAYS, shown, expected), position

    def _names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.name.isdigit() and path.is_dir())

    def _seal(self) -> None:
        """Writes the checksums into the folder that orbax is about to give its name."""
        (unfinished,) = self._folder.glob(f"{self._target.name}.orbax-checkpoint-tmp*")
        sums = {"sha256": checksums(unfinished, _GUARDED)}
        (unfinished / MANIFEST).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")

    @contextlib.contextmanager
    def _refusals(self, name: str) -> Iterator[None]:
        """What orbax and the disk say, as an error of the run."""
        try:
            yield
        except RunError:
            raise
        except Exception as error:
            self._writing = False
            raise RunError(f"cannot write {self._shown / name}: {_reason(error)}") from None


class _Damaged(Exception):
    """A checkpoint whose files are not those that were written."""


def save_parameters(folder: Path, parameters: Arrays) -> None:
    """Writes parameters to the ``checkpoint`` of a run folder, in place of those that are there.

    Args:
        folder: the run folder.
        parameters: nested dicts of arrays.

    Raises:
        RunError: the disk refuses.
    """
    ocp = _orbax()
    try:
        here = _this_process()
        with ocp.Checkpointer(ocp.StandardCheckpointHandler(**here), **here) as checkpointer:
            tree = jax.tree.map(np.asarray, parameters)
            checkpointer.save(folder.absolute() / CHECKPOINT, args=ocp.args.StandardSave(tree), force=True)
    except Exception as error:
        raise RunError(f"cannot write {folder / CHECKPOINT}: {_reason(error)}") from None


def load_parameters(folder: Path, expected: Arrays) -> Arrays:
    """Reads the parameters of a run folder whose checksums have been checked.

    Args:
        folder: the run folder.
        expected: nested dicts of what has a shape and a dtype, as the model has them.

    Returns:
        The parameters, NumPy arrays in the same nested dicts.

    Raises:
        RunError: the checkpoint is unreadable, or holds other parameters than those expected.
    """
    restored = _restore(folder.absolute() / CHECKPOINT, folder / CHECKPOINT, expected)
    return dict(like(restored, expected))


def load_newest(folder: Path, expected: Arrays, warn: Callable[[str], None]) -> Arrays:
    """Reads the model of a run that has not come to its end: of its best epoch so far, else as it is.

    Args:
        folder: the run folder.
        expected: nested dicts of what has a shape and a dtype, as the model has them.
        warn: told, in one line, of a damaged checkpoint.

    Returns:
        The parameters, NumPy arrays in the same nested dicts.

    Raises:
        RunError: there is no checkpoint, none is whole, or it holds other parameters than those expected.
    """
    found = Checkpoints(folder, 1, warn).newest()
    if found is None:
        raise RunError(f"{folder} has no checkpoint yet")
    best, constants = found[0]["best"], found[0].get("constants", {})
    model = merged(constants, best.get("variables", {}), best["params"])
    _refuse_difference(folder / CHECKPOINTS, model, expected)
    return dict(like(model, expected))


def _restore(path: Path, shown: Path, expected: Any) -> Any:
    """Nested dicts of NumPy arrays, after they have been compared with those expected, if any are."""
    ocp = _orbax()
    try:
        here = _this_process()
        with ocp.Checkpointer(ocp.StandardCheckpointHandler(**here), **here) as checkpointer:
            stored = checkpointer.metadata(path).item_metadata.tree
            if expected is not None:
                # orbax restores an array of another shape than asked for without a word.
                _refuse_difference(shown, stored, expected)
            target = jax.tree.map(
                lambda leaf: np.zeros(leaf.shape, leaf.dtype),
                stored,
                is_leaf=lambda node: hasattr(node, "shape"),
            )
            restored = checkpointer.restore(path, args=ocp.args.StandardRestore(target))
    except RunError:
        raise
    except Exception as error:
        raise RunError(f"{shown} is not a readable checkpoint: {_reason(error)}") from None
    return restored


def _broadcast(
    hosts: Hosts, found: tuple[Any, dict[str, Any]] | None, expected: Any
) -> tuple[Any, dict[str, Any]] | None:
    """What process 0 has found, in all processes; their folders need not be the same."""
    position = hosts.share("position", None if found is None else found[1])
    if position is None:
        return None
    shapes = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), nested(expected))
    return multihost_utils.broadcast_one_to_all(shapes if found is None else found[0]), position


def _this_process() -> dict[str, Any]:
    """Keeps orbax, in this process alone, from waiting for others that train with it."""
    ocp = _orbax()
    index = current_hosts().index
    options = ocp.options.MultiprocessingOptions(primary_host=index, active_processes={index})
    return {"multiprocessing_options": options} if current_hosts().count > 1 else {}


def _refuse_difference(shown: Path, stored: Any, expected: Any) -> None:
    difference = describe_difference(by_name(stored), by_name(nested(expected)))
    if difference:
        raise RunError(f"{shown} does not fit its configuration: {difference}")


def _copied(leaf: Any) -> Any:
    return jnp.copy(leaf) if isinstance(leaf, jax.Array) else leaf


def _refuse_full_disk(folder: Path, size: int) -> None:
    """Takes the room that a checkpoint needs, and gives it back.

    Raises:
        OSError: there is none, or a limit on the size of files is lower: where orbax finds out, its threads
            fail one after another.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(1, size))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise


@functools.cache
def _orbax() -> ModuleType:
    import orbax.checkpoint as ocp

    # It logs, with a traceback, what it then raises; and where a save fails, its other threads complain.
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(_not_of_orbax)
    hook = sys.unraisablehook

    def without_closed_loops(unraisable: sys.UnraisableHookArgs) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    sys.unraisablehook = without_closed_loops
    _do_not_count_bytes()
    return ocp


def _share_heaps() -> None:
    """Keeps glibc from giving each of orbax's threads a heap of its own, which would never shrink."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _do_not_count_bytes() -> None:
    """Has orbax log no bytes per save: tensorstore 0.1.86 leaks 16 KiB each time its counters are read."""
    try:
        from orbax.checkpoint._src.serialization import tensorstore_utils
    except ImportError:
        return
    if hasattr(tensorstore_utils, "get_tensorstore_raw_bytes"):
        tensorstore_utils.get_tensorstore_raw_bytes = lambda *_: 0


def _not_of_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname and "orbax" not in record.getMessage()


def _free(path: Path) -> Path:
    candidates = (path.with_name(path.name + (f"-{n}" if n > 1 else "")) for n in range(1, 1000))
    return next(candidate for candidate in candidates if not candidate.exists())


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # tensorstore's errors are pages long, and name what the system said at their end.
    if found := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(found.group(1)))
    return str(error).strip().split("\n")[0] or type(error).__name__

"""Entries of the cache: folders of arrays that can be made again, each written whole or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._errors import DataError

_FACTS = "entry.json"
# What a process that was killed has left half-written is taken away after so long: no other writes so slowly.
_ABANDONED_SECONDS = 24 * 3600
# To put an entry in the place of a damaged one, which other processes may be doing too.
_ATTEMPTS = 10


@dataclass(frozen=True)
class Entry:
    """What an entry holds.

    Attributes:
        path: its folder.
        facts: what its maker says of it, as JSON holds it.
        sha256: checksum of each of its files, by name.
    """

    path: Path
    facts: dict[str, Any]
    sha256: dict[str, str]

    def array(self, name: str, dtype: type[np.generic]) -> np.ndarray:
        """The numbers in a file, as a read-only memory map of one dimension."""
        return np.memmap(self.path / name, dtype, mode="r").view(np.ndarray)

    def text(self, name: str) -> str:
        """The text in a file."""
        return (self.path / name).read_bytes().decode()


def find_entry(folder: Path, slot: str, state: str) -> Entry | None:
    """The entry of a slot in this state; None where there is none, or it is damaged.

    Args:
        folder: of all entries.
        slot: what the entry is made of, such as a file and how it is read.
        state: that it is in, such as the file's size and time.
    """
    path = folder / _name(slot, state)
    try:
        described = json.loads((path / _FACTS).read_text(encoding="utf-8"))
        facts, sha256 = described["facts"], described["sha256"]
        if _checksums(path) != sha256:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Entry(path, facts, sha256)


def make_entry(folder: Path, slot: str, state: str, write: Callable[[Path], dict[str, Any]]) -> Entry:
    """Makes an entry; that of the slot in another state goes.

    Several processes may make the same one at a time: the first to come to the end is taken.

    Args:
        folder: of all entries, which is made.
        slot: see `find_entry`.
        state: see `find_entry`.
        write: writes the files into the folder that it is given, and returns the facts.

    Raises:
        DataError: the folder cannot be written to.
    """
    path = folder / _name(slot, state)
    beside = None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=folder))
        facts = write(beside)
        sha256 = _checksums(beside)
        described = json.dumps({"facts": facts, "sha256": sha256}, ensure_ascii=False)
        (beside / _FACTS).write_text(described, encoding="utf-8")
        _move(beside, path, lambda: find_entry(folder, slot, state) is not None)
    except OSError as error:
        raise DataError(
            f"cannot write the cache of tokenized text in {folder}: {error.strerror or error}"
            " (the variable XDG_CACHE_HOME says where caches are)"
        ) from None
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)
    _remove_others(folder, path)
    return Entry(path, facts, sha256)


def _move(beside: Path, path: Path, is_whole: Callable[[], bool]) -> None:
    """Gives an entry its name, unless another process has made it meanwhile; a damaged one goes."""
    for attempt in range(_ATTEMPTS):
        try:
            os.rename(beside, path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt + 1 == _ATTEMPTS:
                raise
        if is_whole():
            return
        shutil.rmtree(path, ignore_errors=True)


def _remove_others(folder: Path, path: Path) -> None:
    slot = path.name.partition("-")[0]
    for other in folder.glob(f"{slot}-*"):
        if other != path:
            shutil.rmtree(other, ignore_errors=True)
    for half in folder.glob(".*-*.*"):
        with contextlib.suppress(OSError):
            if time.time() - half.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(half, ignore_errors=True)


def _name(slot: str, state: str) -> str:
    return f"{_short(slot)}-{_short(state)}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:20]


def _checksums(path: Path) -> dict[str, str]:
    sums = {}
    for file in sorted(path.iterdir()):
        if file.name != _FACTS:
            with file.open("rb") as opened:
                sums[file.name] = hashlib.file_digest(opened, "sha256").hexdigest()
    return sums

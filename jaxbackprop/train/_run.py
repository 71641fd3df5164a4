"""The run folder: written under another name, moved into place when whole, checked when read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from jaxbackprop._errors import CannotRun

MANIFEST = "manifest.json"
CHECKPOINT = "checkpoint"
# What evaluation and prediction rest on. The rest of the folder is for people, who may annotate it.
_GUARDED = ("config.json", "vocabulary.json", CHECKPOINT)


class RunError(CannotRun, RuntimeError):
    """A run folder that cannot be read or written, and why."""


class RunWriter:
    """A folder that appears under its name only when it is whole.

    Args:
        out: the folder to make. Its parents are made too; an empty folder of that name is replaced.

    Used as a context manager, within which :attr:`path` is the unfinished folder, beside the future one.
    Without :meth:`commit` everything that was made is removed again.

    Raises:
        RunError: `out` exists and is not an empty folder, or its parent cannot be written to.
    """

    def __init__(self, out: str | os.PathLike[str]) -> None:
        self.out = Path(os.path.normpath(out))
        self._made: list[Path] = []
        self._committed = False
        try:
            if self.out.is_symlink() or self.out.name in ("", "..") or os.path.ismount(self.out):
                raise RunError(f"cannot write {self.out}: it must be the name of a new folder")
            if self.out.exists():
                if not self.out.is_dir():
                    raise RunError(f"{self.out} exists and is not a folder")
                if any(self.out.iterdir()):
                    raise RunError(f"{self.out} exists and is not empty")
            parent = self.out.absolute().parent
            missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
            for folder in reversed(missing):
                folder.mkdir()
                self._made.append(folder)
            self.path = Path(tempfile.mkdtemp(prefix=f".{self.out.name}.unfinished-", dir=parent))
        except OSError as error:
            self._remove_parents()
            raise RunError(f"cannot write {self.out}: {error.strerror or error}") from None

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._committed:
            shutil.rmtree(self.path, ignore_errors=True)
            self._remove_parents()

    def write_json(self, name: str, value: Any) -> None:
        """Writes one JSON file of the folder.

        Raises:
            ValueError: the value holds nan or an infinity, which JSON lacks.
        """
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        (self.path / name).write_text(text + "\n", encoding="utf-8")

    def commit(self) -> None:
        """Writes the checksums and moves the folder to its name.

        Raises:
            RunError: something has taken the name meanwhile, or the disk refuses.
        """
        try:
            self.write_json(
                MANIFEST, {"sha256": {name: _sha256(self.path / name) for name in _guarded(self.path)}}
            )
            # mkdtemp keeps others out; a run folder follows the user's umask like any folder.
            umask = os.umask(0)
            os.umask(umask)
            self.path.chmod(0o777 & ~umask)
            os.rename(self.path, self.out)
        except OSError as error:
            raise RunError(f"cannot write {self.out}: {error.strerror or error}") from None
        self._committed = True

    def _remove_parents(self) -> None:
        for folder in reversed(self._made):
            try:
                folder.rmdir()
            except OSError:
                return


def read_run(run: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration and the vocabulary of a run folder, after all its checksums have been checked.

    Args:
        run: a folder that `jaxbackprop train` made.

    Returns:
        What config.json and vocabulary.json hold.

    Raises:
        RunError: no such folder, not a run folder, a file missing, cut short or changed.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise RunError(f"{folder} is no folder" if folder.exists() else f"{folder} does not exist")
    if not (folder / MANIFEST).is_file():
        raise RunError(f"{folder} is no run folder: it has no {MANIFEST}")
    sums = _read_json(folder / MANIFEST).get("sha256")
    if not isinstance(sums, dict) or not all(isinstance(value, str) for value in sums.values()):
        raise RunError(f"{folder / MANIFEST} lists no checksums")
    try:
        present = set(_guarded(folder))
        if missing := sorted((set(sums) | set(_GUARDED[:2])) - present):
            raise RunError(f"{folder / missing[0]} is missing")
        for name in sorted(present):
            if name not in sums:
                raise RunError(f"{folder / name} is not listed in {MANIFEST}")
            if _sha256(folder / name) != sums[name]:
                raise RunError(f"{folder / name} has changed since it was written: its sha256 differs")
    except OSError as error:
        raise RunError(f"cannot read {error.filename}: {error.strerror}") from None
    return _read_json(folder / "config.json"), _read_json(folder / "vocabulary.json")


def _guarded(folder: Path) -> list[str]:
    """Names, relative to the folder and with forward slashes, of the files that the manifest lists."""
    found = []
    for name in _GUARDED:
        for path in (folder / name, *(folder / name).rglob("*")):
            if path.is_file():
                found.append(str(PurePosixPath(path.relative_to(folder))))
    return sorted(found)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is no JSON: {str(error) or type(error).__name__}") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no JSON object")
    return value

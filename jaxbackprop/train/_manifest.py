"""Checksums of a run folder's files, written when it is sealed and checked when it is read."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

from jaxbackprop._errors import CannotRun

MANIFEST = "manifest.json"
CHECKPOINT = "checkpoint"
CHECKPOINTS = "checkpoints"
# In a folder with a run folder for each of several seeds.
SEEDS = "seeds.json"
# What evaluation and prediction rest on. The rest of the folder is for people, who may annotate it.
_GUARDED = ("config.json", "vocabulary.json", CHECKPOINT)


class RunError(CannotRun, RuntimeError):
    """A run folder that cannot be read or written, and why."""


def read_run(run: str | os.PathLike[str], *, begun: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration and the vocabulary of a run folder, after all its checksums have been checked.

    Args:
        run: a folder that `jaxbackprop train` made.
        begun: whether a run that has only begun will do: its ``checkpoint`` is then not looked at.

    Returns:
        What config.json and vocabulary.json hold.

    Raises:
        RunError: no such folder, not a run folder, a file missing, cut short or changed.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise RunError(f"{folder} is no folder" if folder.exists() else f"{folder} does not exist")
    if (folder / SEEDS).is_file():
        one = min(folder.glob("seed-*"), default=folder / "seed-0")
        raise RunError(f"{folder} holds the runs of several seeds: name one of them, such as {one}")
    if not (folder / MANIFEST).is_file():
        raise RunError(f"{folder} is no run folder: it has no {MANIFEST}")
    required = _GUARDED[:2]
    if begun:
        check_sums(folder, required, required, ignored=(CHECKPOINT,))
    else:
        check_sums(folder, _GUARDED, required)
    return read_json(folder / "config.json"), read_json(folder / "vocabulary.json")


def kind_of_run(run: str | os.PathLike[str]) -> str:
    """What was trained in a run folder: a classifier of sentences, ``finetune``, or a tagger, ``train``."""
    try:
        return str(read_json(Path(run) / "config.json").get("kind", "train"))
    except RunError:  # which whoever reads the run will meet again
        return "train"


def checksums(folder: Path, names: tuple[str, ...] = _GUARDED) -> dict[str, str]:
    """The sha256 of the named files, and of all files in the named folders, by path with forward slashes."""
    return {name: _sha256(folder / name) for name in _files(folder, names)}


def check_sums(
    folder: Path, names: tuple[str, ...], required: tuple[str, ...], *, ignored: tuple[str, ...] = ()
) -> None:
    """Compares files with the manifest of their folder.

    Args:
        folder: with a manifest.
        names: files and folders; what is there of them the manifest must list, and the other way round.
        required: files that the manifest must list.
        ignored: files and folders that it may list.

    Raises:
        RunError: a file is missing, was added, or has changed.
    """
    sums = read_json(folder / MANIFEST).get("sha256")
    if not isinstance(sums, dict) or not all(isinstance(value, str) for value in sums.values()):
        raise RunError(f"{folder / MANIFEST} lists no checksums")
    try:
        present = set(_files(folder, names))
        listed = {name for name in sums if name.split("/")[0] not in ignored}
        if missing := sorted((listed | set(required)) - present):
            raise RunError(f"{folder / missing[0]} is missing")
        for name in sorted(present):
            if name not in sums:
                raise RunError(f"{folder / name} is not listed in {MANIFEST}")
            if _sha256(folder / name) != sums[name]:
                raise RunError(f"{folder / name} has changed since it was written: its sha256 differs")
    except OSError as error:
        raise RunError(f"cannot read {error.filename}: {error.strerror}") from None


def read_json(path: Path, *, nan: bool = False) -> dict[str, Any]:
    """A JSON object out of a file.

    Args:
        path: the file.
        nan: whether it may hold nan and infinities as Python writes them.

    Raises:
        RunError: the file cannot be read, or holds none.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=float if nan else refuse)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is no JSON: {str(error) or type(error).__name__}") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no JSON object")
    return value


def _files(folder: Path, names: tuple[str, ...]) -> list[str]:
    found = []
    for name in names:
        for path in (folder / name, *(folder / name).rglob("*")):
            if path.is_file():
                found.append(str(PurePosixPath(path.relative_to(folder))))
    return sorted(found)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""One training run, from the corpus to the run folder; and how it goes on where it was stopped."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from jaxbackprop.train import (
    Config,
    Reporting,
    RunError,
    RunFolder,
    flag,
    read_begun,
    refuse_taken,
    take_run,
)

from ._fit import AtStart
from ._prepared import Prepared
from ._record import FILES, NO_FILES

# Settings that change nothing of what a run comes to.
FREE = ("save_every", "keep", "mesh")


def train(
    config: Config,
    out: str | os.PathLike[str] | None,
    reporting: Reporting,
    at_start: AtStart | None = None,
) -> Path:
    """Trains a window classifier, and keeps its run folder.

    From the start the folder holds ``config.json`` (settings, versions, machine, data), ``vocabulary.json``
    (words, affixes, tags), ``status.json`` (running, finished, interrupted, or failed and why),
    ``metrics.jsonl`` (a line an epoch; the same to the last byte for the same settings on the same machine)
    and ``checkpoints/``, from which :func:`resume` goes on. In the end come ``checkpoint/`` (parameters of
    the epoch with the best development score), ``results.json`` (scores, times and a checksum of the last
    parameters) and ``curves.png``. ``manifest.json`` has checksums.

    Args:
        config: the settings.
        out: the folder; None takes ``runs/`` and the time.
        reporting: where progress, scores and warnings go.
        at_start: called before the first step with the model, its loss, the first batch and that step's key.

    Returns:
        The folder.

    Raises:
        RunError: the folder cannot be written.
        DataError: the data is not what it should be.
        MissingExtra: the default data is not installed.
        Diverged: the loss became infinite or nan.
    """
    started = datetime.now().astimezone()
    if out is not None:
        refuse_taken(out)
    prepared = Prepared(config, reporting)
    prepared.agree()
    with take_run(out, started, prepared.files(started)) as folder:
        prepared.begin(folder, at_start)
    return folder.path


def resume_run(run: str | os.PathLike[str], given: dict[str, Any], reporting: Reporting) -> Path:
    """Goes on with one run; see `resume`."""
    folder = RunFolder.of_all(lambda: RunFolder.resume(run))
    try:
        record, vocabulary, finished = read_begun(folder)
        refuse_kind(folder.path, record.get("kind", "train"))
        config = as_before(folder.path, record, given)
        if finished:
            reporting.console.print(f"run {folder.path} is finished", soft_wrap=True)
            return folder.path
        prepared = Prepared(config, reporting)
        prepared.agree()
        _refuse_other_data(folder.path, record, prepared.record(None))
        if prepared.encoder.to_dict() != vocabulary:
            raise RunError(f"cannot resume {folder.path}: the vocabulary of its data is another now")
        with folder:
            prepared.run(folder, resume=True)
    finally:
        folder.release()
    return folder.path


def refuse_kind(folder: Path, kind: str) -> None:
    """Looks at what was trained in a folder.

    Raises:
        RunError: it is no tagger.
    """
    if kind != "train":
        raise RunError(f"{folder} is a run of jaxbackprop {kind}, which goes on with it")


def as_before(folder: Path, record: dict[str, Any], given: dict[str, Any]) -> Config:
    """The settings of a record of its own, but for those that may change.

    Raises:
        RunError: they are not usable, or others are given that may not change.
    """
    try:
        before = Config.from_dict(record["settings"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"the configuration of {folder} is not usable: {error}") from None
    for name, value in given.items():
        was = getattr(before, name)
        if name not in FREE and value != was and not _same_file(name, value, was):
            raise RunError(f"cannot resume {folder}: {flag(name)} is {value!r}, but it began with {was!r}")
    try:
        return Config.from_dict(before.to_dict() | {name: given[name] for name in FREE if name in given})
    except ValueError as error:
        raise RunError(str(error)) from None


def _same_file(name: str, value: Any, was: Any) -> bool:
    if name not in FILES or was is None or value in NO_FILES:
        return False
    return os.path.realpath(value) == os.path.realpath(was)


def _refuse_other_data(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    for part, found in now["corpus"].items():
        if part != "name" and found != before["corpus"].get(part):
            raise RunError(f"cannot resume {folder}: the {part} sentences are not those it began with")
    for name, what in (("vectors", "word vectors"), ("model_sha256", "weights of --encoder")):
        if now[name] != before.get(name):
            raise RunError(f"cannot resume {folder}: the {what} are not those it began with")

"""One fine-tuning, from files to run folder; and how it goes on where it was stopped."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jaxbackprop.data import DataError
from jaxbackprop.pretrained import load_tokenizer
from jaxbackprop.train import (
    CONFIG,
    Reporting,
    RunError,
    RunFolder,
    agree_on,
    carry_out,
    describe_machine,
    encodes,
    flag,
    make_mesh,
    parse_mesh,
    read_begun,
    refuse_taken,
    take_run,
)

from ._build import pretrained, with_head
from ._classifier import settings_of
from ._config import Settings
from ._fit import ClassifierTraining
from ._parts import frozen_parts
from ._texts import MINI, MOVIES, locate, read_texts

# Settings that change nothing of what a run comes to.
FREE = ("save_every", "keep")
_FILES = ("model", "data", "dev", "test")
COMMAND = "finetune"


class Prepared:
    """Data and model of a run, read and built before its folder is touched."""

    def __init__(self, settings: Settings, reporting: Reporting) -> None:
        """Reads them."""
        self.began = time.perf_counter()
        self.settings, self.reporting = settings, reporting
        own, config = settings.own, settings.training
        mesh = make_mesh(None if config.mesh is None else parse_mesh(config.mesh))
        self.texts = read_texts(own)
        source = locate(own.model, MINI)
        self.bert = pretrained(settings, reporting.warn)
        self.tokenizer = load_tokenizer(source)
        frozen_parts(own.freeze, self.bert.config.num_hidden_layers)
        self.sha256 = weights_sha256(source)
        self.machine = describe_machine(mesh)
        model = with_head(self.bert, settings, len(self.texts.labels))
        self.training = ClassifierTraining(settings, model, self.tokenizer, self.texts, mesh)
        self._warn_of_labels()
        sizes = " / ".join(f"{len(getattr(self.texts, part)):,}" for part in ("train", "dev", "test"))
        shown = f"{self.texts.name}: {sizes} sentences, {len(self.texts.labels)} labels, model {own.model}"
        reporting.console.print(shown, soft_wrap=True)

    def record(self, started: datetime | None) -> dict[str, Any]:
        """What config.json holds."""
        own = self.settings.own.to_dict()
        located = {name: _located(own[name]) for name in _FILES}
        files = {"train": located["data"], "dev": located["dev"] or located["data"], "test": located["test"]}
        return {
            "format": 1,
            "kind": COMMAND,
            "settings": self.settings.training.to_dict() | files,
            "finetune": own | located,
            "model_sha256": self.sha256,
            "corpus": {"name": self.texts.name, **self.texts.describe()},
            "started": None if started is None else started.isoformat(timespec="seconds"),
            **self.machine,
        }

    def vocabulary(self) -> dict[str, Any]:
        """What vocabulary.json holds: all that a prediction needs beside parameters."""
        return {
            "labels": list(self.texts.labels),
            "in_pairs": self.texts.in_pairs,
            "bert": self.bert.config.to_dict(),
            "tokenizer": self.tokenizer.to_text(),
        }

    def files(self, started: datetime) -> dict[str, Any]:
        """What a run's folder holds from the start."""
        return {CONFIG: self.record(started), "vocabulary.json": self.vocabulary()}

    def agree(self) -> None:
        """Looks whether all processes that train together have the same data, model, settings and versions.

        Raises:
            HostsError: they have not.
        """
        own = {name: value for name, value in self.settings.own.to_dict().items() if name not in _FILES}
        data = {"the data": self.texts.describe(), "the model": self.sha256}
        agree_on(self.machine, own | self.settings.shared(), data)

    def run(self, folder: RunFolder, *, resume: bool) -> None:
        """Trains, and writes what the run comes to."""
        carry_out(
            folder,
            self.training,
            self.settings.training,
            self.reporting,
            resume=resume,
            began=self.began,
            command=COMMAND,
        )

    def _warn_of_labels(self) -> None:
        for part in ("dev", "test"):
            if unknown := {row.label for row in getattr(self.texts, part)} - set(self.texts.labels):
                shown = ", ".join(sorted(unknown)[:5])
                self.reporting.warn(f"{part} sentences have labels that training lacks: {shown}")


def finetune(settings: Settings, out: str | os.PathLike[str] | None, reporting: Reporting) -> Path:
    """Fine-tunes a classifier, and keeps its run folder.

    The folder is as that of `jaxbackprop train`; its ``vocabulary.json`` holds labels, sizes and tokenizer.

    Args:
        settings: of the run.
        out: the folder; None takes ``runs/`` and the time.
        reporting: where progress, scores and warnings go.

    Returns:
        The folder.

    Raises:
        RunError: the folder cannot be written.
        DataError: data or model are not what they should be.
        MissingExtra: the extra `bert` is not installed.
        CannotRun: an asset has not been fetched.
        Diverged: the loss became infinite or nan.
    """
    started = datetime.now().astimezone()
    if out is not None:
        refuse_taken(out)
    prepared = Prepared(settings, reporting)
    prepared.agree()
    with take_run(out, started, prepared.files(started)) as folder:
        prepared.run(folder, resume=False)
    return folder.path


def resume_run(
    run: str | os.PathLike[str], own: Mapping[str, Any], shared: Mapping[str, Any], reporting: Reporting
) -> Path:
    """Goes on with one run; see `resume_finetune`."""
    folder = RunFolder.of_all(lambda: RunFolder.resume(run))
    try:
        record, vocabulary, finished = read_begun(folder)
        if record.get("kind") != COMMAND:
            raise RunError(f"{folder.path} is no run of jaxbackprop finetune")
        settings = as_before(folder.path, settings_of(folder.path, record), own, shared)
        if finished:
            reporting.console.print(f"run {folder.path} is finished", soft_wrap=True)
            return folder.path
        prepared = Prepared(settings, reporting)
        prepared.agree()
        now = prepared.record(None)
        for part, found in now["corpus"].items():
            if part != "name" and found != record["corpus"].get(part):
                raise RunError(
                    f"cannot resume {folder.path}: the {part} sentences are not those it began with"
                )
        if now["model_sha256"] != record["model_sha256"] or prepared.vocabulary() != vocabulary:
            raise RunError(f"cannot resume {folder.path}: the model is not the one it began with")
        with folder:
            prepared.run(folder, resume=True)
    finally:
        folder.release()
    return folder.path


def as_before(folder: Path, before: Settings, own: Mapping[str, Any], shared: Mapping[str, Any]) -> Settings:
    """The settings of a run that goes on, but for those that may change.

    Raises:
        RunError: others are given that may not change.
    """
    were = {**before.own.to_dict(), **before.shared()}
    for name, value in {**own, **shared}.items():
        same = name in _FILES and value is not None and _located(value) == were[name]
        if name not in FREE and value != were[name] and not same:
            raise RunError(
                f"cannot resume {folder}: {flag(name)} is {value!r}, but it began with {were[name]!r}"
            )
    free = {name: shared[name] for name in FREE if name in shared}
    try:
        return Settings.of(before.own.to_dict(), before.shared() | free)
    except ValueError as error:
        raise RunError(str(error)) from None


def _located(value: str | None) -> str | None:
    """The absolute path of a file that a setting names; an asset stays what it is."""
    if value is None or (value in (MINI, MOVIES) and not Path(value).exists()):
        return value
    path = str(Path(value).absolute())
    return path if encodes(path) else value


def weights_sha256(folder: Path) -> str:
    """A checksum of a model's parameters.

    Raises:
        DataError: they cannot be read.
    """
    path = folder / "model.safetensors"
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None

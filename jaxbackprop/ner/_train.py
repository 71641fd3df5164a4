"""One training run, from the corpus to the run folder; and how it goes on where it was stopped."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from flax import nnx
from rich.console import Console

from jaxbackprop._output import print_whole
from jaxbackprop.data import (
    Corpus,
    DataError,
    Encoder,
    WordVectors,
    compare_tags,
    default_corpus,
    load_vectors,
    read_corpus,
    tag_set,
)
from jaxbackprop.train import (
    Config,
    Diverged,
    Epoch,
    Progress,
    RunError,
    RunFolder,
    Training,
    describe_machine,
    draw_curves,
    flag,
    read_run,
    refuse_taken,
    save_parameters,
    warn_of_machine,
)

from ._build import build_model
from ._fit import AtStart, TaggerTraining
from ._record import describe_corpus, describe_vectors, summary
from ._tagger import Tagger

# Settings that change nothing of what a run comes to.
_FREE = ("save_every", "keep")


def train(
    config: Config,
    out: str | os.PathLike[str] | None,
    console: Console,
    at_start: AtStart | None = None,
    *,
    warn: Callable[[str], None] = warnings.warn,
    explain: Callable[[Diverged, Any], str] = lambda error, loss: "",
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
        console: where progress and scores are shown.
        at_start: called before the first step with the model, its loss, the first batch and that step's key.
        warn: told, in one line, what is odd.
        explain: makes a sentence of a loss that is no number, and the loss's function.

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
    prepared = _Prepared(config, console, warn)
    folder = RunFolder.take_dated("runs", started) if out is None else RunFolder.take(out)
    with folder:
        folder.write_json("config.json", prepared.record(started))
        folder.write_json("vocabulary.json", prepared.encoder.to_dict())
        folder.seal()
        if at_start is not None:
            prepared.training.first(at_start)
        prepared.run(folder, resume=False, warn=warn, explain=explain)
    return folder.path


def resume(
    run: str | os.PathLike[str],
    given: dict[str, Any],
    console: Console,
    *,
    warn: Callable[[str], None],
    explain: Callable[[Diverged, Any], str] = lambda error, loss: "",
) -> Path:
    """Goes on with a run where it was stopped, to what it would have come to without.

    Args:
        run: its folder.
        given: settings that are to be as they were; how often to save may change.
        console: where progress and scores are shown.
        warn: told, in one line, what is odd.
        explain: see `train`.

    Returns:
        The folder; one that is finished is left as it is.

    Raises:
        RunError: the folder is no run or is damaged; or settings, data or vocabulary are not those that the
            run began with.
        DataError, MissingExtra, Diverged: see `train`.
    """
    folder = RunFolder.resume(run)
    try:
        record, vocabulary = read_run(folder.path, begun=True)
        config = _as_before(folder.path, record, given)
        if folder.finished:
            console.print(f"run {folder.path} is finished", soft_wrap=True)
            return folder.path
        warn_of_machine(record, warn)
        prepared = _Prepared(config, console, warn)
        _refuse_other_data(folder.path, record, prepared.record(None))
        if prepared.encoder.to_dict() != vocabulary:
            raise RunError(f"cannot resume {folder.path}: the vocabulary of its data is another now")
        with folder:
            prepared.run(folder, resume=True, warn=warn, explain=explain)
    finally:
        folder.release()
    return folder.path


class _Prepared:
    """Data and model of a run, read and built before its folder is touched."""

    def __init__(self, config: Config, console: Console, warn: Callable[[str], None]) -> None:
        self.began = time.perf_counter()
        self.config, self.console = config, console
        self.corpus = _read(config)
        self.vectors: WordVectors | None = (
            None if config.vectors == "random" else load_vectors(config.vectors)
        )
        tags = tag_set(self.corpus.train, config.task)
        if config.task == "spans" and tags == ("O",):
            raise DataError("the training sentences hold no entity: there is nothing to learn")
        for name, part in ((config.dev, self.corpus.dev), (config.test, self.corpus.test)):
            compare_tags(tags, part, name=name or self.corpus.name, task=config.task, warn=warn)
        self.encoder = Encoder.build(
            self.corpus.train,
            dev=self.corpus.dev,
            tags=tags,
            window=config.window,
            vectors=self.vectors,
            min_count=config.min_count,
        )
        dim = None if self.vectors is not None else config.word_dim
        table = self.encoder.initial_table(self.vectors, np.random.default_rng(config.seed), dim=dim)
        self.word_dim = table.shape[1]
        model = build_model(config, self.encoder, self.word_dim, table)
        self.training = TaggerTraining(config, model, self.encoder, self.corpus)
        console.print(summary(self.corpus, self.encoder, self.vectors, config.task))

    def record(self, started: datetime | None) -> dict[str, Any]:
        """What config.json holds."""
        return {
            "format": 1,
            "settings": self.config.to_dict(),
            "word_dim": self.word_dim,
            "vectors": describe_vectors(self.config.vectors, self.vectors),
            "corpus": describe_corpus(self.corpus),
            "started": None if started is None else started.isoformat(timespec="seconds"),
            **describe_machine(),
        }

    def run(
        self,
        folder: RunFolder,
        *,
        resume: bool,
        warn: Callable[[str], None],
        explain: Callable[[Diverged, Any], str],
    ) -> None:
        """Trains, and writes what the run came to."""
        console = self.console
        try:
            with Progress(console, self.training.steps) as progress:
                training = self.training.begin(folder, resume=resume, on_steps=progress.steps, warn=warn)
                with closing(training):
                    for epoch, _ in training:
                        progress.epoch(epoch, _figures(epoch))
        except Diverged as error:
            self._say_where(folder, error, explain)
        except KeyboardInterrupt as error:
            error.args = (f"go on with: jaxbackprop train --resume {folder.path}",)
            raise
        save_parameters(folder.path, nnx.to_pure_dict(nnx.state(training.best_model)))
        folder.seal()
        results = self._results(training)
        results["seconds"] = time.perf_counter() - self.began
        folder.write_json("results.json", results)
        rates = self.training.learning_rate(training.records[-1]["step"])
        draw_curves(folder.path / "curves.png", training.records, rates, monitor=self.training.monitor)
        console.print()
        took = time.perf_counter() - self.began
        console.print(f"run {folder.path} took {took:.1f} s", soft_wrap=True)

    def _results(self, training: Training[Any]) -> dict[str, Any]:
        assert training.best is not None  # there is at least one epoch
        results: dict[str, Any] = {
            "best_epoch": training.best["epoch"],
            "parameters_sha256": training.parameters_sha256,
            "steps_per_second": training.steps_per_second,
        }
        if self.corpus.test:
            tagger = Tagger(self.config, self.encoder, training.best_model, self.vectors)
            scores = tagger.evaluate(self.corpus.test)
            results["test"] = scores.to_dict()
            self.console.print()
            self.console.print(f"test, with the parameters of epoch {training.best['epoch']}:")
            print_whole(self.console, scores.table(ruled=self.console.is_terminal), highlight=True)
        return results

    def _say_where(
        self, folder: RunFolder, error: Diverged, explain: Callable[[Diverged, Any], str]
    ) -> NoReturn:
        """Raises the error again, with the sentences of its batch and what is wrong with the model."""
        sentences = self.training.sentences(error)
        shown = ", ".join(map(str, sentences[:5])) + (", ..." if len(sentences) > 5 else "")
        reason = "" if error.model is None else explain(error, self.training.loss)
        folder.say(step=error.step, sentences=sentences)
        error.args = (
            f"the loss is {error.loss} at step {error.step}, on training sentences {shown}"
            f" (all {len(sentences)} in {folder.path / 'status.json'}){reason and ': ' + reason};"
            " a lower --lr may help",
        )
        raise error


def _figures(epoch: Epoch) -> str:
    names = (name.removeprefix("dev_").replace("f1", "F1") for name in epoch.metrics)
    shown = zip(names, epoch.metrics.values(), strict=True)
    return "dev " + "  ".join(f"{name} {value:.4f}" for name, value in shown)


def _read(config: Config) -> Corpus:
    if config.train is None:
        return default_corpus()
    assert config.dev is not None  # Config has seen to it
    return read_corpus(
        config.train,
        config.dev,
        config.test,
        columns=config.columns,
        scheme=config.scheme,
        task=config.task,
    )


def _as_before(folder: Path, record: dict[str, Any], given: dict[str, Any]) -> Config:
    """The run's own settings, but for those that may change."""
    try:
        before = Config.from_dict(record["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"the configuration of {folder} is not usable: {error}") from None
    for name, value in given.items():
        was = getattr(before, name)
        if value != was and name not in _FREE:
            raise RunError(f"cannot resume {folder}: {flag(name)} is {value!r}, but it began with {was!r}")
    return Config.from_dict(before.to_dict() | {name: given[name] for name in _FREE if name in given})


def _refuse_other_data(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    for part, found in now["corpus"].items():
        if part != "name" and found != before["corpus"].get(part):
            raise RunError(f"cannot resume {folder}: the {part} sentences are not those it began with")
    if now["vectors"] != before["vectors"]:
        raise RunError(f"cannot resume {folder}: the word vectors are not those it began with")

"""A run of which data and model are there: trained, scored and recorded."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
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
    CONFIG,
    Config,
    Diverged,
    Epoch,
    EventFile,
    Progress,
    RunFolder,
    Training,
    describe_machine,
    draw_curves,
    has_events,
    make_mesh,
    parse_mesh,
    save_parameters,
)

from ._build import build_model
from ._fit import AtStart, TaggerTraining
from ._record import describe_corpus, describe_settings, describe_vectors, summary
from ._tagger import Tagger


@dataclass(frozen=True)
class Reporting:
    """How a run speaks of itself.

    Attributes:
        console: where progress and scores are shown.
        warn: told, in one line, what is odd.
        explain: makes a sentence of a loss that is no number, and the loss's function.
        tensorboard: whether the figures go to an event file, too; a run that has one goes on with it.
    """

    console: Console
    warn: Callable[[str], None] = warnings.warn
    explain: Callable[[Diverged, Any], str] = lambda error, loss: ""
    tensorboard: bool = False


class Prepared:
    """Data and model of a run, read and built before its folder is touched."""

    def __init__(self, config: Config, reporting: Reporting) -> None:
        self.began = time.perf_counter()
        self.config, self.reporting = config, reporting
        self.console, warn = reporting.console, reporting.warn
        # Too few devices are said before anything is read.
        mesh = make_mesh(None if config.mesh is None else parse_mesh(config.mesh))
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
        self.machine = describe_machine(mesh)
        self.training = TaggerTraining(config, model, self.encoder, self.corpus, mesh)
        self.console.print(summary(self.corpus, self.encoder, self.vectors, config.task))

    def record(self, started: datetime | None) -> dict[str, Any]:
        """What config.json holds."""
        return {
            "format": 1,
            "settings": describe_settings(self.config),
            "word_dim": self.word_dim,
            "vectors": describe_vectors(self.config.vectors, self.vectors),
            "corpus": describe_corpus(self.corpus),
            "started": None if started is None else started.isoformat(timespec="seconds"),
            **self.machine,
        }

    def files(self, started: datetime) -> dict[str, Any]:
        """What a run's folder holds from the start, so that it can be gone on with, wherever it is killed."""
        return {CONFIG: self.record(started), "vocabulary.json": self.encoder.to_dict()}

    def begin(self, folder: RunFolder, at_start: AtStart | None) -> None:
        """Trains in a new folder, and writes what the run comes to."""
        if at_start is not None:
            self.training.first(at_start)
        self.run(folder, resume=False)

    def run(self, folder: RunFolder, *, resume: bool) -> None:
        """Trains, and writes what the run comes to."""
        console, config = self.console, self.config
        try:
            with Progress(console, self.training.steps) as progress:
                training = self.training.begin(
                    folder, resume=resume, on_steps=progress.steps, warn=self.reporting.warn
                )
                with closing(training), self._events(folder, training) as events:
                    for epoch, _ in training:
                        progress.epoch(epoch, _figures(epoch))
                        if events is not None:
                            events.write(training.records[-1])
        except Diverged as error:
            self._say_where(folder, error)
        except KeyboardInterrupt as error:
            error.args = (go_on_with(folder.path),)
            raise
        if len(training.records) < config.epochs:
            figure = _shown(self.training.monitor)
            console.print(
                f"stopped after epoch {len(training.records)} of {config.epochs}:"
                f" {figure} has not grown for {config.patience} epoch{'s' * (config.patience != 1)}"
            )
        save_parameters(folder.path, nnx.to_pure_dict(nnx.state(training.best_model)))
        folder.seal()
        results = self._results(training)
        results["seconds"] = time.perf_counter() - self.began
        folder.write_json("results.json", results)
        rates = self.training.learning_rate(training.records)
        draw_curves(folder.path / "curves.png", training.records, rates, monitor=self.training.monitor)
        console.print()
        took = time.perf_counter() - self.began
        console.print(f"run {folder.path} took {took:.1f} s", soft_wrap=True)

    def _events(self, folder: RunFolder, training: Training[Any]) -> EventFile | AbstractContextManager[None]:
        if self.reporting.tensorboard or has_events(folder.path):
            return EventFile(folder.path, training.records)
        return nullcontext()

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

    def _say_where(self, folder: RunFolder, error: Diverged) -> NoReturn:
        """Raises the error again, with the sentences of its batch and what is wrong with the model."""
        sentences = self.training.sentences(error)
        shown = ", ".join(map(str, sentences[:5])) + (", ..." if len(sentences) > 5 else "")
        reason = "" if error.model is None else self.reporting.explain(error, self.training.loss)
        folder.say(step=error.step, sentences=sentences)
        error.args = (
            f"the loss is {error.loss} at step {error.step}, on training sentences {shown}"
            f" (all {len(sentences)} in {folder.path / 'status.json'}){reason and ': ' + reason};"
            " a lower --lr may help",
        )
        raise error


def go_on_with(path: Path) -> str:
    """What to say of a run that was interrupted."""
    return f"go on with: jaxbackprop train --resume {path}"


def _figures(epoch: Epoch) -> str:
    names = (_shown(name).removeprefix("dev ") for name in epoch.metrics)
    shown = zip(names, epoch.metrics.values(), strict=True)
    return "dev " + "  ".join(f"{name} {value:.4f}" for name, value in shown)


def _shown(figure: str) -> str:
    return figure.replace("_", " ").replace("f1", "F1")


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

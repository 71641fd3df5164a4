"""A run of which data and model are there: trained, scored and recorded."""

from __future__ import annotations

import time
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console

from jaxbackprop._errors import CannotRun
from jaxbackprop.data import (
    Corpus,
    DataError,
    Encoder,
    StreamedCorpus,
    WordVectors,
    compare_tags,
    default_corpus,
    is_pattern,
    load_vectors,
    read_corpus,
    stream_corpus,
)
from jaxbackprop.finetune import weights_sha256
from jaxbackprop.models import BertTagger, WindowNER
from jaxbackprop.train import (
    CONFIG,
    Config,
    Reporting,
    RunFolder,
    agree_on,
    carry_out,
    current_hosts,
    describe_machine,
    make_mesh,
    parse_mesh,
)

from ._bert import folder_of, pretrained_tagger
from ._build import build_model
from ._fit import AtStart, TaggerTraining
from ._pieces import PieceEncoder
from ._record import FILES, describe_corpus, describe_settings, describe_vectors, summary
from ._training_text import TrainingText, training_text


class Prepared:
    """Data and model of a run, read and built before its folder is touched."""

    def __init__(self, config: Config, reporting: Reporting) -> None:
        self.began = time.perf_counter()
        self.config, self.reporting = config, reporting
        warn = reporting.warn
        # Too few devices are said before anything is read.
        mesh = make_mesh(None if config.mesh is None else parse_mesh(config.mesh))
        self.corpus = _read(config, reporting.console)
        text = training_text(self.corpus.train)
        windows = config.model == "window"
        self.vectors: WordVectors | None = (
            load_vectors(config.vectors) if windows and config.vectors != "random" else None
        )
        tags = text.tags(config.task)
        if config.task == "spans" and tags == ("O",):
            raise DataError("the training sentences hold no entity: there is nothing to learn")
        for name, part in ((config.dev, self.corpus.dev), (config.test, self.corpus.test)):
            compare_tags(tags, part, name=name or self.corpus.name, task=config.task, warn=warn)
        self.word_dim: int | None = None
        self.sha256 = None if windows else weights_sha256(folder_of(config))
        model, self.encoder = (
            self._of_windows(text, tags) if windows else pretrained_tagger(config, tags, warn)
        )
        self.machine = describe_machine(mesh)
        self.training = TaggerTraining(config, model, self.encoder, self.corpus, mesh, self.vectors)
        reporting.console.print(summary(self.corpus, self.encoder, self.vectors, config), soft_wrap=True)

    def _of_windows(
        self, text: TrainingText, tags: tuple[str, ...]
    ) -> tuple[WindowNER | BertTagger, Encoder | PieceEncoder]:
        config = self.config
        encoder = text.encoder(
            dev=self.corpus.dev,
            tags=tags,
            window=config.window,
            vectors=self.vectors,
            min_count=config.min_count,
        )
        dim = None if self.vectors is not None else config.word_dim
        table = encoder.initial_table(self.vectors, np.random.default_rng(config.seed), dim=dim)
        self.word_dim = table.shape[1]
        return build_model(config, encoder, table.shape[1], table), encoder

    def record(self, started: datetime | None) -> dict[str, Any]:
        """What config.json holds."""
        return {
            "format": 1,
            "settings": describe_settings(self.config),
            "word_dim": self.word_dim,
            "vectors": describe_vectors(self.config.vectors, self.vectors),
            "model_sha256": self.sha256,
            "corpus": describe_corpus(self.corpus),
            "started": None if started is None else started.isoformat(timespec="seconds"),
            **self.machine,
        }

    def files(self, started: datetime) -> dict[str, Any]:
        """What a run's folder holds from the start, so that it can be gone on with, wherever it is killed."""
        return {CONFIG: self.record(started), "vocabulary.json": self.encoder.to_dict()}

    def agree(self) -> None:
        """Looks whether all processes that train together have the same data, settings and versions.

        Raises:
            HostsError: they have not.
        """
        settings = {name: value for name, value in self.config.to_dict().items() if name not in FILES}
        vectors = None if self.vectors is None else self.vectors.sha256
        sums = describe_corpus(self.corpus) | {"name": None}
        agree_on(
            self.machine,
            settings,
            {"the data": sums, "the word vectors": vectors, "the pretrained model": self.sha256},
        )

    def begin(self, folder: RunFolder, at_start: AtStart | None) -> None:
        """Trains in a new folder, and writes what the run comes to."""
        if at_start is not None:
            self.training.first(at_start)
        self.run(folder, resume=False)

    def run(self, folder: RunFolder, *, resume: bool) -> None:
        """Trains, and writes what the run comes to."""
        carry_out(folder, self.training, self.config, self.reporting, resume=resume, began=self.began)


def _read(config: Config, console: Console) -> Corpus | StreamedCorpus:
    if config.train is None:
        return default_corpus()
    assert config.dev is not None  # Config has seen to it
    files = (config.train, config.dev, config.test)
    how: dict[str, Any] = {"columns": config.columns, "scheme": config.scheme, "task": config.task}
    if config.model == "bert" and is_pattern(config.train):
        raise CannotRun(
            f"--train {config.train} is a pattern, and --model bert streams no files: give one file"
        )
    if not is_pattern(config.train):
        return read_corpus(*files, **how)
    hosts = current_hosts()
    say = partial(console.print, soft_wrap=True)
    return stream_corpus(*files, **how, say=say, index=hosts.index, count=hosts.count)

"""One training run, from the corpus to the run folder."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from rich.console import Console

from jaxbackprop._output import print_whole
from jaxbackprop.data import (
    Corpus,
    DataError,
    Encoder,
    compare_tags,
    default_corpus,
    load_vectors,
    read_corpus,
    tag_set,
)
from jaxbackprop.train import Config, RunWriter, draw_curves, save_parameters

from ._build import build_model
from ._fit import AtStart, fit_tagger
from ._record import describe_corpus, describe_machine, summary
from ._tagger import Tagger


def train(
    config: Config,
    out: str | os.PathLike[str] | None,
    console: Console,
    at_start: AtStart | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> Path:
    """Trains a window classifier and writes its run folder.

    The folder holds ``config.json`` (settings, versions, machine, data), ``metrics.jsonl`` (a line an epoch;
    the same to the last byte for the same settings on the same machine), ``curves.png``, ``results.json``
    (scores and times), ``checkpoint/`` (parameters of the epoch with the best development score),
    ``vocabulary.json`` (words, affixes, tags) and ``manifest.json`` (checksums). It appears when it is whole,
    or not at all. A run that is interrupted after an epoch keeps what it has: the folder is written, and then
    the interruption is raised again.

    Args:
        config: the settings.
        out: the folder; None takes ``runs/`` and the time.
        console: where progress and scores are shown.
        at_start: called before the first step with the model, its loss, the first batch and that step's key.
        warn: told, in one line, of tags that development or test sentences have and training lacks.

    Returns:
        The folder.

    Raises:
        RunError: the folder cannot be written.
        DataError: the data is not what it should be.
        MissingExtra: the default data is not installed.
        Diverged: the loss became infinite or nan.
    """
    began, started = time.perf_counter(), datetime.now().astimezone()
    with RunWriter(_default_folder(started) if out is None else out) as writer:
        corpus = _read(config)
        vectors = None if config.vectors == "random" else load_vectors(config.vectors)
        tags = tag_set(corpus.train, config.task)
        if config.task == "spans" and tags == ("O",):
            raise DataError("the training sentences hold no entity: there is nothing to learn")
        for name, part in ((config.dev, corpus.dev), (config.test, corpus.test)):
            compare_tags(tags, part, name=name or corpus.name, task=config.task, warn=warn)
        encoder = Encoder.build(
            corpus.train,
            dev=corpus.dev,
            tags=tags,
            window=config.window,
            vectors=vectors,
            min_count=config.min_count,
        )
        dim = None if vectors is not None else config.word_dim
        table = encoder.initial_table(vectors, np.random.default_rng(config.seed), dim=dim)
        model = build_model(config, encoder, table.shape[1], table)
        console.print(summary(corpus, encoder, vectors, config.task))

        outcome = fit_tagger(config, model, encoder, corpus, console, at_start)

        tagger = Tagger(config, encoder, outcome.model, vectors)
        results: dict[str, Any] = {
            "best_epoch": outcome.best["epoch"],
            "interrupted": outcome.interruption is not None,
            "training_seconds": outcome.seconds,
            "steps_per_second": outcome.records[-1]["step"] / outcome.seconds,
        }
        if corpus.test:
            scores = tagger.evaluate(corpus.test)
            results["test"] = scores.to_dict()
            console.print()
            console.print(f"test, with the parameters of epoch {outcome.best['epoch']}:")
            print_whole(console, scores.table(ruled=console.is_terminal), highlight=True)

        vectors_record = None
        if vectors is not None:
            source = "glove" if config.vectors == "glove" else str(Path(config.vectors).absolute())
            vectors_record = {"source": source, "sha256": vectors.sha256, "dim": vectors.dim}
        writer.write_json(
            "config.json",
            {
                "format": 1,
                "settings": config.to_dict(),
                "word_dim": table.shape[1],
                "vectors": vectors_record,
                "corpus": describe_corpus(corpus),
                "started": started.isoformat(timespec="seconds"),
                **describe_machine(),
            },
        )
        writer.write_json("vocabulary.json", encoder.to_dict())
        lines = "".join(json.dumps(record, allow_nan=False) + "\n" for record in outcome.records)
        (writer.path / "metrics.jsonl").write_text(lines, encoding="utf-8")
        draw_curves(writer.path / "curves.png", outcome.records, outcome.learning_rate)
        save_parameters(writer.path, nnx.to_pure_dict(nnx.state(outcome.model)))
        results["seconds"] = time.perf_counter() - began
        writer.write_json("results.json", results)
        writer.commit()
        if outcome.interruption is None or not console.is_terminal:
            console.print()
        console.print(f"run {writer.out} took {time.perf_counter() - began:.1f} s")
    if outcome.interruption is not None:
        raise outcome.interruption
    return writer.out


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


def _default_folder(started: datetime) -> Path:
    name = started.strftime("%Y%m%d-%H%M%S")
    candidates = (Path("runs") / (name + (f"-{n}" if n > 1 else "")) for n in range(1, 1000))
    return next(folder for folder in candidates if not folder.exists())

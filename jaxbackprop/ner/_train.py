"""One training run, from the corpus to the run folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from flax import nnx

from jaxbackprop._version import __version__
from jaxbackprop.data import (
    Corpus,
    DataError,
    Encoder,
    Sentence,
    WordVectors,
    batch_indices,
    default_corpus,
    load_vectors,
    read_corpus,
    tag_set,
)
from jaxbackprop.models import WindowNER, window_ner_loss
from jaxbackprop.train import (
    Config,
    Progress,
    RowUpdates,
    RunWriter,
    draw_curves,
    epoch_end,
    fit,
    make_optimizer,
    make_row_optimizer,
    make_schedule,
    print_scores,
    save_parameters,
    score,
)

from ._build import as_batch, build_model, tag_sentences
from ._tagger import Tagger

if TYPE_CHECKING:
    from rich.console import Console


AtStart = Callable[[WindowNER, Callable[..., Any], dict[str, np.ndarray], jax.Array], None]


def train(
    config: Config, out: str | os.PathLike[str] | None, console: Console, at_start: AtStart | None = None
) -> Path:
    """Trains a window classifier and writes its run folder.

    The folder holds ``config.json`` (settings, versions, machine, data), ``metrics.jsonl`` (a line an epoch;
    the same to the last byte for the same settings on the same machine), ``curves.png``, ``results.json``
    (scores and times), ``checkpoint/`` (parameters of the epoch with the best development F1),
    ``vocabulary.json`` (words, affixes, tags) and ``manifest.json`` (checksums). It appears when it is whole,
    or not at all. A run that is interrupted after an epoch keeps what it has: it is written, then the
    interruption goes on its way.

    Args:
        config: the settings.
        out: the folder; None takes ``runs/`` and the time.
        console: where progress and scores are shown.
        at_start: called before the first step with the model, its loss, the first batch and that step's key.

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
        tags = tag_set(corpus.train)
        if tags == ("O",):
            raise DataError("the training sentences hold no entity: there is nothing to learn")
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
        console.print(_summary(corpus, encoder, vectors))

        outcome = _fit(config, model, encoder, corpus, console, at_start)

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
            print_scores(console, scores)

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
                "corpus": _describe_corpus(corpus),
                "started": started.isoformat(timespec="seconds"),
                **_describe_machine(),
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


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """What training came to: metrics an epoch, the best of them and its model."""

    records: list[dict[str, Any]]
    best: dict[str, Any]
    model: WindowNER
    learning_rate: tuple[np.ndarray, np.ndarray]
    seconds: float
    interruption: BaseException | None


def _fit(
    config: Config,
    model: WindowNER,
    encoder: Encoder,
    corpus: Corpus,
    console: Console,
    at_start: AtStart | None,
) -> _Outcome:
    windows = encoder.encode(corpus.train)
    dev = encoder.encode(corpus.dev, labels=False)
    count = len(windows.labels)
    batch_size = min(config.batch_size, count)
    schedule = make_schedule(config, count / batch_size)
    trainable: Any = nnx.Param
    if not config.tune_vectors:
        trainable = nnx.All(nnx.Param, nnx.Not(nnx.PathContains("words")))
    row_optimizer = make_row_optimizer(config, schedule) if config.tune_vectors else None
    by_rows = None
    if row_optimizer is not None:
        by_rows = RowUpdates(row_optimizer, {("words", "embedding"): "words"}, model.words.padding_id)

    def loss(model: WindowNER, batch: Any, key: jax.Array) -> jax.Array:
        return window_ner_loss(model, batch, config.l2, key=key)

    if at_start is not None:
        rows = batch_indices(config.seed, 0, count=count, batch_size=batch_size)
        batch = {name: entries[rows] for name, entries in as_batch(windows).items()}
        at_start(model, loss, batch, jax.random.fold_in(jax.random.key(config.seed), 0))

    records: list[dict[str, Any]] = []
    best: tuple[dict[str, Any], Any] | None = None
    interruption: BaseException | None = None
    began = time.perf_counter()
    with Progress(console, epoch_end(config.epochs, count, batch_size)) as progress:
        epochs = fit(
            model,
            loss,
            dict(as_batch(windows)),
            optimizer=make_optimizer(config, schedule),
            schedule=schedule,
            batch_size=batch_size,
            epochs=config.epochs,
            seed=config.seed,
            average=config.average,
            trainable=trainable,
            rows=by_rows,
            on_steps=progress.steps,
        )
        try:
            for epoch, current in epochs:
                predicted = tag_sentences(current, encoder, dev, decode=config.decode)
                scores = score([sentence.tags for sentence in corpus.dev], predicted)
                record = {
                    **dataclasses.asdict(epoch),
                    "dev_precision": scores.micro.precision,
                    "dev_recall": scores.micro.recall,
                    "dev_f1": scores.micro.f1,
                }
                is_best = best is None or record["dev_f1"] >= best[0]["dev_f1"]
                if is_best:
                    # A copy: the next step writes over the arrays that `current` holds.
                    best = record, jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(current)))
                records.append(record)
                progress.epoch(epoch, scores, best=is_best)
        except (KeyboardInterrupt, SystemExit, BrokenPipeError) as error:
            if best is None:
                raise
            if best[0] not in records:
                records.append(best[0])
            interruption = error
    assert best is not None  # there is at least one epoch
    seconds = time.perf_counter() - began

    graphdef, state = nnx.split(model)
    nnx.replace_by_pure_dict(state, jax.tree.map(jax.numpy.asarray, best[1]))
    steps = np.unique(np.linspace(0, records[-1]["step"] - 1, 2000).astype(np.int32))
    rates = np.asarray(jax.jit(jax.vmap(schedule))(steps))
    return _Outcome(
        records,
        best[0],
        nnx.merge(graphdef, state),
        ((steps + 1) * (batch_size / count), rates),
        seconds,
        interruption,
    )


def _read(config: Config) -> Corpus:
    if config.train is None:
        return default_corpus()
    assert config.dev is not None  # Config has seen to it
    return read_corpus(config.train, config.dev, config.test)


def _default_folder(started: datetime) -> Path:
    name = started.strftime("%Y%m%d-%H%M%S")
    candidates = (Path("runs") / (name + (f"-{n}" if n > 1 else "")) for n in range(1, 1000))
    return next(folder for folder in candidates if not folder.exists())


def _summary(corpus: Corpus, encoder: Encoder, vectors: WordVectors | None) -> str:
    sizes = " / ".join(f"{len(part):,}" for part in (corpus.train, corpus.dev, corpus.test))
    source = "random" if vectors is None else vectors.name
    return (
        f"{corpus.name}: {sizes} sentences, {len(encoder.tags) // 2} entity types, "
        f"{encoder.num_words:,} words, vectors {source}"
    )


def _describe_corpus(corpus: Corpus) -> dict[str, Any]:
    def part(sentences: Sequence[Sentence]) -> dict[str, Any]:
        digest = hashlib.sha256()
        for sentence in sentences:
            for word, tag in zip(sentence.words, sentence.tags, strict=True):
                digest.update(f"{word}\t{tag}\n".encode())
            digest.update(b"\n")
        words = sum(len(sentence.words) for sentence in sentences)
        return {"sentences": len(sentences), "words": words, "sha256_of_words_and_tags": digest.hexdigest()}

    parts = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
    return {"name": corpus.name, **{name: part(sentences) for name, sentences in parts.items()}}


def _describe_machine() -> dict[str, Any]:
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "versions": {
            "jaxbackprop": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
        },
        "device": str(jax.devices()[0].device_kind),
        "platform": jax.default_backend(),
        "threads": len(affinity(0)) if affinity is not None else os.cpu_count(),
    }

"""The tagger with random, frozen and tuned word vectors, trained on some sentences and tried on others."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from jaxbackprop.data import DataError, Encoder, Sentence, WordVectors, tag_set
from jaxbackprop.models import WindowNER
from jaxbackprop.ner import as_batch, build_model, tag_sentences, train_in_memory
from jaxbackprop.train import Config

REGIMES = {
    "frozen": "pre-trained: the vectors are used as they are, and only what stands above them learns",
    "tuned": "fine-tuning: training goes on from the pretrained vectors and changes them too",
    "random": "retraining: the vectors are thrown away and learnt from the start, from this text alone",
}
KINDS = ("random", "frozen", "tuned")
# A step on few words keeps no more than one core busy.
_THREADS = min(2, os.cpu_count() or 1)
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Trained:
    """A run.

    Attributes:
        model: after the last epoch.
        encoder: of its words.
        predicted: BIO tags of the sentences that it was tried on.
    """

    model: WindowNER
    encoder: Encoder
    predicted: list[tuple[str, ...]]


def train_and_try(
    kind: str,
    train: Sequence[Sentence],
    judged: Sequence[Sentence],
    *,
    tags: Sequence[str],
    vectors: WordVectors,
    config: Config,
    whole: Sequence[Sentence] = (),
) -> Trained:
    """Trains as `jaxbackprop train` does, to the last epoch, and tags other sentences.

    Args:
        kind: of word vectors, one of `KINDS`.
        train: sentences to learn from.
        judged: sentences to tag; nothing is learnt from them and nothing chosen by them.
        tags: of all sentences.
        vectors: the pretrained ones; random ones are as long.
        config: the settings, seed included.
        whole: of what `train` is a part. Tables and arrays are made as large as for all of it, so that one
            compiled program serves all sizes.

    Raises:
        FloatingPointError: a loss is no number.
    """
    config = dataclasses.replace(config, tune_vectors=kind != "frozen")
    given = None if kind == "random" else vectors
    how: dict[str, Any] = {"tags": tags, "window": config.window, "vectors": given}
    how["min_count"] = config.min_count
    encoder = Encoder.build(train, dev=judged, **how)
    encoder = _padded(encoder, Encoder.build(whole, dev=judged, **how) if whole else encoder)
    dim = vectors.dim if given is None else None
    table = encoder.initial_table(given, np.random.default_rng(config.seed), dim=dim)
    model = build_model(config, encoder, table.shape[1], table)
    examples = as_batch(encoder.encode(train))
    count = len(examples["labels"])
    rows = _rounded(max(count, sum(len(sentence.words) for sentence in whole)))
    filled = {
        name: jnp.asarray(np.concatenate([array, np.zeros((rows - count, *array.shape[1:]), array.dtype)]))
        for name, array in examples.items()
    }
    made = train_in_memory(config, model, filled, count=count)
    if made.diverged:
        raise FloatingPointError(
            f"the loss with {kind} vectors on {len(train)} sentences is no number: "
            "a lower learning rate may help"
        )
    predicted = tag_sentences(made.model, encoder, encoder.encode(judged, labels=False), decode=config.decode)
    return Trained(made.model, encoder, predicted)


def enough_updates(config: Config, words: int, updates: int) -> Config:
    """The settings with epochs for at least `updates` updates, in one cycle of the learning rate."""
    each = max(words / config.batch_size, 1.0)
    epochs = max(config.epochs, int(np.ceil(updates / each)))
    return dataclasses.replace(config, epochs=epochs, cycle_epochs=float(epochs))


def tags_of(sentences: Sequence[Sentence], name: str) -> tuple[str, ...]:
    """The tags of some sentences.

    Raises:
        DataError: they hold no entity.
    """
    tags: tuple[str, ...] = tag_set(sentences, "spans")
    if tags == ("O",):
        raise DataError(f"{name}: the training sentences hold no entity: there is nothing to learn")
    return tags


def in_parallel(work: Callable[[_Job], _Result], jobs: Sequence[_Job]) -> Iterator[tuple[_Job, _Result]]:
    """Each job with its result, in order; two at a time."""
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            yield from zip(jobs, pool.map(work, jobs), strict=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _rounded(count: int) -> int:
    """The next power of two, so that runs of about the same size share a compiled program."""
    return 1 << max(count - 1, 1).bit_length()


def _padded(encoder: Encoder, largest: Encoder) -> Encoder:
    """An encoder with tables as large as the largest's, at a power of two; no word has the names added."""

    def filled(entries: tuple[str, ...], most: tuple[str, ...]) -> tuple[str, ...]:
        rows = _rounded(max(len(entries), len(most)) + 1)
        return (*entries, *(f"\n{n}" for n in range(rows - len(entries) - 1)))

    return dataclasses.replace(
        encoder,
        words=filled(encoder.words, largest.words),
        prefixes=filled(encoder.prefixes, largest.prefixes),
        suffixes=filled(encoder.suffixes, largest.suffixes),
    )

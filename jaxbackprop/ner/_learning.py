"""What training a tagger asks of its model: one answer for windows, and one for a BERT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from jaxbackprop.data import Corpus, Encoder, StreamedCorpus
from jaxbackprop.models import BertTagger, WindowNER, window_ner_loss
from jaxbackprop.train import Config, RowUpdates, Schedule, kernels, make_momentum, make_optimizer

from ._bert import bert_tagger_loss, tag_pieces, trainable_parts
from ._build import make_updates, tag_sentences, trainable
from ._pieces import PieceEncoder
from ._training_text import training_text

Updates = tuple[optax.GradientTransformation, RowUpdates | None]


@dataclass(frozen=True)
class Learning:
    """A model's part of its training.

    Attributes:
        examples: as `jaxbackprop.train.fit` takes data.
        count: how many there are: words, or rows of pieces.
        loss: of a model, a batch and a key: what is minimized.
        updates: from a schedule and the updates in an epoch: the optimizer, and the updates by rows.
        trainable: which parameters are trained.
        tag_dev: the tags that a model gives the development sentences.
        places: the sentences of some examples, by their numbers, from 1.
    """

    examples: Any
    count: int
    loss: Callable[[Any, Mapping[str, jax.Array], jax.Array], jax.Array]
    updates: Callable[[Schedule, float], Updates]
    trainable: nnx.filterlib.Filter
    tag_dev: Callable[[Any], list[tuple[str, ...]]]
    places: Callable[[np.ndarray], Sequence[int | str]]


def learning_of(
    config: Config,
    model: WindowNER | BertTagger,
    encoder: Encoder | PieceEncoder,
    corpus: Corpus | StreamedCorpus,
) -> Learning:
    """What the model learns from, and how."""
    if isinstance(encoder, PieceEncoder):
        assert isinstance(model, BertTagger)
        return _of_pieces(config, model, encoder, corpus)
    assert isinstance(model, WindowNER)
    text, dev = training_text(corpus.train), encoder.encode(corpus.dev, labels=False)

    def loss(model: WindowNER, batch: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
        return window_ner_loss(model, batch, config.l2, key=key)

    return Learning(
        text.examples(encoder),
        text.words,
        loss,
        partial(make_updates, config, padding_id=model.words.padding_id),
        trainable(config),
        lambda model: tag_sentences(model, encoder, dev, decode=config.decode),
        text.places,
    )


def _of_pieces(
    config: Config, model: BertTagger, encoder: PieceEncoder, corpus: Corpus | StreamedCorpus
) -> Learning:
    assert isinstance(corpus, Corpus)  # patterns of files are refused
    train, dev = encoder.encode(corpus.train), encoder.encode(corpus.dev)
    lengths = [len(sentence.words) for sentence in corpus.dev]

    def updates(schedule: Schedule, steps_per_epoch: float) -> Updates:
        momentum = make_momentum(config, steps_per_epoch)
        return make_optimizer(config, schedule, momentum=momentum, decayed=kernels), None

    return Learning(
        train.arrays,
        len(train.rows),
        bert_tagger_loss,
        updates,
        trainable_parts(config, model.bert.config.num_hidden_layers),
        lambda model: tag_pieces(model, encoder, dev, lengths, decode=config.decode),
        lambda rows: sorted({train.rows[int(row)][0] + 1 for row in rows}),
    )

"""A trained run, examined with the loss of its training on a batch of its data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxbackprop import finetune
from jaxbackprop.data import DataError, Sentence, default_corpus, read_conll, read_labelled
from jaxbackprop.doctor import Report, health
from jaxbackprop.models import WindowNER, window_ner_loss
from jaxbackprop.ner import (
    PieceEncoder,
    as_batch,
    bert_tagger_loss,
    load_tagger,
    trainable,
    trainable_parts,
)
from jaxbackprop.train import Config, kernels, kind_of_run, make_momentum, make_optimizer, make_schedule

# Enough for every unit to meet an example that it is for; the time is that of a training step of this size.
_WINDOWS, _SEQUENCES = 2048, 32
_SENTENCES_AT_MOST = 2000

Updates = Callable[[float], optax.GradientTransformation]


class _Trained(NamedTuple):
    """What is examined.

    Attributes:
        model: at the parameters of the checkpoint.
        loss: of the model and a batch, without dropout.
        examples: arrays whose rows a batch is made of.
        most: rows of a batch.
        trained: which parameters are trained.
        batch_size: in training.
        updates: from the updates in an epoch to the optimizer.
    """

    model: nnx.Module
    loss: Callable[[Any, Mapping[str, jax.Array]], jax.Array]
    examples: Mapping[str, np.ndarray]
    most: int
    trained: nnx.filterlib.Filter
    batch_size: int
    updates: Updates


def examine_run(
    folder: str | os.PathLike[str], data: str | None, seed: int, warn: Callable[[str], None]
) -> Report:
    """The report of a run's model at the parameters of its checkpoint.

    The loss is that of training, without dropout. Updates are those of the first step that the run's
    optimizer would make from here.

    Args:
        folder: that `jaxbackprop train` or `finetune` made.
        data: a file of tagged, or labelled, sentences; None takes those the run was trained on.
        seed: of the choice of words, or sentences, where there are many.
        warn: told, in one line, when word vectors of training are missing.

    Raises:
        RunError: where the folder is no run, or is damaged.
        DataError: where the sentences cannot be read, or there is nothing in them to examine the run on.
        MissingExtra: where the run's data is the built-in corpus, which is not installed.
        CannotRun: where the run's data is an asset, which has not been fetched.
        OSError: where a file cannot be read.
    """
    found = (_classifier if kind_of_run(folder) == "finetune" else _tagger)(folder, data, warn)
    count = len(found.examples["labels"])
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[: found.most])
    batch = {name: jnp.asarray(rows[chosen]) for name, rows in found.examples.items()}
    graphdef, *states = nnx.split(found.model, found.trained, ...)
    params, constants = states

    def loss(params: nnx.State, batch: Mapping[str, jax.Array]) -> jax.Array:
        return found.loss(nnx.merge(graphdef, params, constants), batch)

    loss.__name__ = str(folder)
    optimizer = found.updates(max(1.0, count / found.batch_size))
    return health(loss, params, batch, argnums=0, optimizer=optimizer)


def _classifier(folder: str | os.PathLike[str], data: str | None, warn: Callable[[str], None]) -> _Trained:
    classifier = finetune.load_classifier(folder, warn)
    settings, layers = classifier.settings, classifier.model.bert.config.num_hidden_layers
    own = settings.own
    rows = finetune.read_texts(own).train if data is None else read_labelled(data, own.columns)
    known = [row for row in rows if row.label in classifier.labels]
    if not known:
        raise DataError(f"{data}: there is no sentence with a label of training")
    return _Trained(
        classifier.model,
        lambda model, batch: finetune.classifier_loss(model, batch, None),
        classifier.encode(known),
        _SEQUENCES,
        finetune.trainable(settings, layers),
        settings.training.batch_size,
        lambda per_epoch: finetune.make_updates(
            settings, make_schedule(settings.training, per_epoch), per_epoch, layers
        ),
    )


def _tagger(folder: str | os.PathLike[str], data: str | None, warn: Callable[[str], None]) -> _Trained:
    tagger = load_tagger(folder, warn)
    config, encoder = tagger.config, tagger.encoder
    sentences = _sentences(config, data)
    if not sentences:
        raise DataError(f"{data or config.train}: there is no sentence")
    if isinstance(encoder, PieceEncoder):
        examples = encoder.encode(sentences).arrays
    else:
        examples = as_batch(encoder.encode(sentences))
    if not len(examples["labels"]):
        raise DataError(f"{data or config.train}: there is no word")

    def updates(per_epoch: float) -> optax.GradientTransformation:
        momentum = make_momentum(config, per_epoch)
        return make_optimizer(config, make_schedule(config, per_epoch), momentum=momentum, decayed=kernels)

    def window_loss(model: WindowNER, batch: Mapping[str, jax.Array]) -> jax.Array:
        return window_ner_loss(model, batch, config.l2)

    if isinstance(tagger.model, WindowNER):
        return _Trained(
            tagger.model, window_loss, examples, _WINDOWS, trainable(config), config.batch_size, updates
        )
    return _Trained(
        tagger.model,
        lambda model, batch: bert_tagger_loss(model, batch, None),
        examples,
        _SEQUENCES,
        trainable_parts(config, tagger.model.bert.config.num_hidden_layers),
        config.batch_size,
        updates,
    )


def _sentences(config: Config, data: str | None) -> Sequence[Sentence]:
    path = config.train if data is None else data
    if path is None:
        return default_corpus().train[:_SENTENCES_AT_MOST]
    found = read_conll(path, columns=config.columns, scheme=config.scheme, task=config.task)
    return found[:_SENTENCES_AT_MOST]

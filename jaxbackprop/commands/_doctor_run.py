"""A trained run, examined with the loss of its training on a batch of its data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxbackprop.data import DataError, Encoder, Sentence, default_corpus, read_conll
from jaxbackprop.doctor import Report, health
from jaxbackprop.models import WindowNER, window_ner_loss
from jaxbackprop.ner import as_batch, load_tagger, trainable
from jaxbackprop.train import Config, RunError, kernels, make_momentum, make_optimizer, make_schedule

# Enough for every unit to meet an example that it is for; the time is that of a training step of this size.
_WINDOWS = 2048
_SENTENCES_AT_MOST = 2000


def examine_run(
    folder: str | os.PathLike[str], data: str | None, seed: int, warn: Callable[[str], None]
) -> Report:
    """The report of a run's model at the parameters of its checkpoint.

    The loss is that of training, without dropout. Updates are those of the first step that the run's
    optimizer would make from here.

    Args:
        folder: that `jaxbackprop train` made.
        data: a file of tagged sentences; None takes those the run was trained on.
        seed: of the choice of words, where there are many.
        warn: told, in one line, when word vectors of training are missing.

    Raises:
        RunError: where the folder is no run, or is damaged.
        DataError: where the sentences cannot be read, or hold no word.
        MissingExtra: where the run's data is the built-in corpus, which is not installed.
        OSError: where a file cannot be read.
    """
    tagger = load_tagger(folder, warn)
    config = tagger.config
    if not isinstance(tagger.model, WindowNER) or not isinstance(tagger.encoder, Encoder):
        raise RunError(f"{folder} is of --model {config.model}: doctor reads runs of --model window")
    sentences = _sentences(config, data)
    if not sentences:
        raise DataError(f"{data or config.train}: there is no sentence")
    windows = as_batch(tagger.encoder.encode(sentences))
    count = len(windows["labels"])
    if not count:
        raise DataError(f"{data or config.train}: there is no word")
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:_WINDOWS])
    batch = {name: jnp.asarray(rows[chosen]) for name, rows in windows.items()}
    graphdef, *states = nnx.split(tagger.model, trainable(config), ...)
    params, constants = states

    def loss(params: nnx.State, batch: Mapping[str, jax.Array]) -> jax.Array:
        return window_ner_loss(nnx.merge(graphdef, params, constants), batch, config.l2)

    loss.__name__ = str(folder)
    steps_per_epoch = max(1.0, count / config.batch_size)
    momentum = make_momentum(config, steps_per_epoch)
    optimizer = make_optimizer(
        config, make_schedule(config, steps_per_epoch), momentum=momentum, decayed=kernels
    )
    return health(loss, params, batch, argnums=0, optimizer=optimizer)


def _sentences(config: Config, data: str | None) -> Sequence[Sentence]:
    path = config.train if data is None else data
    if path is None:
        return default_corpus().train[:_SENTENCES_AT_MOST]
    found = read_conll(path, columns=config.columns, scheme=config.scheme, task=config.task)
    return found[:_SENTENCES_AT_MOST]

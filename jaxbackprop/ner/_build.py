"""The model that a configuration and a vocabulary describe, and sentences through it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.nn.initializers import he_uniform, xavier_uniform, zeros

from jaxbackprop.data import Encoder, Windows
from jaxbackprop.layers import symmetric_uniform
from jaxbackprop.models import WindowNER, tag_ids
from jaxbackprop.train import (
    Config,
    RowUpdates,
    Schedule,
    kernels,
    make_clipping,
    make_momentum,
    make_optimizer,
    make_row_optimizer,
    split_init,
)


def build_model(
    config: Config, encoder: Encoder, word_dim: int, table: np.ndarray | None = None
) -> WindowNER:
    """A classifier with fresh parameters.

    Args:
        config: the settings.
        encoder: sizes of the tables, and the tags.
        word_dim: length of a word vector.
        table: initial word vectors, (encoder.num_words, word_dim); None draws them.

    Returns:
        The classifier. The same seed gives the same parameters.
    """
    sizes = _Sizes(
        encoder.num_words,
        word_dim,
        encoder.num_shapes,
        encoder.num_prefixes,
        encoder.num_suffixes,
        len(encoder.tags),
    )
    of_any_seed = dataclasses.replace(config, seed=0)
    given = None if table is None else jnp.asarray(table)
    return _builder(of_any_seed, sizes)(jax.random.key(config.seed), given)


class _Sizes(NamedTuple):
    num_words: int
    word_dim: int
    num_shapes: int
    num_prefixes: int
    num_suffixes: int
    num_tags: int


@functools.lru_cache(maxsize=64)
def _builder(config: Config, sizes: _Sizes) -> Callable[[jax.Array, jax.Array | None], WindowNER]:
    """Builds classifiers; those of other seeds share its program."""

    @nnx.jit  # one program, rather than one for the shape of every parameter
    def build(key: jax.Array, table: jax.Array | None) -> WindowNER:
        given: dict[str, Any] = {}
        if table is not None:
            given["word_init"] = lambda key, shape, dtype: table.astype(dtype)
        return WindowNER(
            **sizes._asdict(),
            shape_dim=config.shape_dim,
            affix_dim=config.affix_dim,
            window=config.window,
            hidden=config.hidden,
            activation=config.activation,
            dropout=config.dropout,
            input_dropout=config.input_dropout,
            batch_norm=config.batch_norm,
            weight_init=_weight_init(config),
            dtype=config.dtype,
            rngs=nnx.Rngs(key),
            **given,
        )

    return build


def _weight_init(config: Config) -> nnx.Initializer | None:
    if config.init is None:
        return None
    name, r = split_init(config.init)
    by_name = {"xavier": xavier_uniform(), "he": he_uniform(), "zeros": zeros}
    return symmetric_uniform(r) if name == "uniform" else by_name[name]


def trainable(config: Config) -> nnx.filterlib.Filter:
    """Which of the parameters are trained: all, or all but the word vectors."""
    if config.tune_vectors:
        return nnx.Param
    return nnx.All(nnx.Param, nnx.Not(nnx.PathContains("words")))


def make_updates(
    config: Config, schedule: Schedule, steps_per_epoch: float, padding_id: int | None
) -> tuple[optax.GradientTransformation, RowUpdates | None]:
    """How the classifier's gradients become updates.

    Args:
        config: the settings.
        schedule: step -> learning rate.
        steps_per_epoch: updates in one pass over the training words.
        padding_id: the word id that is no row of the table.

    Returns:
        The optimizer, and the updates of the word vectors where those are trained by rows.
    """
    row_optimizer = make_row_optimizer(config, schedule) if config.tune_vectors else None
    by_rows = None
    if row_optimizer is not None:
        by_rows = RowUpdates(
            row_optimizer, {("words", "embedding"): "words"}, padding_id, make_clipping(config)
        )
    momentum = make_momentum(config, steps_per_epoch)
    # Beside rows it clips what has been clipped with them, which changes nothing.
    optimizer = make_optimizer(config, schedule, momentum=momentum, decayed=kernels)
    return optimizer, by_rows


def as_batch(windows: Windows) -> dict[str, np.ndarray]:
    """Windows by the names under which the model reads them."""
    return {
        "words": windows.words,
        "shapes": windows.shapes,
        "prefixes": windows.prefixes,
        "suffixes": windows.suffixes,
        "labels": windows.labels,
    }


def tag_sentences(
    model: WindowNER, encoder: Encoder, windows: Windows, *, decode: str
) -> list[tuple[str, ...]]:
    """The tags of every word, one tuple a sentence."""
    ids = tag_ids(model, as_batch(windows), windows.lengths, encoder.tags, decode=decode)
    tags = np.array(encoder.tags, dtype=object)[ids]
    ends = np.cumsum(windows.lengths)
    return [tuple(tags[end - length : end]) for end, length in zip(ends, windows.lengths, strict=True)]

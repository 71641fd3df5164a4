"""This package's operators, layers and models."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxbackprop import layers
from jaxbackprop._specs import Array, Spec, draw, enlarged, leaves, map_leaves
from jaxbackprop.models import WindowNER, window_ner_loss
from jaxbackprop.ops.catalogue import CATALOGUE, Case, Operator

from ._function import Built, Function, Scale, fixed, generator, integer, real, weighted
from ._modules import module, size, split

# How many numbers the largest argument of an operator has where time is measured.
_ENTRYWISE, _OTHER = 1 << 20, 1 << 18


def _is_moving(argument: Any) -> bool:
    return any(isinstance(leaf, Array) and leaf.floating for leaf in leaves(argument))


def _is_given(argument: Any) -> bool:
    """Whether an argument is an array, rather than a setting."""
    return argument is not None and all(isinstance(leaf, Spec | np.ndarray) for leaf in leaves(argument))


def _factor(case: Case, wanted: int) -> int:
    """How many times longer every axis becomes where time is measured: odd, for windows are."""
    shapes = [leaf.shape for leaf in leaves(case.arguments) if isinstance(leaf, Array)]
    factors = [
        int((wanted / math.prod(shape)) ** (1 / axes))
        for shape in shapes
        if (axes := sum(n > 1 for n in shape))
    ]
    factor = min(factors, default=1)
    return max(1, factor - 1 + factor % 2)


def _drawn(argument: Any, factor: int, rng: np.random.Generator) -> Any:
    def single(leaf: Any) -> Any:
        return leaf.astype(np.float32) if leaf.dtype == np.float64 else leaf

    return map_leaves(single, draw(enlarged(argument, factor), rng))


def operator_function(row: Operator, case: Case, name: str, numbers: int | None = None) -> Function:
    """An operator, called as one of its catalogue's cases does.

    Args:
        row: of the catalogue.
        case: one of its cases.
        name: of the function; equal names draw equal arguments.
        numbers: how many its largest argument holds at most where time is measured.
    """
    wanted = numbers or (_ENTRYWISE if row.elementwise else _OTHER)
    given = [i for i, argument in enumerate(case.arguments) if _is_given(argument)]

    def f(*args: Any) -> Any:
        full = list(case.arguments)
        for i, value in zip(given, args, strict=True):
            full[i] = value
        return row.op(*full, **case.keywords)

    def build(scale: Scale) -> Built:
        rng = generator(name)
        factor = 1 if scale == "small" else _factor(case, wanted)
        drawn = tuple(_drawn(case.arguments[i], factor, rng) for i in given)
        return weighted(f, drawn, rng)

    moving = tuple(place for place, i in enumerate(given) if _is_moving(case.arguments[i]))
    return Function(name, "operators", build, moving)


def _cases(row: Operator) -> list[Function]:
    """An operator's first case, and those with masks or settings of their own."""
    found = []
    for number, case in enumerate(row.cases):
        masked = any(isinstance(argument, np.ndarray) for argument in case.arguments)
        if number == 0 or masked or case.keywords:
            found.append(
                operator_function(
                    row, case, f"ops.{row.name}" if number == 0 else f"ops.{row.name}, case {number + 1}"
                )
            )
    return found


def _window_ner(activation: str, dropout: float) -> Callable[[Scale], Built]:
    """The window classifier's loss, as it is trained."""

    def build(scale: Scale) -> Built:
        rng = generator(f"WindowNER {activation}")
        small = scale == "small"
        words, batch = (9, 4) if small else (5000, 256)
        make = functools.partial(
            WindowNER,
            num_words=words,
            word_dim=3 if small else 50,
            num_shapes=4,
            num_prefixes=6,
            num_suffixes=6,
            shape_dim=2 if small else 5,
            affix_dim=2 if small else 10,
            num_tags=5,
            hidden=7 if small else 300,
            activation=activation,
            dropout=dropout,
        )
        ids = {
            name: rng.integers(-1, high, (batch, 5), dtype=np.int32)
            for name, high in (("words", words), ("shapes", 4), ("prefixes", 6), ("suffixes", 6))
        }
        ids["labels"] = rng.integers(0, 5, batch, dtype=np.int32)
        graphdef, params, rest = split(lambda: make(rngs=nnx.Rngs(0)), rng)

        def loss(params: Any, rest: Any, batch: Any, key: Any) -> Any:
            return window_ner_loss(nnx.merge(graphdef, params, rest, copy=True), batch, 1e-3, key=key)

        return loss, (params, rest, ids, jax.random.key(1))

    return build


def _from(model: Any, x: Any, state: Any) -> Any:
    return model(x, initial_carry=state)


def _sequence(model: Any, x: Any, state: Any, lengths: Any) -> Any:
    return model(x, initial_carry=state, seq_lengths=lengths + 1)


def _attended(model: Any, x: Any, y: Any) -> Any:
    return model(x, y, mask=jnp.arange(y.shape[1])[None, None, None] < y.shape[1] - 1)


_layer = functools.partial(module, "layers")
_X, _WORDS = real((4, 6), (1024, 256)), real((2, 5, 8), (8, 64, 128))

FUNCTIONS: tuple[Function, ...] = (
    *(entry for row in CATALOGUE for entry in _cases(row)),
    Function("WindowNER", "models", _window_ner("tanh", 0.5)),
    Function("WindowNER with relu, without dropout", "models", _window_ner("relu", 0.0)),
    _layer(
        "layers.Linear",
        lambda scale, rngs: layers.Linear(size(scale, 6, 256), size(scale, 5, 256), rngs=rngs),
        _X,
    ),
    _layer("layers.LayerNorm", lambda scale, rngs: layers.LayerNorm(size(scale, 6, 256), rngs=rngs), _X),
    _layer("layers.BatchNorm", lambda scale, rngs: layers.BatchNorm(size(scale, 6, 256), rngs=rngs), _X),
    _layer("layers.Dropout", lambda scale, rngs: layers.Dropout(0.3, rngs=rngs), _X),
    _layer(
        "layers.Embed",
        lambda scale, rngs: layers.Embed(*((7, 4) if scale == "small" else (4096, 128)), rngs=rngs),
        integer((2, 5), (64, 64), (7, 4096)),
    ),
    _layer(
        "layers.RNN",
        lambda scale, rngs: layers.RNN(layers.SimpleCell(size(scale, 4, 64), size(scale, 3, 128), rngs=rngs)),
        real((2, 5, 4), (16, 48, 64)),
        real((2, 3), (16, 128)),
        call=_from,
    ),
    _layer(
        "layers.RNN of sequences, reverse",
        lambda scale, rngs: layers.RNN(
            layers.SimpleCell(size(scale, 4, 64), size(scale, 3, 128), activation_fn="relu", rngs=rngs),
            reverse=True,
            keep_order=True,
        ),
        real((2, 5, 4), (16, 48, 64)),
        real((2, 3), (16, 128)),
        integer((2,), (16,), (5, 48)),
        call=_sequence,
        # flax turns sequences round with integers of two dtypes.
        loose=True,
    ),
    _layer(
        "layers.MultiHeadAttention",
        lambda scale, rngs: layers.MultiHeadAttention(2, size(scale, 8, 128), rngs=rngs),
        _WORDS,
    ),
    _layer(
        "layers.MultiHeadAttention, masked, with dropout",
        lambda scale, rngs: layers.MultiHeadAttention(
            2, size(scale, 8, 128), dropout_rate=0.2, deterministic=False, normalize_qk=True, rngs=rngs
        ),
        _WORDS,
        fixed(_WORDS),
        call=_attended,
    ),
    _layer(
        "layers MLP",
        lambda scale, rngs: nnx.Sequential(
            layers.Linear(size(scale, 6, 256), size(scale, 8, 512), rngs=rngs),
            layers.LayerNorm(size(scale, 8, 512), rngs=rngs),
            layers.Tanh(),
            layers.Linear(size(scale, 8, 512), 5, rngs=rngs),
        ),
        _X,
        bar=1.1,
    ),
)

"""Recurrent networks: those of flax.nnx, and one by hand."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from ._function import Function, Scale, function, real
from ._modules import module, size

_SEQUENCES = real((2, 5, 4), (16, 48, 64))
_STATE = real((2, 3), (16, 128))


def _recurrent(cell: Any, **settings: Any) -> Any:
    def make(scale: Scale, rngs: nnx.Rngs) -> nnx.Module:
        made = cell(size(scale, 4, 64), size(scale, 3, 128), dtype=None, rngs=rngs)
        return nnx.RNN(made, **settings)

    return make


def _from(model: Any, x: Any, state: Any) -> Any:
    return model(x, initial_carry=state)


def _from_two(model: Any, x: Any, state: Any, cell: Any) -> Any:
    return model(x, initial_carry=(cell, state))


def _gru(parameters: dict[str, Any], x: Any, h: Any) -> Any:
    """A gated recurrent unit over the first axis."""

    def step(h: Any, x: Any) -> Any:
        p = parameters
        reset = jax.nn.sigmoid(x @ p["W_r"] + h @ p["U_r"] + p["b_r"][None])
        update = jax.nn.sigmoid(x @ p["W_z"] + h @ p["U_z"] + p["b_z"][None])
        new = jnp.tanh(x @ p["W_n"] + reset * (h @ p["U_n"]) + p["b_n"][None])
        h = (1 - update) * new + update * h
        return h, h

    return lax.scan(step, h, x)


def _gru_of(*arguments: Any) -> Any:
    """The same, its parameters one by one."""
    names = [f"{kind}_{gate}" for kind in "WUb" for gate in "rzn"]
    return _gru(dict(zip(names, arguments[:9], strict=True)), *arguments[9:])


# flax adds biases of one axis to batches.
_one = functools.partial(module, "recurrent", loose=True)
_INPUT, _HIDDEN, _BIAS = (
    real((4, 3), (64, 128), -0.3, 0.3),
    real((3, 3), (128, 128), -0.3, 0.3),
    real((3,), (128,), -0.3, 0.3),
)

FUNCTIONS: tuple[Function, ...] = (
    _one("nnx.RNN of SimpleCell", _recurrent(nnx.SimpleCell), _SEQUENCES, _STATE, call=_from),
    _one("nnx.RNN of LSTMCell", _recurrent(nnx.LSTMCell), _SEQUENCES, _STATE, _STATE, call=_from_two),
    _one(
        "nnx.RNN of OptimizedLSTMCell",
        _recurrent(nnx.OptimizedLSTMCell),
        _SEQUENCES,
        _STATE,
        _STATE,
        call=_from_two,
    ),
    _one("nnx.RNN of GRUCell", _recurrent(nnx.GRUCell), _SEQUENCES, _STATE, call=_from, bar=1.1),
    _one(
        "nnx.RNN of GRUCell, reverse",
        _recurrent(nnx.GRUCell, reverse=True, keep_order=True),
        _SEQUENCES,
        _STATE,
        call=_from,
        bar=1.1,
    ),
    _one(
        "nnx.RNN of GRUCell, unrolled by two",
        _recurrent(nnx.GRUCell, unroll=2),
        _SEQUENCES,
        _STATE,
        call=_from,
        bar=1.1,
    ),
    function(
        "recurrent",
        "GRU through scan",
        _gru_of,
        *(_INPUT,) * 3,
        *(_HIDDEN,) * 3,
        *(_BIAS,) * 3,
        real((5, 2, 4), (48, 16, 64)),
        _STATE,
        bar=1.1,
    ),
)

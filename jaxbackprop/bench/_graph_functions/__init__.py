"""The functions on which the graph's gradients are compared with `jax.grad`'s: values, time, memory."""

from __future__ import annotations

from . import (
    _activations,
    _elementary,
    _flax,
    _losses,
    _moves,
    _ours,
    _primitives,
    _products,
    _recurrent,
    _reductions,
    _scans,
    _transformations,
)
from ._function import Function as Function
from ._function import Scale as Scale

# The uses of one primitive, which are cases of the graph's rules.
PRIMITIVES: tuple[Function, ...] = _primitives.FUNCTIONS

FUNCTIONS: tuple[Function, ...] = (
    *PRIMITIVES,
    *_elementary.FUNCTIONS,
    *_reductions.FUNCTIONS,
    *_products.FUNCTIONS,
    *_moves.FUNCTIONS,
    *_activations.FUNCTIONS,
    *_transformations.FUNCTIONS,
    *_scans.FUNCTIONS,
    *_losses.FUNCTIONS,
    *_flax.FUNCTIONS,
    *_recurrent.FUNCTIONS,
    *_ours.FUNCTIONS,
)

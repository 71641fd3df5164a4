"""Sorting: the gradient goes back to where the entry stood before."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from .._graph import ROUTER
from ._rule import Local, rule


@rule("sort", formula="dx = dy, put back where the entries stood", gate=ROUTER)
def _sort(at: Local, i: int, *dys: jax.Array) -> jax.Array:
    return _put_back(dys[i], _order(at), at.params["dimension"], at.operands[i].shape)


@rule("top_k", formula="dx = zeros, with dy where the greatest entries stood", gate=ROUTER)
def _top_k(at: Local, i: int, dy: jax.Array, _: None) -> jax.Array:
    return _put_back(dy, at.y[1], at.params["axis"], at.operands[0].shape)


@rule("approx_top_k", formula="dx = zeros, with dy where the chosen entries stood", gate=ROUTER)
def _approx_top_k(at: Local, i: int, dy: jax.Array, _: None) -> jax.Array:
    # The axis may be counted from the end.
    shape = at.operands[0].shape
    return _put_back(dy, at.y[1], at.params["reduction_dimension"] % len(shape), shape)


def _order(at: Local) -> jax.Array:
    """Where each sorted entry stood before."""
    axis, keys = at.params["dimension"], at.params["num_keys"]
    places = lax.broadcasted_iota(jnp.int32, at.operands[0].shape, axis)
    sorted_ = lax.sort((*(at.x[j] for j in range(keys)), places), axis, at.params["is_stable"], keys)
    return sorted_[-1]


def _put_back(dy: jax.Array, order: jax.Array, axis: int, shape: tuple[int, ...]) -> jax.Array:
    others = tuple(d for d in range(len(shape)) if d != axis)
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=(),
        inserted_window_dims=(axis,),
        scatter_dims_to_operand_dims=(axis,),
        operand_batching_dims=others,
        scatter_indices_batching_dims=others,
    )
    places = lax.expand_dims(order, [len(shape)])
    return lax.scatter_add(
        jnp.zeros(shape, dy.dtype), places, dy, numbers, unique_indices=True, mode="promise_in_bounds"
    )

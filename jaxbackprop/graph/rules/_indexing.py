"""What reads or writes at places that the program computes: the gradient is written where was read, and back.

A gather reads a window of its operand for every index, a scatter writes one: they undo each other. Both have
the same dimension numbers under different names, and the same modes for indices that lie outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from .._graph import DISTRIBUTOR, ROUTER, SWAP_MULTIPLIER
from ._rule import Local, rule


@rule("dynamic_slice", formula="dx0 = dy, with zeros around it", gate=ROUTER)
def _dynamic_slice(at: Local, i: int, dy: jax.Array) -> jax.Array:
    zeros = jnp.zeros(at.operands[0].shape, dy.dtype)
    return lax.dynamic_update_slice(zeros, dy, _starts(at, 1), allow_negative_indices=False)


@rule("dynamic_update_slice", formula="dx0 = dy, zero in the window; dx1 = dy in the window", gate=ROUTER)
def _dynamic_update_slice(at: Local, i: int, dy: jax.Array) -> jax.Array:
    window = at.operands[1].shape
    if i == 1:
        return lax.dynamic_slice(dy, _starts(at, 2), window, allow_negative_indices=False)
    zeros = jnp.zeros(window, dy.dtype)
    return lax.dynamic_update_slice(dy, zeros, _starts(at, 2), allow_negative_indices=False)


def _starts(at: Local, first: int) -> list[jax.Array]:
    """The start indices; those that count from the end are turned already, any below 0 are raised to it."""
    return [at.x[j] for j in range(first, len(at.x))]


@rule("gather", formula="da = zeros, with dy added at the places that were read", gate=ROUTER)
def _gather(at: Local, i: int, dy: jax.Array) -> jax.Array:
    read = at.params["dimension_numbers"]
    written = lax.ScatterDimensionNumbers(
        update_window_dims=read.offset_dims,
        inserted_window_dims=read.collapsed_slice_dims,
        scatter_dims_to_operand_dims=read.start_index_map,
        operand_batching_dims=read.operand_batching_dims,
        scatter_indices_batching_dims=read.start_indices_batching_dims,
    )
    return lax.scatter_add(jnp.zeros(at.operands[0].shape, dy.dtype), at.x[1], dy, written, **_promises(at))


@rule("scatter-add", formula="dx0 = dy, dx2 = dy at the places that were added to", gate=DISTRIBUTOR)
def _scatter_add(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy if i == 0 else _read(dy, at)


@rule("scatter-sub", formula="dx0 = dy, dx2 = -dy at the places that were subtracted from", gate=DISTRIBUTOR)
def _scatter_sub(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return dy if i == 0 else -_read(dy, at)


@rule("scatter", formula="dx0 = dy, zero where written; dx2 = dy where it was the last to write", gate=ROUTER)
def _scatter(at: Local, i: int, dy: jax.Array) -> jax.Array:
    if at.params.get("update_jaxpr") is not None:
        raise NotImplementedError(
            "scatter has a gradient where it writes values, not where it applies a function"
        )
    if at.params["unique_indices"]:
        return (
            _read(dy, at)
            if i == 2
            else _write(lax.scatter, dy, jnp.zeros(at.operands[2].shape, dy.dtype), at)
        )
    # Which of several updates a place holds JAX leaves open: so their numbers are written, in the same way.
    shape, window = at.operands[2].shape, at.params["dimension_numbers"].update_window_dims
    indices = [1 if d in window else size for d, size in enumerate(shape)]
    numbers = jnp.broadcast_to(jnp.arange(1, math.prod(indices) + 1, dtype=jnp.int32).reshape(indices), shape)
    held = _write(lax.scatter, jnp.zeros(at.operands[0].shape, jnp.int32), numbers, at)
    return jnp.where(held == 0, dy, 0) if i == 0 else jnp.where(_read(held, at) == numbers, _read(dy, at), 0)


@rule(
    "scatter-mul",
    formula="dx0 = dy, times x2 where multiplied; dx2 = dy times x0 at its places",
    gate=SWAP_MULTIPLIER,
)
def _scatter_mul(at: Local, i: int, dy: jax.Array) -> jax.Array:
    if i == 0:
        return _write(lax.scatter_mul, dy, at.x[2], at)
    if at.params["unique_indices"]:
        return _read(dy, at) * _read(at.x[0], at)
    # Several factors at one place: each gets the product of the others. The only zero among them gets all the
    # rest; where there are two zeros, or one that is another, nothing is left.
    factor = at.x[2]
    zero = factor == 0
    zeros = _read(
        _write(lax.scatter_add, jnp.zeros(at.operands[0].shape, jnp.int32), zero.astype(jnp.int32), at), at
    )
    product = _read(dy, at) * _read(_write(lax.scatter_mul, at.x[0], jnp.where(zero, 1, factor), at), at)
    return jnp.where(zeros == zero.astype(jnp.int32), product / jnp.where(zero, 1, factor), 0)


@rule(
    "scatter-min",
    "scatter-max",
    formula="dy to the one among x0 and x2 that won the place, shared evenly where several did",
    gate=ROUTER,
)
def _scatter_extremum(at: Local, i: int, dy: jax.Array) -> jax.Array:
    x, y, update = at.x[0], at.y[0], at.x[2]
    stayed, won = x == y, update == _read(y, at)
    winners = _write(lax.scatter_add, stayed.astype(dy.dtype), won.astype(dy.dtype), at)
    share = dy / winners
    if i == 2:
        return jnp.where(won, _read(share, at), 0)
    # nan equals nothing, itself neither: where it came from the operand the gradient stays with it.
    return jnp.where(stayed, share, jnp.where(jnp.isnan(x), dy, 0))


def _write(scatter: Callable[..., jax.Array], operand: jax.Array, updates: jax.Array, at: Local) -> jax.Array:
    """A scatter at the places of this one."""
    return scatter(operand, at.x[1], updates, at.params["dimension_numbers"], **_promises(at))


def _read(operand: jax.Array, at: Local) -> jax.Array:
    """What stands at the places of a scatter, in the shape of its updates; 0 for places that do not exist."""
    written = at.params["dimension_numbers"]
    alone = {*written.inserted_window_dims, *written.operand_batching_dims}
    window = iter([at.operands[2].shape[d] for d in written.update_window_dims])
    sizes = [1 if d in alone else next(window) for d in range(len(at.operands[0].shape))]
    read = lax.GatherDimensionNumbers(
        offset_dims=written.update_window_dims,
        collapsed_slice_dims=written.inserted_window_dims,
        start_index_map=written.scatter_dims_to_operand_dims,
        operand_batching_dims=written.operand_batching_dims,
        start_indices_batching_dims=written.scatter_indices_batching_dims,
    )
    return lax.gather(operand, at.x[1], read, sizes, fill_value=0, **_promises(at))


def _promises(at: Local) -> dict[str, Any]:
    return {name: at.params[name] for name in ("indices_are_sorted", "unique_indices", "mode")}

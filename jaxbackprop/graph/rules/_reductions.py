"""Reductions: a sum hands the gradient on to all, a maximum to winners, a product to all times the rest."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from .._graph import DISTRIBUTOR, ROUTER
from ._rule import Local, rule


@rule("reduce_sum", formula="dx = dy, handed on to every entry", gate=DISTRIBUTOR)
def _reduce_sum(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return _spread(dy, at)


@rule("psum", "psum_invariant", formula="dx = dy, handed on to every entry", gate=DISTRIBUTOR)
def _psum(at: Local, i: int, *dys: jax.Array) -> jax.Array:
    # Under vmap a named axis has become one of the array's own.
    if any(not isinstance(axis, int) for axis in at.params["axes"]) or at.params.get("axis_index_groups"):
        raise NotImplementedError(f"the rule of psum is for axes of vmap, got {at.params['axes']}")
    return _spread(dys[i], at, i)


@rule("reduce_max", "reduce_min", formula="dx = dy where x won, shared evenly where several did", gate=ROUTER)
def _reduce_extremum(at: Local, i: int, dy: jax.Array) -> jax.Array:
    won = at.x[0] == _spread(at.y[0], at)
    share = dy / lax.reduce_sum(won.astype(dy.dtype), at.params["axes"])
    # Nobody equals nan: 0 / 0 makes the gradient nan there as well, as 0 times an infinite one does.
    return jnp.where(won, _spread(share, at), _spread(share - share, at))


@rule("reduce_prod", formula="dx = dy times the product of the other entries")
def _reduce_prod(at: Local, i: int, dy: jax.Array) -> jax.Array:
    x = jnp.asarray(at.x[0])
    if x.size == 0:
        return jnp.zeros_like(x)
    # Halves are multiplied together until one entry is left; on the way back each half gets the other as its
    # factor. No division, so zeros do no harm; 3 multiplications an entry in all.
    halves = []
    for axis in at.params["axes"]:
        while (size := x.shape[axis]) > 1:
            left, right, odd = _in_halves(x, axis, size)
            halves.append((left, right, axis))
            x = lax.concatenate([left * right, odd], axis) if size % 2 else left * right
    dx = lax.reshape(dy, x.shape)
    for left, right, axis in reversed(halves):
        half = left.shape[axis]
        upstream = lax.slice_in_dim(dx, 0, half, axis=axis)
        odd = lax.slice_in_dim(dx, half, None, axis=axis)
        dx = lax.concatenate([upstream * right, upstream * left, odd], axis)
    return dx


def _in_halves(x: jax.Array, axis: int, size: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Two halves of equal length, and the entry that is left over, or nothing."""
    half = size // 2
    ends = ((0, half), (half, 2 * half), (2 * half, size))
    left, right, odd = (lax.slice_in_dim(x, start, end, axis=axis) for start, end in ends)
    return left, right, odd


def _spread(reduced: jax.Array, at: Local, i: int = 0) -> jax.Array:
    """Repeats a result along the axes that were reduced."""
    shape = at.operands[i].shape
    kept = [d for d in range(len(shape)) if d not in at.params["axes"]]
    return lax.broadcast_in_dim(reduced, shape, kept)

"""Cumulative reductions: entry i went into result i and all after it, so the gradient comes from those.

Each has a parameter `reverse`: then it went into result i and all before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from .._graph import ROUTER
from ._rule import Local, rule


@rule("cumsum", formula="dx_i = sum of dy_k, k >= i")
def _cumsum(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return lax.cumsum(dy, at.params["axis"], reverse=not at.params["reverse"])


def _in_a_tree(combine: Callable[[jax.Array, jax.Array], jax.Array]) -> Callable[..., list[jax.Array]]:
    """Results of a cumulative reduction as JAX's differentiation does; XLA's own way may be slower."""

    def forward(params: Mapping[str, Any], x: jax.Array) -> list[jax.Array]:
        return [lax.associative_scan(combine, x, params["reverse"], params["axis"])]

    return forward


@rule("cumprod", formula="dx_i = y_(i-1) s_i, s_i = dy_i + x_(i+1) s_(i+1)", forward=_in_a_tree(lax.mul))
def _cumprod(at: Local, i: int, dy: jax.Array) -> jax.Array:
    # No division by x_i, so zeros do no harm.
    return _before(at.y[0], 1, at) * _collected(dy, jnp.asarray(at.x[0]), at)


@rule(
    "cumlogsumexp",
    formula="dx_i = exp(x_i - y_i) s_i, s_i = dy_i + exp(y_i - y_(i+1)) s_(i+1)",
    forward=_in_a_tree(jnp.logaddexp),
)
def _cumlogsumexp(at: Local, i: int, dy: jax.Array) -> jax.Array:
    # y grows from step to step: no exponent is above 0.
    y = at.y[0]
    return _share(at.x[0], y) * _collected(dy, _share(_before(y, -math.inf, at), y), at)


@rule(
    "cummax",
    formula="dx_i = sum of dy_k where x_i is the greatest so far, k >= i",
    gate=ROUTER,
    forward=_in_a_tree(lax.max),
)
def _cummax(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return _to_winners(at, dy, lax.max)


@rule(
    "cummin",
    formula="dx_i = sum of dy_k where x_i is the least so far, k >= i",
    gate=ROUTER,
    forward=_in_a_tree(lax.min),
)
def _cummin(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return _to_winners(at, dy, lax.min)


def _share(part: jax.Array, whole: jax.Array) -> jax.Array:
    """exp(part - whole): how much of exp(whole) is exp(part); all of it where both are the same infinity."""
    return jnp.where(part == whole, 1, jnp.exp(part - whole))


def _before(y: jax.Array, first: float, at: Local) -> jax.Array:
    """The result before each; `first` before the first."""
    return _following(y, at.params["axis"], not at.params["reverse"], first)


_Choice = Callable[[jax.Array, jax.Array], jax.Array]

# Blocks of a tree, and what is worked through one by one.
_BLOCK, _SHORT = 4, 16


def _collected(dy: jax.Array, factor: jax.Array, at: Local) -> jax.Array:
    """s_i = dy_i + factor_(i+1) s_(i+1), or in reverse s_i = dy_i + factor_(i-1) s_(i-1)."""
    axis, reverse = at.params["axis"], at.params["reverse"]
    return _gathered(dy, _following(factor, axis, reverse), axis, reverse)


def _gathered(dy: jax.Array, onward: jax.Array, axis: int, reverse: bool) -> jax.Array:
    """s_i = dy_i + onward_i s_(i+1), or s_(i-1), in a tree of blocks: three multiplications an entry.

    s at a block's outermost entry is what the block's own entries say, plus the product of its factors times
    s at the outermost entry of the block that follows. So those are the same problem, as many times smaller.
    """
    size = dy.shape[axis]
    if size == 0:
        return dy
    block = size if size <= _SHORT else _BLOCK
    entries = list(zip(_places(dy, block, axis), _places(onward, block, axis), strict=True))
    order = range(block) if reverse else range(block - 1, -1, -1)
    arriving = None
    if size > block:
        own, product = entries[order[0]]
        for place in order[1:]:
            entry, factor = entries[place]
            own, product = entry + factor * own, factor * product
        arriving = _following(_gathered(own, product, axis, reverse), axis, reverse)
    collected: list[Any] = [None] * block
    for place in order:
        entry, factor = entries[place]
        arriving = entry if arriving is None else entry + factor * arriving
        collected[place] = arriving
    s = jnp.stack(collected, axis + 1).reshape(*dy.shape[:axis], -1, *dy.shape[axis + 1 :])
    return lax.slice_in_dim(s, 0, size, axis=axis)


def _places(v: jax.Array, block: int, axis: int) -> list[jax.Array]:
    """The first entry of each block, the second, and so on; zeros fill the last block."""
    full = _put(v, 0, 1, -(-v.shape[axis] // block) * block, axis)
    blocks = full.reshape(*v.shape[:axis], -1, block, *v.shape[axis + 1 :])
    return [lax.index_in_dim(blocks, place, axis + 1, keepdims=False) for place in range(block)]


def _following(v: jax.Array, axis: int, reverse: bool, last: float = 0) -> jax.Array:
    """For each entry the next one, or in reverse the one before; `last` where there is none."""
    config = [(0, 0, 0)] * v.ndim
    config[axis] = (1, -1, 0) if reverse else (-1, 1, 0)
    return lax.pad(v, jnp.asarray(last, v.dtype), config)


def _to_winners(at: Local, dy: jax.Array, best: _Choice) -> jax.Array:
    """To the best entry so far; where several are the best, shared as in the tree of comparisons below.

    JAX shares evenly in each comparison of two. So what each of several equals gets depends on which two are
    compared, and the tree must be JAX's: pairs of neighbours, then pairs of those.
    """
    axis = at.params["axis"]
    if not at.params["reverse"]:
        return _down_the_tree(jnp.asarray(at.x[0]), at.y[0], dy, best, axis)
    x, y, dy = (jnp.flip(v, axis) for v in (at.x[0], at.y[0], dy))
    return jnp.flip(_down_the_tree(x, y, dy, best, axis), axis)


def _down_the_tree(x: jax.Array, y: jax.Array, dy: jax.Array, best: _Choice, axis: int) -> jax.Array:
    size = x.shape[axis]
    if size < 2:
        return dy

    def every_other(v: jax.Array, start: int, end: int | None = None) -> jax.Array:
        return lax.slice_in_dim(v, start, end, 2, axis)

    left, right = every_other(x, 0, size - 1), every_other(x, 1)
    pair = best(left, right)
    # y_1, y_3, ... are the cumulated pairs; y_2, y_4, ... those against one entry more; y_0 is x_0.
    so_far, entry, result = every_other(y, 1), every_other(x, 2), every_other(y, 2)
    earlier = lax.slice_in_dim(so_far, 0, entry.shape[axis], axis=axis)
    d_earlier, d_entry = _compared(earlier, entry, result, every_other(dy, 2))
    d_so_far = every_other(dy, 1) + _put(d_earlier, 0, 1, so_far.shape[axis], axis)
    d_left, d_right = _compared(left, right, pair, _down_the_tree(pair, so_far, d_so_far, best, axis))
    d_entry = lax.concatenate([lax.slice_in_dim(dy, 0, 1, axis=axis), d_entry], axis)
    d_entry = d_entry + _put(d_left, 0, 1, d_entry.shape[axis], axis)
    return _put(d_entry, 0, 2, size, axis) + _put(d_right, 1, 2, size, axis)


def _compared(a: jax.Array, b: jax.Array, winner: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The gradients of two operands that were compared: half each where they are equal."""
    half = jnp.where(a == b, dy * 0.5, dy)
    return jnp.where(a == winner, half, 0), jnp.where(b == winner, half, 0)


def _put(v: jax.Array, start: int, stride: int, size: int, axis: int) -> jax.Array:
    """Zeros of a size along an axis, with v from `start` on, in steps of `stride`."""
    config = [(0, 0, 0)] * v.ndim
    end = start + (v.shape[axis] - 1) * stride + 1 if v.shape[axis] else start
    config[axis] = (start, size - end, stride - 1)
    return lax.pad(v, jnp.zeros((), v.dtype), config)

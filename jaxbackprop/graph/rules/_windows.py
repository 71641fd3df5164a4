"""Pooling: what was added up over a window flows back to all of it, what won a window to the winner alone.

Along one axis, output o looks at the places o s + t r of the padded input, with stride s, taps t = 0, 1, ...
and the window's dilation r. The input's entries stand l places apart there, l being the base's dilation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive

from .._graph import ROUTER
from ._convolution import mirrored_padding
from ._rule import Local, rule


@rule("reduce_window_sum", formula="dx = sum of dy over the windows that saw x")
def _reduce_window_sum(at: Local, i: int, dy: jax.Array) -> jax.Array:
    params, shape = at.params, tuple(at.operands[0].shape)
    if 0 in (*shape, *dy.shape):
        return jnp.zeros(shape, dy.dtype)
    if _side_by_side(dy.shape, params):
        return _from_tiles(_in_tiles(dy, params), shape, params)
    # o s + t r = j l + low, solved for j: window sums over dy, whose entries stand s places apart.
    pads = []
    for n, outputs, (taps, s, (low, _), apart, r) in zip(shape, dy.shape, _axes(params), strict=True):
        pads.append(mirrored_padding(n, taps, outputs, s, low, apart, r))
    return lax.reduce_window(
        dy,
        np.zeros((), dy.dtype),
        lax.add,
        params["window_dimensions"],
        window_strides=params["base_dilation"],
        padding=pads,
        base_dilation=params["window_strides"],
        window_dilation=params["window_dilation"],
    )


@rule("reduce_window_max", formula="dx = sum of dy over the windows that x won", gate=ROUTER)
def _reduce_window_max(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return _to_winners(at, dy, lax.ge_p, -np.inf)


@rule("reduce_window_min", formula="dx = sum of dy over the windows that x won", gate=ROUTER)
def _reduce_window_min(at: Local, i: int, dy: jax.Array) -> jax.Array:
    return _to_winners(at, dy, lax.le_p, np.inf)


def _to_winners(at: Local, dy: jax.Array, stays: Primitive, worst: float) -> jax.Array:
    """In every window the first among the best gets the output's gradient; padding may win, and keeps it.

    Args:
        at: where the rule is applied.
        dy: the upstream gradient.
        stays: the comparison by which what came first stays the winner.
        worst: what the padding is made of.
    """
    params, shape = at.params, tuple(at.operands[0].shape)
    if 0 in (*shape, *dy.shape):
        return jnp.zeros(shape, dy.dtype)
    if _side_by_side(dy.shape, params):
        return _to_winners_of_tiles(at, dy, worst)
    if max(params["window_dilation"]) > 1:
        raise NotImplementedError(
            f"a maximum or minimum over windows has no gradient where they are dilated, "
            f"got window_dilation={params['window_dilation']}"
        )
    pads = [(low, high, apart - 1) for _, _, (low, high), apart, _ in _axes(params)]
    dx = lax.select_and_scatter_add_p.bind(
        dy,
        lax.pad(at.x[0], np.array(worst, dy.dtype), pads),
        select_prim=stays,
        window_dimensions=params["window_dimensions"],
        window_strides=params["window_strides"],
        padding=((0, 0),) * dy.ndim,
    )
    dx = lax.pad(dx, np.zeros((), dy.dtype), [(-low, -high, 0) for low, high, _ in pads])
    return lax.slice(dx, (0,) * dx.ndim, dx.shape, params["base_dilation"])


def _to_winners_of_tiles(at: Local, dy: jax.Array, worst: float) -> jax.Array:
    """Where every place belongs to one window no scatter is needed."""
    params, shape = at.params, tuple(at.operands[0].shape)
    window = params["window_dimensions"]
    pads = []
    for n, outputs, (taps, _, (low, _), _, _) in zip(shape, dy.shape, _axes(params), strict=True):
        pads.append((low, outputs * taps - n - low, 0))
    tiles = _split(dy.shape, params)
    x = lax.pad(at.x[0], np.array(worst, dy.dtype), pads).reshape(tiles)
    numbers = np.arange(math.prod(window), dtype=np.int32).reshape(window)
    tap = lax.broadcast_in_dim(numbers, tiles, range(1, len(tiles), 2))

    def better(first: Sequence[jax.Array], second: Sequence[jax.Array]) -> list[jax.Array]:
        before = lax.gt if worst < 0 else lax.lt
        tied = (first[0] == second[0]) & (first[1] < second[1])
        stays = before(first[0], second[0]) | tied
        return [lax.select(stays, a, b) for a, b in zip(first, second, strict=True)]

    # The winner is looked for again: compilers may compute x twice and round it otherwise, so that no entry
    # equals the window's maximum.
    start = np.array(worst, dy.dtype), np.array(numbers.size, np.int32)
    winner = lax.reduce((x, tap), start, better, range(1, len(tiles), 2))[1]
    dx = lax.select(tap == _in_tiles(winner, params), _in_tiles(dy, params), jnp.zeros(tiles, dy.dtype))
    return _from_tiles(dx, shape, params)


def _side_by_side(outputs: Sequence[int], params: Mapping[str, Any]) -> bool:
    """Whether the windows lie side by side, as tiles do."""
    return all(
        apart == r == 1 and (taps == s or n == 1)
        for n, (taps, s, _, apart, r) in zip(outputs, _axes(params), strict=True)
    )


def _split(outputs: Sequence[int], params: Mapping[str, Any]) -> list[int]:
    """Each axis as two: which tile, and where in it."""
    return [size for pair in zip(outputs, params["window_dimensions"], strict=True) for size in pair]


def _in_tiles(y: jax.Array, params: Mapping[str, Any]) -> jax.Array:
    """Fills each tile with its window's entry."""
    tiles = _split(y.shape, params)
    return lax.broadcast_in_dim(y, tiles, range(0, len(tiles), 2))


def _from_tiles(tiles: jax.Array, shape: Sequence[int], params: Mapping[str, Any]) -> jax.Array:
    """Puts tiles together to the input's shape, without its padding."""
    whole = tiles.reshape([a * b for a, b in zip(tiles.shape[::2], tiles.shape[1::2], strict=True)])
    pads = []
    for n, size, (low, _) in zip(shape, whole.shape, params["padding"], strict=True):
        pads.append((-low, n + low - size, 0))
    return lax.pad(whole, np.zeros((), whole.dtype), pads)


def _axes(params: Mapping[str, Any]) -> Iterator[tuple[int, int, tuple[int, int], int, int]]:
    """For each axis: taps, stride, padding, the base's dilation, the window's dilation."""
    names = ("window_dimensions", "window_strides", "padding", "base_dilation", "window_dilation")
    return zip(*(params[name] for name in names), strict=True)

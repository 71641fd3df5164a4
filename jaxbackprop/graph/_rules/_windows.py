"""Pooling: what was added up over a window flows back to all of it, what won a window to the winner alone.

Along one axis, output o looks at the places o s + t r of the padded input, with stride s, taps t = 0, 1, ...
and the window's dilation r. The input's entries stand l places apart there, l being the base's dilation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._graph import ROUTER
from ._rule import Local, rule

FEW = 64
"""Up to so many taps, one step a tap fuses into a loop that is faster than XLA's own over the windows."""

Places = tuple[int, ...]


@rule("reduce_window_sum", formula="dx = sum of dy over the windows that saw x")
def _reduce_window_sum(at: Local, i: int, dy: Any) -> Any:
    params, shape = at.params, tuple(at.operands[0].shape)
    if 0 in (*shape, *dy.shape):
        return jnp.zeros(shape, dy.dtype)
    if _side_by_side(dy.shape, params):
        return _filled(dy, shape, params)
    if max(params["window_strides"]) > 1 and math.prod(params["window_dimensions"]) <= FEW:
        return _put_back([dy] * math.prod(params["window_dimensions"]), shape, params)
    # o s + t r = j l + low, solved for j: window sums over dy, whose entries stand s places apart.
    pads = []
    for n, outputs, (taps, s, (low, _), apart, r) in zip(shape, dy.shape, _axes(params), strict=True):
        pads.append(((taps - 1) * r - low, (n - 1) * apart + low - (outputs - 1) * s))
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
def _reduce_window_max(at: Local, i: int, dy: Any) -> Any:
    return _to_winners(at, dy, lax.ge_p, -np.inf)


@rule("reduce_window_min", formula="dx = sum of dy over the windows that x won", gate=ROUTER)
def _reduce_window_min(at: Local, i: int, dy: Any) -> Any:
    return _to_winners(at, dy, lax.le_p, np.inf)


def _side_by_side(outputs: Sequence[int], params: Mapping[str, Any]) -> bool:
    """Whether the windows lie side by side, as tiles do."""
    return all(
        apart == r == 1 and (taps == s or n == 1)
        for n, (taps, s, _, apart, r) in zip(outputs, _axes(params), strict=True)
    )


def _filled(dy: Any, shape: Sequence[int], params: Mapping[str, Any]) -> Any:
    """The gradient of a sum over windows side by side: each is filled with its output's."""
    window = params["window_dimensions"]
    split = [size for pair in zip(dy.shape, window, strict=True) for size in pair]
    tiles = lax.broadcast_in_dim(dy, split, range(0, len(split), 2))
    tiles = tiles.reshape([outputs * taps for outputs, taps in zip(dy.shape, window, strict=True)])
    pads = []
    for n, size, (low, _) in zip(shape, tiles.shape, params["padding"], strict=True):
        pads.append((-low, n + low - size, 0))
    return lax.pad(tiles, np.zeros((), dy.dtype), pads)


def _to_winners(at: Local, dy: Any, bound: Any, worst: float) -> Any:
    """In every window the first among the best gets the output's gradient; padding may win, and keeps it.

    Args:
        at: where the rule is applied.
        dy: the upstream gradient.
        bound: the comparison by which what came first stays the winner.
        worst: what the padding is made of.
    """
    params, shape = at.params, tuple(at.operands[0].shape)
    if 0 in (*shape, *dy.shape):
        return jnp.zeros(shape, dy.dtype)
    pads = [(low, high, apart - 1) for _, _, (low, high), apart, _ in _axes(params)]
    x = lax.pad(at.x[0], np.array(worst, dy.dtype), pads)
    if math.prod(params["window_dimensions"]) > FEW and max(params["window_dilation"]) == 1:
        dx = lax.select_and_scatter_add_p.bind(
            dy,
            x,
            select_prim=bound,
            window_dimensions=params["window_dimensions"],
            window_strides=params["window_strides"],
            padding=((0, 0),) * dy.ndim,
        )
        dx = lax.pad(dx, np.zeros((), dy.dtype), [(-low, -high, 0) for low, high, _ in pads])
        return lax.slice(dx, (0,) * dx.ndim, dx.shape, params["base_dilation"])
    strides = params["window_strides"]
    seen = [lax.slice(x, places, _ends(places, dy.shape, strides), strides) for places in _taps(params)]
    best, winner = seen[0], jnp.zeros(dy.shape, np.int32)
    for tap, value in enumerate(seen[1:], 1):
        # Nothing stays before a nan, nor a nan before anything; XLA's own routing does the same.
        stays = bound.bind(best, value)
        best = lax.select(stays, best, value)
        winner = lax.select(stays, winner, jnp.full_like(winner, tap))
    zero = jnp.zeros_like(dy)
    return _put_back([lax.select(winner == tap, dy, zero) for tap in range(len(seen))], shape, params)


def _put_back(parts: Sequence[Any], shape: Sequence[int], params: Mapping[str, Any]) -> Any:
    """Adds up what each tap sends back to the places that it looked at."""
    wide = [(n - 1) * apart + 1 for n, apart in zip(shape, params["base_dilation"], strict=True)]
    sent = []
    for places, part in zip(_taps(params), parts, strict=True):
        pads = []
        ends = _ends(places, part.shape, params["window_strides"])
        for first, end, n, (_, s, (low, _), _, _) in zip(places, ends, wide, _axes(params), strict=True):
            pads.append((first - low, n + low - end, s - 1))
        sent.append(lax.pad(part, np.zeros((), part.dtype), pads))
    dx = sum(sent[1:], start=sent[0])
    return lax.slice(dx, (0,) * len(shape), wide, params["base_dilation"])


def _taps(params: Mapping[str, Any]) -> Iterator[Places]:
    """Where each tap of the first window looks, in the order in which ties are broken."""
    return itertools.product(*([t * r for t in range(taps)] for taps, _, _, _, r in _axes(params)))


def _ends(places: Places, outputs: Sequence[int], strides: Sequence[int]) -> Places:
    """One past where the same tap of the last window looks."""
    return tuple(p + (n - 1) * s + 1 for p, n, s in zip(places, outputs, strides, strict=True))


def _axes(params: Mapping[str, Any]) -> Iterator[tuple[int, int, tuple[int, int], int, int]]:
    """For each axis: taps, stride, padding, the base's dilation, the window's dilation."""
    names = ("window_dimensions", "window_strides", "padding", "base_dilation", "window_dilation")
    return zip(*(params[name] for name in names), strict=True)

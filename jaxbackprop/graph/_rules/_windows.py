"""Pooling: what was added up over a window flows back to all of it, what won a window flows back to the winner.

Along one axis, output o looks at the places o s + t r of the padded input, with stride s, taps t = 0, 1, ...
and the window's dilation r. The input's entries stand l places apart there, l being the base's dilation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
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
    return _to_all(at, dy)


@rule("reduce_window_max", formula="dx = sum of dy over the windows that x won", gate=ROUTER)
def _reduce_window_max(at: Local, i: int, dy: Any) -> Any:
    return _to_winner(at, dy, "max")


@rule("reduce_window_min", formula="dx = sum of dy over the windows that x won", gate=ROUTER)
def _reduce_window_min(at: Local, i: int, dy: Any) -> Any:
    return _to_winner(at, dy, "min")


@rule("reduce_window", formula="dx = sum of dy over the windows that saw x, or that x won")
def _reduce_window(at: Local, i: int, *dys: Any) -> Any:
    # Unlike the three above it has an initial value, a second operand, and a program that combines two values.
    program = getattr(at.params["jaxpr"], "jaxpr", at.params["jaxpr"])
    combine = program.eqns[0].primitive.name if len(program.eqns) == 1 else None
    if len(dys) > 1 or combine not in ("add", "max", "min"):
        raise NotImplementedError("reduce_window has a gradient where it adds, or takes a maximum or minimum")
    if i > 0:
        raise NotImplementedError("reduce_window has no gradient for its initial value")
    if combine == "add":
        return _to_all(at, dys[0])
    # Where the initial value is better than the whole window, nothing in the window won.
    best = _pool(at.x[0], combine, at.params)
    return _to_winner(at, lax.select(best == at.y[0], dys[0], jnp.zeros_like(dys[0])), combine)


def _to_all(at: Local, dy: Any) -> Any:
    """Every input gets the gradients of the outputs that it was added to."""
    params, shape = at.params, tuple(at.operands[0].shape)
    if 0 in (*shape, *dy.shape):
        return jnp.zeros(shape, dy.dtype)
    if all(l == r == 1 and (t == s or o == 1) for o, (t, s, _, l, r) in zip(dy.shape, _axes(params), strict=True)):
        return _tiled(dy, shape, params)
    if max(params["window_strides"]) > 1 and math.prod(params["window_dimensions"]) <= FEW:
        return _put_back(((places, dy) for places in _taps(params)), shape, params)
    # o s + t r = j l + low, solved for j: window sums over dy, whose entries stand s places apart.
    pads = []
    for n, o, (t, s, (low, _), l, r) in zip(shape, dy.shape, _axes(params), strict=True):
        pads.append(((t - 1) * r - low, (n - 1) * l + low - (o - 1) * s))
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


def _tiled(dy: Any, shape: tuple[int, ...], params: Mapping[str, Any]) -> Any:
    """The gradient of a sum over windows that lie side by side: each tile is filled with its window's."""
    window = params["window_dimensions"]
    tiles = [size for pair in zip(dy.shape, window, strict=True) for size in pair]
    filled = lax.broadcast_in_dim(dy, tiles, range(0, len(tiles), 2))
    filled = filled.reshape([o * t for o, t in zip(dy.shape, window, strict=True)])
    pads = []
    for n, size, (low, _) in zip(shape, filled.shape, params["padding"], strict=True):
        pads.append((-low, n + low - size, 0))
    return lax.pad(filled, np.zeros((), dy.dtype), pads)


def _to_winner(at: Local, dy: Any, combine: str) -> Any:
    """In every window the first among the best gets the output's gradient; padding may win, and keeps it."""
    params, shape = at.params, tuple(at.operands[0].shape)
    if 0 in (*shape, *dy.shape):
        return jnp.zeros(shape, dy.dtype)
    bound = lax.ge_p if combine == "max" else lax.le_p
    holes = [l - 1 for l in params["base_dilation"]]
    taps = math.prod(params["window_dimensions"])
    pads = [(low, high, hole) for (low, high), hole in zip(params["padding"], holes, strict=True)]
    x = lax.pad(at.x[0], _worst(combine, dy.dtype), pads)
    if taps > FEW and max(params["window_dilation"]) == 1:
        dx = lax.select_and_scatter_add_p.bind(
            dy,
            x,
            select_prim=bound,
            window_dimensions=params["window_dimensions"],
            window_strides=params["window_strides"],
            padding=((0, 0),) * dy.ndim,
        )
        dx = lax.pad(dx, np.zeros((), dy.dtype), [(-low, -high, 0) for low, high in params["padding"]])
        return lax.slice(dx, (0,) * dx.ndim, dx.shape, params["base_dilation"])
    best, winner = None, jnp.zeros(dy.shape, np.int32)
    for tap, places in enumerate(_taps(params)):
        ends = [p + (o - 1) * s + 1 for p, o, s in zip(places, dy.shape, params["window_strides"], strict=True)]
        seen = lax.slice(x, places, ends, params["window_strides"])
        if best is None:
            best = seen
            continue
        # A nan is neither better nor worse, so that what comes after it wins, as in select_and_scatter.
        stays = bound.bind(best, seen)
        best = lax.select(stays, best, seen)
        winner = lax.select(stays, winner, jnp.full_like(winner, tap))
    zero = jnp.zeros_like(dy)
    won = ((places, lax.select(winner == tap, dy, zero)) for tap, places in enumerate(_taps(params)))
    return _put_back(won, shape, params)


def _put_back(parts: Iterable[tuple[Places, Any]], shape: tuple[int, ...], params: Mapping[str, Any]) -> Any:
    """Adds up, for each tap, what it sends back to the places that it looked at."""
    wide = [(n - 1) * l + 1 for n, l in zip(shape, params["base_dilation"], strict=True)]
    dx = None
    for places, part in parts:
        pads = []
        for p, n, o, (_, s, (low, _), _, _) in zip(places, wide, part.shape, _axes(params), strict=True):
            pads.append((p - low, n + low - p - (o - 1) * s - 1, s - 1))
        sent = lax.pad(part, np.zeros((), part.dtype), pads)
        dx = sent if dx is None else dx + sent
    return lax.slice(dx, (0,) * len(shape), wide, params["base_dilation"])


def _taps(params: Mapping[str, Any]) -> Iterator[Places]:
    """Where the first window's taps look, in the window's order."""
    axes = ([t * r for t in range(size)] for size, _, _, _, r in _axes(params))
    return itertools.product(*axes)


def _axes(params: Mapping[str, Any]) -> Iterator[tuple[int, int, tuple[int, int], int, int]]:
    """For each axis: taps, stride, padding, the base's dilation, the window's dilation."""
    names = ("window_dimensions", "window_strides", "padding", "base_dilation", "window_dilation")
    return zip(*(params[name] for name in names), strict=True)


def _pool(x: Any, combine: str, params: Mapping[str, Any]) -> Any:
    """The best of each window, where there is no initial value."""
    return lax.reduce_window(
        x,
        _worst(combine, x.dtype),
        lax.max if combine == "max" else lax.min,
        params["window_dimensions"],
        window_strides=params["window_strides"],
        padding=params["padding"],
        base_dilation=params["base_dilation"],
        window_dilation=params["window_dilation"],
    )


def _worst(combine: str, dtype: Any) -> Any:
    return np.array(-np.inf if combine == "max" else np.inf, dtype)

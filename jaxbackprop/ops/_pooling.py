"""Max pooling over the steps of a sequence: the router gate, window by window."""

from __future__ import annotations

import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_floats, as_static_int
from jaxbackprop._sharding import Like, explicit_sharding, place, with_axis, without_axis


def max_pool(x: Float[ArrayLike, "... T d"], window: int, stride: int = 1) -> Float[Array, "... P d"]:
    """Largest entry of each feature in every window of consecutive steps.

    Window p starts at step p · stride; only whole windows count, P = ⌊(T - window) / stride⌋ + 1.

    Gradient: dy of a window goes to the step that wins it, and what a step receives from windows that overlap
    is added, in float32 for half precision. Where entries of a window tie, any convex combination of the
    winners is a valid generalised gradient; all goes to the first. A nan wins, the first one. Keeps the
    winner's place in its window, one integer a result: a byte for windows of up to 256 steps.

    Args:
        x: T steps of d features, under any leading axes.
        window: steps in a window, from 1 to T; T pools over all steps; static.
        stride: steps from one window's start to the next one's, at least 1; static.

    Returns:
        The maxima, of x's dtype.

    Raises:
        TypeError: where x is not floating-point, or window or stride is no static integer.
        ValueError: where x has no axis of steps, or window or stride is out of range.

    Source: lecture, unit 2 "Gradient Flow" (max gate: gradient router); Collobert et al. 2011, max over time.
    """
    (x,) = as_floats(x=x)
    if x.ndim < 2:
        raise ValueError(f"x must have shape (..., steps, features), got {x.shape}")
    window, stride = _as_size("window", window), _as_size("stride", stride)
    if window > x.shape[-2]:
        raise ValueError(f"window {window} is longer than the {x.shape[-2]} steps of x of shape {x.shape}")
    return _max_pool(x, window, stride)


def _as_size(name: str, value: int) -> int:
    size = as_static_int(name, value)
    if size < 1:
        raise ValueError(f"{name} must be at least 1, got {size}")
    return size


def max_pool_plain(x: Float[Array, "... T d"], window: int, stride: int) -> Float[Array, "... P d"]:
    """The same function for autodiff to differentiate."""
    last = x.shape[-2] - window
    shifted = [lax.slice_in_dim(x, k, last + k + 1, stride, x.ndim - 2) for k in range(window)]
    return jnp.max(jnp.stack(shifted), 0)


def _maxima(
    x: Float[Array, "... T d"], window: int, stride: int
) -> tuple[Float[Array, "... P d"], Int[Array, "... P d"]]:
    """The maxima, and where in its window each one is."""
    y = place(x, _whole_steps(x))
    winner = jnp.zeros_like(y, np.min_scalar_type(window - 1))
    windows = (x.shape[-2] - window) // stride + 1
    if window == 1:
        return _every(y, 0, windows, stride), _every(winner, 0, windows, stride)
    # Windows of 2, 4, 8, ... steps, each of two narrower ones; the last two overlap.
    width = 1
    while 2 * width < window:
        y, winner = _of_two(y, winner, width, y.shape[-2] - width, 1)
        width *= 2
    return _of_two(y, winner, window - width, windows, stride)


def _of_two(y: Array, winner: Array, ahead: int, windows: int, stride: int) -> tuple[Array, Array]:
    """Maxima and winners of windows, each made of one and of another that starts `ahead` steps later."""
    left, right = _every(y, 0, windows, stride), _every(y, ahead, windows, stride)
    # A tie goes to the left, so a winner on the right is none that both windows have.
    wins = (right > left) | (jnp.isnan(right) & ~jnp.isnan(left))
    return jnp.where(wins, right, left), jnp.where(
        wins,
        _every(winner, ahead, windows, stride) + jnp.asarray(ahead, winner.dtype),
        _every(winner, 0, windows, stride),
    )


def _every(x: Array, start: int, count: int, stride: int) -> Array:
    """So many steps, `stride` apart."""
    return lax.slice_in_dim(x, start, start + (count - 1) * stride + 1, stride, x.ndim - 2)


def _max_pool_value(x: Float[Array, "... T d"], window: int, stride: int) -> Float[Array, "... P d"]:
    return _maxima(x, window, stride)[0]


_max_pool = jax.custom_vjp(_max_pool_value, nondiff_argnums=(1, 2))


class _Residuals(NamedTuple):
    winner: Int[Array, "... P d"]  # its place in its window
    x_like: Like


def _max_pool_fwd(
    x: Float[Array, "... T d"], window: int, stride: int
) -> tuple[Float[Array, "... P d"], _Residuals]:
    y, winner = _maxima(x, window, stride)
    return y, _Residuals(winner, Like.of(x))


def _max_pool_bwd(
    window: int, stride: int, residuals: _Residuals, dy: Float[Array, "... P d"]
) -> tuple[Float[Array, "... T d"]]:
    winner, x_like = residuals
    time = dy.ndim - 2
    steps, windows = x_like.shape[time], dy.shape[time]
    dy, winner = dy.astype(accumulator(x_like.dtype)), winner.astype(jnp.int32)
    # Windows that are `apart` from one another do not overlap: their steps lie side by side, and each such
    # set is routed at once. There are `apart` sets, and they are added.
    apart = min(-(-window // stride), windows)
    width = max(apart * stride, window)
    within = lax.broadcasted_iota(jnp.int32, (*(1,) * (time + 1), width, 1), time + 1)
    parts = []
    for first in range(apart):
        dy_set, winner_set = (lax.slice_in_dim(a, first, None, apart, time) for a in (dy, winner))
        routed = jnp.where(
            jnp.expand_dims(winner_set, time + 1) == within,
            jnp.expand_dims(dy_set, time + 1),
            jnp.zeros((), dy.dtype),
        )
        covered = dy_set.shape[time] * width
        routed = routed.reshape(*dy.shape[:time], covered, dy.shape[-1])
        # A negative width cuts off what is beyond the end, where no window reaches.
        around = [(0, 0, 0)] * dy.ndim
        around[time] = (first * stride, steps - first * stride - covered, 0)
        parts.append(lax.pad(routed, jnp.zeros((), dy.dtype), around))
    dx = functools.reduce(operator.add, parts)
    return (place(dx.astype(x_like.dtype), x_like.sharding),)


_max_pool.defvjp(_max_pool_fwd, _max_pool_bwd)


def _whole_steps(x: Array) -> NamedSharding | None:
    """The sharding of x on an Explicit mesh with all steps on each device."""
    return with_axis(without_axis(explicit_sharding(x), -2), x.ndim - 2)

"""Elementwise non-linearities and the two maxima, each with its derivative below it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jaxbackprop._shapes import as_axis, as_floats, check_broadcast
from jaxbackprop.ops._broadcast import unbroadcast
from jaxbackprop.ops._precision import accumulator
from jaxbackprop.ops._sharding import Like, vary_together

# ---- sigmoid ----------------------------------------------------------------------------------------------


def sigmoid(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Logistic function y = 1 / (1 + exp(-x)).

    Gradient: dx = y (1 - y) dy on paper. 1 - y cancels where y is near 1, so it is computed as
    e / (1 + e)² with e = exp(-|x|), which is the same σ(x) σ(-x). Keeps x.

    Args:
        x: any shape.

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where x is not floating-point.

    Source: lecture, unit 2 "sigmoid"; unit 3 "Activation Function".
    """
    (x,) = as_floats(x=x)
    return _sigmoid(x)


def sigmoid_plain(x: Array) -> Array:
    """The same function for autodiff to differentiate."""
    return lax.logistic(x)


_sigmoid = jax.custom_vjp(sigmoid_plain)


def _sigmoid_fwd(x: Array) -> tuple[Array, tuple]:
    return sigmoid_plain(x), (x,)


def _sigmoid_bwd(residuals: tuple, dy: Array) -> tuple[Array]:
    (x,) = residuals
    e = jnp.exp(-jnp.abs(x.astype(accumulator(x.dtype))))
    dx = e / ((1 + e) * (1 + e)) * dy.astype(e.dtype)
    return (dx.astype(x.dtype),)


_sigmoid.defvjp(_sigmoid_fwd, _sigmoid_bwd)

# ---- tanh -------------------------------------------------------------------------------------------------


def tanh(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Hyperbolic tangent y = (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    Gradient: dx = (1 - y²) dy on paper. 1 - y² cancels where |y| is near 1, so it is computed as
    4 e / (1 + e)² with e = exp(-2|x|). Keeps x.

    Args:
        x: any shape.

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where x is not floating-point.

    Source: lecture, unit 3 "Activation Function".
    """
    (x,) = as_floats(x=x)
    return _tanh(x)


def tanh_plain(x: Array) -> Array:
    """The same function for autodiff to differentiate."""
    return lax.tanh(x)


_tanh = jax.custom_vjp(tanh_plain)


def _tanh_fwd(x: Array) -> tuple[Array, tuple]:
    return tanh_plain(x), (x,)


def _tanh_bwd(residuals: tuple, dy: Array) -> tuple[Array]:
    (x,) = residuals
    e = jnp.exp(-2 * jnp.abs(x.astype(accumulator(x.dtype))))
    dx = 4 * e / ((1 + e) * (1 + e)) * dy.astype(e.dtype)
    return (dx.astype(x.dtype),)


_tanh.defvjp(_tanh_fwd, _tanh_bwd)

# ---- hardtanh ---------------------------------------------------------------------------------------------


def hardtanh(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Piecewise-linear tanh: -1 below -1, x between, 1 above 1.

    Gradient: dx = dy where -1 <= x <= 1, else 0. At the kinks -1 and 1 any slope in [0, 1] is a valid
    generalised gradient; the lecture's -1 <= x <= 1 chooses 1. Keeps one bool an entry.

    Args:
        x: any shape.

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where x is not floating-point.

    Source: lecture, unit 3 "Activation Function".
    """
    (x,) = as_floats(x=x)
    return _hardtanh(x)


def hardtanh_plain(x: Array) -> Array:
    """The same function for autodiff to differentiate."""
    return jnp.clip(x, -1, 1)


_hardtanh = jax.custom_vjp(hardtanh_plain)


def _hardtanh_fwd(x: Array) -> tuple[Array, tuple]:
    return hardtanh_plain(x), (jnp.abs(x) <= 1, Like.of(x))


def _hardtanh_bwd(residuals: tuple[Bool[Array, "..."], Like], dy: Array) -> tuple[Array]:
    inside, like = residuals
    return (jnp.where(inside, dy, jnp.zeros_like(dy)).astype(like.dtype),)


_hardtanh.defvjp(_hardtanh_fwd, _hardtanh_bwd)

# ---- max along an axis ------------------------------------------------------------------------------------


def max(x: Float[ArrayLike, "..."], axis: int) -> Float[Array, "..."]:
    """Largest entry along an axis, which is removed.

    Gradient: dx = dy at the winner, 0 elsewhere. Where entries tie, any convex combination of the winners is
    a valid generalised gradient; all goes to the first. A nan wins. Keeps the winner's index, one integer a
    result.

    Args:
        x: any shape with at least one axis.
        axis: static; counted from the end where negative.

    Returns:
        The maxima, of x's shape without `axis`, of x's dtype.

    Raises:
        TypeError: where x is not floating-point or axis is not a static integer.
        ValueError: where axis is out of range or has no entries.

    Source: lecture, unit 2 "max" and "max gate: gradient router".
    """
    (x,) = as_floats(x=x)
    axis = as_axis("axis", axis, x.shape)
    if x.shape[axis] == 0:
        raise ValueError(f"axis {axis} of x has no entries: x has shape {x.shape}")
    return _max(x, axis)


def max_plain(x: Array, axis: int) -> Array:
    """The same function for autodiff to differentiate."""
    return jnp.max(x, axis)


_max = jax.custom_vjp(max_plain, nondiff_argnums=(1,))


def _max_fwd(x: Array, axis: int) -> tuple[Array, tuple]:
    return max_plain(x, axis), (jnp.argmax(x, axis), Like.of(x))


def _max_bwd(axis: int, residuals: tuple[Int[Array, "..."], Like], dy: Array) -> tuple[Array]:
    winner, like = residuals
    position = lax.broadcasted_iota(winner.dtype, like.shape, axis, out_sharding=like.sharding)
    routed = position == jnp.expand_dims(winner, axis)
    dx = jnp.where(routed, jnp.expand_dims(dy, axis), jnp.zeros((), dy.dtype))
    return (dx.astype(like.dtype),)


_max.defvjp(_max_fwd, _max_bwd)

# ---- maximum of two arrays --------------------------------------------------------------------------------


def maximum(x: Float[ArrayLike, "..."], y: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Entrywise larger of two arrays, which broadcast.

    Gradient: dy goes to the larger entry, 0 to the other. Where they tie, any split is a valid generalised
    gradient; all goes to x. A nan wins, x's first. What was broadcast is summed. Keeps one bool an entry.

    Args:
        x: any shape.
        y: a shape that broadcasts with x's.

    Returns:
        The larger entries, of the broadcast shape and the arguments' dtype.

    Raises:
        TypeError: where dtypes differ or are not floating-point.
        ValueError: where shapes do not broadcast.

    Source: lecture, unit 2 "max gate: gradient router".
    """
    x, y = as_floats(x=x, y=y)
    check_broadcast(x=x, y=y)
    return _maximum(*vary_together((x, y)))


def maximum_plain(x: Array, y: Array) -> Array:
    """The same function for autodiff to differentiate."""
    return jnp.maximum(x, y)


_maximum = jax.custom_vjp(maximum_plain)


def _maximum_fwd(x: Array, y: Array) -> tuple[Array, tuple]:
    return maximum_plain(x, y), ((x >= y) | jnp.isnan(x), Like.of(x), Like.of(y))


def _maximum_bwd(residuals: tuple[Bool[Array, "..."], Like, Like], dy: Array) -> tuple[Array, Array]:
    x_wins, x_like, y_like = residuals
    zero = jnp.zeros_like(dy)
    return unbroadcast(jnp.where(x_wins, dy, zero), x_like), unbroadcast(jnp.where(x_wins, zero, dy), y_like)


_maximum.defvjp(_maximum_fwd, _maximum_bwd)

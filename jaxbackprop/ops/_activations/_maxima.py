"""The maximum along an axis and of two arrays: the gates that route."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jaxbackprop._shapes import as_filled_axis, as_floats, check_broadcast
from jaxbackprop._sharding import Like, vary_together

from .._broadcast import unbroadcast

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

    Source: lecture, unit 2 "Backpropagation" (max) and "Gradient Flow" (max gate: gradient router).
    """
    (x,) = as_floats(x=x)
    return _max(x, as_filled_axis("axis", axis, x))


def max_plain(x: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return jnp.max(x, axis)


_max = jax.custom_vjp(max_plain, nondiff_argnums=(1,))


class _MaxResiduals(NamedTuple):
    winner: Int[Array, "..."]  # its index along the axis, for each result
    x_like: Like


def _max_fwd(x: Float[Array, "..."], axis: int) -> tuple[Float[Array, "..."], _MaxResiduals]:
    return max_plain(x, axis), _MaxResiduals(jnp.argmax(x, axis), Like.of(x))


def _max_bwd(axis: int, residuals: _MaxResiduals, dy: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    winner, x_like = residuals
    position = lax.broadcasted_iota(winner.dtype, x_like.shape, axis, out_sharding=x_like.sharding)
    routed = position == jnp.expand_dims(winner, axis)
    dx = jnp.where(routed, jnp.expand_dims(dy, axis), jnp.zeros((), dy.dtype))
    return (dx.astype(x_like.dtype),)


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

    Source: lecture, unit 2 "Gradient Flow" (max gate: gradient router).
    """
    x, y = as_floats(x=x, y=y)
    check_broadcast(x=x, y=y)
    return _maximum(*vary_together((x, y)))


def maximum_plain(x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return jnp.maximum(x, y)


_maximum = jax.custom_vjp(maximum_plain)


class _MaximumResiduals(NamedTuple):
    x_wins: Bool[Array, "..."]
    x_like: Like
    y_like: Like


def _maximum_fwd(
    x: Float[Array, "..."], y: Float[Array, "..."]
) -> tuple[Float[Array, "..."], _MaximumResiduals]:
    return maximum_plain(x, y), _MaximumResiduals((x >= y) | jnp.isnan(x), Like.of(x), Like.of(y))


def _maximum_bwd(
    residuals: _MaximumResiduals, upstream: Float[Array, "..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    x_wins, x_like, y_like = residuals
    zero = jnp.zeros_like(upstream)
    dx = unbroadcast(jnp.where(x_wins, upstream, zero), x_like)
    dy = unbroadcast(jnp.where(x_wins, zero, upstream), y_like)
    return dx, dy


_maximum.defvjp(_maximum_fwd, _maximum_bwd)

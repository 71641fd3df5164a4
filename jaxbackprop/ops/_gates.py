"""The gates of a computation graph: add distributes, multiply swaps, copy adds (`maximum` routes)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_floats, as_static_int, check_broadcast
from jaxbackprop._sharding import Like, vary_together

from ._broadcast import unbroadcast

# ---- add --------------------------------------------------------------------------------------------------


def add(x: Float[ArrayLike, "..."], y: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Sum x + y of two arrays, which broadcast.

    Gradient: the add gate distributes: dx = dy and dy = dy, summed over what was broadcast. Keeps nothing.

    Args:
        x: any shape.
        y: a shape that broadcasts with x's.

    Returns:
        x + y, of the broadcast shape and the arguments' dtype.

    Raises:
        TypeError: where dtypes differ or are not floating-point.
        ValueError: where shapes do not broadcast.

    Source: lecture, unit 2 "Gradient Flow" (add gate: gradient distributor).
    """
    x, y = as_floats(x=x, y=y)
    check_broadcast(x=x, y=y)
    return _add(*vary_together((x, y)))


def add_plain(x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return jnp.add(x, y)


_add = jax.custom_vjp(add_plain)


class _AddResiduals(NamedTuple):
    x_like: Like
    y_like: Like


def _add_fwd(x: Float[Array, "..."], y: Float[Array, "..."]) -> tuple[Float[Array, "..."], _AddResiduals]:
    return add_plain(x, y), _AddResiduals(Like.of(x), Like.of(y))


def _add_bwd(
    residuals: _AddResiduals, upstream: Float[Array, "..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    x_like, y_like = residuals
    dx, dy = unbroadcast(upstream, x_like), unbroadcast(upstream, y_like)
    return dx, dy


_add.defvjp(_add_fwd, _add_bwd)

# ---- multiply ---------------------------------------------------------------------------------------------


def multiply(x: Float[ArrayLike, "..."], y: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Entrywise product x y of two arrays, which broadcast.

    Gradient: the multiply gate swaps: x receives y dy and y receives x dy, summed over what was broadcast.
    Keeps x and y.

    Args:
        x: any shape.
        y: a shape that broadcasts with x's.

    Returns:
        x y, of the broadcast shape and the arguments' dtype.

    Raises:
        TypeError: where dtypes differ or are not floating-point.
        ValueError: where shapes do not broadcast.

    Source: lecture, unit 2 "Gradient Flow" (mul gate: swap multiplier).
    """
    x, y = as_floats(x=x, y=y)
    check_broadcast(x=x, y=y)
    return _multiply(*vary_together((x, y)))


def multiply_plain(x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return jnp.multiply(x, y)


_multiply = jax.custom_vjp(multiply_plain)


class _MultiplyResiduals(NamedTuple):
    x: Float[Array, "..."]
    y: Float[Array, "..."]


def _multiply_fwd(
    x: Float[Array, "..."], y: Float[Array, "..."]
) -> tuple[Float[Array, "..."], _MultiplyResiduals]:
    return multiply_plain(x, y), _MultiplyResiduals(x, y)


def _multiply_bwd(
    residuals: _MultiplyResiduals, upstream: Float[Array, "..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    x, y = residuals
    wide = accumulator(x.dtype)
    x_wide, y_wide, g = x.astype(wide), y.astype(wide), upstream.astype(wide)
    dx, dy = unbroadcast(g * y_wide, Like.of(x)), unbroadcast(g * x_wide, Like.of(y))
    return dx, dy


_multiply.defvjp(_multiply_fwd, _multiply_bwd)

# ---- copy -------------------------------------------------------------------------------------------------


def copy(x: Float[ArrayLike, "..."], n: int) -> tuple[Float[Array, "..."], ...]:
    """The same value for n consumers.

    Gradient: the copy gate adds: dx = Σ dy over the copies. Keeps nothing.

    Args:
        x: any shape.
        n: the number of copies, at least 1; static.

    Returns:
        A tuple of n arrays equal to x.

    Raises:
        TypeError: where x is not floating-point or n is not a static integer.
        ValueError: where n is below 1.

    Source: lecture, unit 2 "Gradient Flow" (copy gate: gradient adder).
    """
    (x,) = as_floats(x=x)
    n = as_static_int("n", n)
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return _copy(x, n)


def copy_plain(x: Float[Array, "..."], n: int) -> tuple[Float[Array, "..."], ...]:
    """The same function for autodiff to differentiate."""
    return (x,) * n


_copy = jax.custom_vjp(copy_plain, nondiff_argnums=(1,))


def _copy_fwd(x: Float[Array, "..."], n: int) -> tuple[tuple[Float[Array, "..."], ...], Like]:
    return copy_plain(x, n), Like.of(x)


def _copy_bwd(n: int, x_like: Like, dy: tuple[Float[Array, "..."], ...]) -> tuple[Float[Array, "..."]]:
    wide = accumulator(x_like.dtype)
    dx = sum((d.astype(wide) for d in dy[1:]), start=dy[0].astype(wide))
    return (dx.astype(x_like.dtype),)


_copy.defvjp(_copy_fwd, _copy_bwd)

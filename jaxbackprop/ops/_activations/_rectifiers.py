"""Relu and its kin: linear above 0, another slope or a curve below."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_finite, as_floats, broadcasts_to
from jaxbackprop._sharding import Like, vary_together

from .._broadcast import unbroadcast

# ---- relu -------------------------------------------------------------------------------------------------


def relu(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Rectified linear unit y = max(x, 0).

    Gradient: dx = dy where x > 0, else 0. At the kink 0 any slope in [0, 1] is a valid generalised gradient;
    0 is chosen, so that a unit at rest stays at rest. A nan passes nothing. Keeps one bool an entry.

    Args:
        x: any shape.

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where x is not floating-point.

    Source: lecture, unit 3 "Activation Function" and "Dying ReLU".
    """
    (x,) = as_floats(x=x)
    return _relu(x)


def relu_plain(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return jnp.maximum(x, 0)


_relu = jax.custom_vjp(relu_plain)


class _Side(NamedTuple):
    """What relu and leaky relu keep: on which side of the kink each entry is."""

    positive: Bool[Array, "..."]
    x_like: Like


def _relu_fwd(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], _Side]:
    return relu_plain(x), _Side(x > 0, Like.of(x))


def _relu_bwd(residuals: _Side, dy: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    positive, x_like = residuals
    return (jnp.where(positive, dy, jnp.zeros_like(dy)).astype(x_like.dtype),)


_relu.defvjp(_relu_fwd, _relu_bwd)

# ---- leaky relu -------------------------------------------------------------------------------------------


def leaky_relu(x: Float[ArrayLike, "..."], slope: float = 0.01) -> Float[Array, "..."]:
    """Leaky relu: x where x > 0, slope · x elsewhere.

    Gradient: dx = dy where x > 0, else slope · dy. At the kink 0 any slope between the two is a valid
    generalised gradient; the left one is chosen, as for relu, which is the case slope = 0. Keeps one bool an
    entry.

    Args:
        x: any shape.
        slope: of the left side, any finite number; static (`prelu` learns it).

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where x is not floating-point, or slope is traced or no number.
        ValueError: where slope is not finite.

    Source: lecture, unit 3 "Activation Function"; Maas et al. 2013.
    """
    (x,) = as_floats(x=x)
    return _leaky_relu(x, as_finite("slope", slope))


def leaky_relu_plain(x: Float[Array, "..."], slope: float) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return jnp.where(x > 0, x, slope * x)


_leaky_relu = jax.custom_vjp(leaky_relu_plain, nondiff_argnums=(1,))


def _leaky_relu_fwd(x: Float[Array, "..."], slope: float) -> tuple[Float[Array, "..."], _Side]:
    return leaky_relu_plain(x, slope), _Side(x > 0, Like.of(x))


def _leaky_relu_bwd(slope: float, residuals: _Side, dy: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    positive, x_like = residuals
    return (jnp.where(positive, dy, slope * dy).astype(x_like.dtype),)


_leaky_relu.defvjp(_leaky_relu_fwd, _leaky_relu_bwd)

# ---- parametric relu --------------------------------------------------------------------------------------


def prelu(x: Float[ArrayLike, "..."], slope: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Parametric relu: x where x > 0, slope · x elsewhere, with a slope that is learnt.

    Gradient: dx = dy where x > 0, else slope · dy; dslope = x dy where x <= 0, else 0, summed over what
    shares the slope. At the kink 0 the left slope is chosen, as for `leaky_relu`. Keeps x and slope.

    Args:
        x: any shape.
        slope: one number, one a channel, or any shape that broadcasts to x's.

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where dtypes differ or are not floating-point.
        ValueError: where slope does not broadcast to x's shape.

    Source: lecture, unit 3 "Activation Function"; He et al. 2015.
    """
    x, slope = as_floats(x=x, slope=slope)
    if not broadcasts_to(slope.shape, x.shape):
        raise ValueError(f"slope of shape {slope.shape} does not broadcast to x of shape {x.shape}")
    return _prelu(*vary_together((x, slope)))


def prelu_plain(x: Float[Array, "..."], slope: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return jnp.where(x > 0, x, _aligned(slope, x) * x)


def _aligned(slope: Array, x: Array) -> Array:
    return jnp.expand_dims(slope, range(x.ndim - slope.ndim))


_prelu = jax.custom_vjp(prelu_plain)


class _PreluResiduals(NamedTuple):
    x: Float[Array, "..."]
    slope: Float[Array, "..."]


def _prelu_fwd(
    x: Float[Array, "..."], slope: Float[Array, "..."]
) -> tuple[Float[Array, "..."], _PreluResiduals]:
    return prelu_plain(x, slope), _PreluResiduals(x, slope)


def _prelu_bwd(
    residuals: _PreluResiduals, dy: Float[Array, "..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    x, slope = residuals
    positive, wide = x > 0, accumulator(x.dtype)
    dx = jnp.where(positive, dy, _aligned(slope, x).astype(dy.dtype) * dy)
    dslope = jnp.where(positive, jnp.zeros((), wide), x.astype(wide) * dy.astype(wide))
    return dx.astype(x.dtype), unbroadcast(dslope, Like.of(slope))


_prelu.defvjp(_prelu_fwd, _prelu_bwd)

# ---- exponential linear unit ------------------------------------------------------------------------------


def elu(x: Float[ArrayLike, "..."], alpha: float = 1.0) -> Float[Array, "..."]:
    """Exponential linear unit: x where x > 0, alpha (exp(x) - 1) elsewhere.

    Gradient: dx = dy where x > 0, else alpha exp(x) dy. On paper that is (y + alpha) dy, which cancels where
    y is near -alpha, so x is kept and not y. Smooth at 0 for alpha = 1; otherwise 0 is a kink, where any
    slope between alpha and 1 is a valid generalised gradient and the left one, alpha, is chosen. Keeps x.

    Args:
        x: any shape.
        alpha: minus the limit at -inf, any finite number; static.

    Returns:
        y, of x's shape and dtype.

    Raises:
        TypeError: where x is not floating-point, or alpha is traced or no number.
        ValueError: where alpha is not finite.

    Source: lecture, unit 3 "Activation Function"; Clevert et al. 2016.
    """
    (x,) = as_floats(x=x)
    return _elu(x, as_finite("alpha", alpha))


def elu_plain(x: Float[Array, "..."], alpha: float) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    # Above 0 the exponential may overflow, and inf times a cotangent of 0 would be nan.
    below = jnp.where(x > 0, jnp.zeros((), x.dtype), x)
    return jnp.where(x > 0, x, alpha * jnp.expm1(below))


_elu = jax.custom_vjp(elu_plain, nondiff_argnums=(1,))


def _elu_fwd(x: Float[Array, "..."], alpha: float) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    return elu_plain(x, alpha), x


def _elu_bwd(alpha: float, x: Float[Array, "..."], dy: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    wide = x.astype(accumulator(x.dtype))
    below = jnp.where(x > 0, jnp.zeros((), wide.dtype), wide)
    slope = jnp.where(x > 0, jnp.ones((), wide.dtype), alpha * jnp.exp(below))
    return ((slope * dy.astype(wide.dtype)).astype(x.dtype),)


_elu.defvjp(_elu_fwd, _elu_bwd)

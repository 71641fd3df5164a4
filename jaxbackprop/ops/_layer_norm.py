"""Layer normalisation: each row over its own features."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._sharding import Like, explicit_sharding, place

from ._batch_norm import affine, as_epsilon, as_features, vary_all
from ._broadcast import unbroadcast


def layer_norm(
    x: Float[ArrayLike, "... d"],
    scale: Float[ArrayLike, " d"] | None = None,
    bias: Float[ArrayLike, " d"] | None = None,
    *,
    epsilon: float = 1e-6,
) -> Float[Array, "... d"]:
    """Each row normalised over its d features: y = γ x̂ + β, x̂ = (x - μ) r, r = 1 / √(v + ε).

    μ and v are the row's mean and biased variance, v as a mean of squared differences (E[x²] - μ² cancels
    where μ is large).

    Gradient: dγ = Σ dy x̂ and dβ = Σ dy over the rows. With dx̂ = γ dy and means over the row,
    dx = r (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)): directly, through μ, and through v. Shifting a row changes
    nothing, nor (but for ε) does stretching it, so that much is taken out of dx̂. A constant row has x̂ = 0 and
    r = 1 / √ε: a large but finite gradient. Keeps x, γ, and three numbers a row: μ, its rounding error, r.

    Args:
        x: rows of d >= 1 features under any leading axes.
        scale: γ, or None for 1.
        bias: β, or None for 0.
        epsilon: ε, at least 0; static. With 0 a constant row is 0/0, nan.

    Returns:
        y, of x's shape and dtype; half-precision statistics are taken in float32.

    Raises:
        TypeError: where dtypes differ or are not floating-point, or epsilon is traced.
        ValueError: where shapes do not fit, x has no feature, or epsilon is negative or not finite.

    Source: Ba et al. 2016; the lecture has batch normalisation alone.
    """
    x, scale, bias = as_features(x, scale, bias)
    if x.shape[-1] == 0:
        raise ValueError(f"x must end in an axis of one feature or more, got shape {x.shape}")
    return _layer_norm(*vary_all((x, scale, bias)), as_epsilon(epsilon))


def layer_norm_plain(
    x: Float[Array, "... d"],
    scale: Float[Array, " d"] | None,
    bias: Float[Array, " d"] | None,
    epsilon: float,
) -> Float[Array, "... d"]:
    """The same function for autodiff to differentiate."""
    wide = x.astype(accumulator(x.dtype))
    mean, var = jnp.mean(wide, -1, keepdims=True), jnp.var(wide, -1, keepdims=True)
    return affine((wide - mean) * lax.rsqrt(var + epsilon), scale, bias).astype(x.dtype)


class _Residuals(NamedTuple):
    x: Float[Array, "... d"]
    scale: Float[Array, " d"] | None
    bias_like: Like | None
    mean: Float[Array, "... 1"]  # μ as rounded
    rest: Float[Array, "... 1"]  # what rounding left of it
    r: Float[Array, "... 1"]  # 1 / √(v + ε)


def _layer_norm_fwd(
    x: Float[Array, "... d"],
    scale: Float[Array, " d"] | None,
    bias: Float[Array, " d"] | None,
    epsilon: float,
) -> tuple[Float[Array, "... d"], _Residuals]:
    wide = x.astype(accumulator(x.dtype))
    mean = jnp.mean(wide, -1, keepdims=True)
    # What rounding left of the mean, 0 on paper, is known once it is subtracted; so it costs no pass.
    centred = wide - mean
    rest = jnp.mean(centred, -1, keepdims=True)
    var = jnp.mean(jnp.square(centred), -1, keepdims=True) - jnp.square(rest)
    # No more than rounding can bring it below 0.
    r = lax.rsqrt(jnp.where(var < 0, jnp.zeros((), var.dtype), var) + epsilon)
    y = affine((centred - rest) * r, scale, bias)
    bias_like = None if bias is None else Like.of(bias)
    return y.astype(x.dtype), _Residuals(x, scale, bias_like, mean, rest, r)


def _layer_norm_value(*args: Any) -> Float[Array, "... d"]:
    return _layer_norm_fwd(*args)[0]


_layer_norm = jax.custom_vjp(_layer_norm_value, nondiff_argnums=(3,))


def _layer_norm_bwd(
    epsilon: float, residuals: _Residuals, dy: Float[Array, "... d"]
) -> tuple[Float[Array, "... d"], Float[Array, " d"] | None, Float[Array, " d"] | None]:
    x, scale, bias_like, mean, rest, r = residuals
    upstream = dy.astype(r.dtype)
    normalised = (x.astype(r.dtype) - mean - rest) * r
    dnormalised = affine(upstream, scale, None)
    through_mean = jnp.mean(dnormalised, -1, keepdims=True)
    through_var = normalised * jnp.mean(dnormalised * normalised, -1, keepdims=True)
    dx = r * (dnormalised - through_mean - through_var)
    dscale = None if scale is None else unbroadcast(upstream * normalised, Like.of(scale))
    dbias = None if bias_like is None else unbroadcast(upstream, bias_like)
    return place(dx.astype(x.dtype), explicit_sharding(x)), dscale, dbias


_layer_norm.defvjp(_layer_norm_fwd, _layer_norm_bwd)

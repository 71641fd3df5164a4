"""Batch normalisation: over the batch in training, with given statistics in inference."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_floats, as_mask, as_static_float
from jaxbackprop._sharding import Like, explicit_sharding, last_axis_sharding, place, vary_together

from ._broadcast import unbroadcast

# ---- training ---------------------------------------------------------------------------------------------


def batch_norm(
    x: Float[ArrayLike, "... c"],
    scale: Float[ArrayLike, " c"] | None = None,
    bias: Float[ArrayLike, " c"] | None = None,
    mask: Bool[ArrayLike, "..."] | None = None,
    *,
    epsilon: float = 1e-5,
    axis_name: Hashable | list[Hashable] = None,
) -> tuple[Float[Array, "... c"], Float[Array, " c"], Float[Array, " c"]]:
    """Each feature normalised over the batch: y = γ x̂ + β, x̂ = (x - μ) r, r = 1 / √(v + ε).

    μ and v are the mean and the biased variance of the N rows that count, v as a mean of squared differences
    (E[x²] - μ² cancels where μ is large).

    Gradient: dγ = Σ dy x̂ and dβ = Σ dy over all rows. With dx̂ = γ dy, three paths lead back to x: directly,
    r dx̂; through v, which receives dv - ½ r² Σ dx̂ x̂; through μ, which receives dμ - r Σ dx̂ (through v μ
    adds nothing, for Σ (x - μ) = 0). A row that counts has ∂v/∂x = 2 (x - μ) / N and ∂μ/∂x = 1 / N. Here dμ
    and dv are the cotangents of the results μ and v, 0 where these only feed a running average. A constant
    feature has x̂ = 0 and r = 1 / √ε: a large but finite gradient. Keeps x, γ, mask, and three numbers a
    feature: μ, its rounding error, r.

    Args:
        x: rows of c features under any leading axes.
        scale: γ, or None for 1.
        bias: β, or None for 0.
        mask: which rows count in the statistics, None for all; the others are normalised all the same.
        epsilon: ε, at least 0; static. With 0 a constant feature is 0/0, nan.
        axis_name: of a mapped axis (`jax.vmap`, `jax.shard_map`), or several, whose places hold one batch
            together; static.

    Returns:
        (y, μ, v): y of x's shape and dtype; μ and v of shape (c,), in float32 where x is in half precision,
        for the running averages that inference needs. A traced mask that counts no row gives nan.

    Raises:
        TypeError: where dtypes differ or are not floating-point, mask is not bool, or epsilon is traced.
        ValueError: where shapes do not fit, no row counts, or epsilon is negative or not finite.
        NameError: where no axis of that name is mapped.

    Source: lecture, unit 3 "Too slow" (batch normalisation); Ioffe and Szegedy 2015.
    """
    x, scale, bias = as_features(x, scale, bias)
    epsilon = as_epsilon(epsilon)
    axes = tuple(axis_name) if isinstance(axis_name, list) else axis_name
    counted = None if mask is None else _checked_mask(mask, x, axes)
    if math.prod(x.shape[:-1]) == 0:
        raise ValueError(f"there is no row in x of shape {x.shape} to take the mean and the variance of")
    others = [] if counted is None else [counted]
    if axes is not None:
        others.append(lax.axis_index(axes))
    x, scale, bias = vary_all((x, scale, bias), *others)
    y, mean, var = _batch_norm(x, scale, bias, counted, epsilon, axes)
    if axes is not None:
        mean, var = lax.pmean((mean, var), axes)
    return y, mean, var


def _checked_mask(mask: ArrayLike, x: Array, axis_name: Hashable) -> Array:
    counted = as_mask("mask", mask)
    if counted.shape != x.shape[:-1]:
        raise ValueError(f"mask must have shape {x.shape[:-1]} for x of shape {x.shape}, got {counted.shape}")
    if axis_name is None and not isinstance(counted, jax.core.Tracer) and counted.is_fully_addressable:
        if counted.size and not np.asarray(counted).any():
            raise ValueError(f"mask leaves no row of x of shape {x.shape} to take the mean of")
    return counted


def batch_norm_plain(
    x: Float[Array, "... c"],
    scale: Float[Array, " c"] | None,
    bias: Float[Array, " c"] | None,
    mask: Bool[Array, "..."] | None,
    epsilon: float,
    axis_name: Hashable = None,
) -> tuple[Float[Array, "... c"], Float[Array, " c"], Float[Array, " c"]]:
    """The same function for autodiff to differentiate."""
    rows = tuple(range(x.ndim - 1))
    wide = x.astype(accumulator(x.dtype))
    counted = None if mask is None else jnp.expand_dims(mask, -1)
    if axis_name is None:
        mean = jnp.mean(wide, rows, where=counted, keepdims=True)
        var = jnp.var(wide, rows, where=counted, keepdims=True)
    else:

        def total(values: Array) -> Array:
            return lax.psum(jnp.sum(values, rows, where=counted, keepdims=True), axis_name)

        number = total(jnp.ones_like(wide))
        mean = total(wide) / number
        var = total(jnp.square(wide - mean)) / number
    y = affine((wide - mean) * lax.rsqrt(var + epsilon), scale, bias)
    return y.astype(x.dtype), mean.reshape(x.shape[-1:]), var.reshape(x.shape[-1:])


class _Residuals(NamedTuple):
    x: Float[Array, "... c"]
    scale: Float[Array, " c"] | None
    bias_like: Like | None
    mask: Bool[Array, "..."] | None
    mean: Float[Array, "... c"]  # μ as rounded; one row, as are the three below
    rest: Float[Array, "... c"]  # what rounding left of it
    r: Float[Array, "... c"]  # 1 / √(v + ε)
    number: Float[Array, ""]  # N, the rows that count


def _batch_norm_fwd(
    x: Float[Array, "... c"],
    scale: Float[Array, " c"] | None,
    bias: Float[Array, " c"] | None,
    mask: Bool[Array, "..."] | None,
    epsilon: float,
    axis_name: Hashable,
) -> tuple[tuple[Float[Array, "... c"], Float[Array, " c"], Float[Array, " c"]], _Residuals]:
    wide, rows = x.astype(accumulator(x.dtype)), tuple(range(x.ndim - 1))
    number = math.prod(x.shape[:-1]) if mask is None else jnp.sum(mask, dtype=jnp.int32)
    total, number = _over_places((jnp.sum(_counting(wide, mask), rows, keepdims=True), number), axis_name)
    number = jnp.asarray(number, wide.dtype)
    mean = total / number
    # What rounding left of the mean, 0 on paper, is known once it is subtracted; so it costs no pass.
    centred = _counting(wide - mean, mask)
    sums = jnp.sum(centred, rows, keepdims=True), jnp.sum(jnp.square(centred), rows, keepdims=True)
    rest, squares = (s / number for s in _over_places(sums, axis_name))
    var = squares - jnp.square(rest)
    var = jnp.where(var < 0, jnp.zeros((), var.dtype), var)
    r = lax.rsqrt(var + epsilon)
    y = affine((wide - mean - rest) * r, scale, bias)
    bias_like = None if bias is None else Like.of(bias)
    outputs = y.astype(x.dtype), (mean + rest).reshape(x.shape[-1:]), var.reshape(x.shape[-1:])
    return outputs, _Residuals(x, scale, bias_like, mask, mean, rest, r, number)


def _counting(values: Array, mask: Array | None) -> Array:
    """The values with 0 in the rows that do not count, whatever they hold."""
    return values if mask is None else jnp.where(jnp.expand_dims(mask, -1), values, jnp.zeros_like(values))


def _over_places(parts: Any, axis_name: Hashable) -> Any:
    """The parts added over a mapped axis, so that every place has a sum of its own.

    A sum is the same everywhere, and JAX would hand us the cotangents of all places already added, or not,
    depending on the map. Of a value that differs they come apart, and adding them is the rule's business.
    """
    if axis_name is None:
        return parts
    here = lax.axis_index(axis_name) >= 0
    return jax.tree.map(
        lambda total: jnp.where(here, total, jnp.zeros_like(total)), lax.psum(parts, axis_name)
    )


def _batch_norm_value(*args: Any) -> tuple[Float[Array, "... c"], Float[Array, " c"], Float[Array, " c"]]:
    return _batch_norm_fwd(*args)[0]


_batch_norm = jax.custom_vjp(_batch_norm_value, nondiff_argnums=(4, 5))


def _batch_norm_bwd(
    epsilon: float,
    axis_name: Hashable,
    residuals: _Residuals,
    dy: tuple[Float[Array, "... c"], Float[Array, " c"], Float[Array, " c"]],
) -> tuple[Float[Array, "... c"], Float[Array, " c"] | None, Float[Array, " c"] | None, None]:
    x, scale, bias_like, mask, mean, rest, r, number = residuals
    upstream, dmean, dvar = (part.astype(r.dtype) for part in dy)
    rows = tuple(range(x.ndim - 1))
    centred = x.astype(r.dtype) - mean - rest
    normalised = centred * r
    dnormalised = affine(upstream, scale, None)
    to_var = dvar.reshape(r.shape) - 0.5 * r * r * jnp.sum(dnormalised * normalised, rows, keepdims=True)
    to_mean = dmean.reshape(r.shape) - r * jnp.sum(dnormalised, rows, keepdims=True)
    to_var, to_mean = _over_places((to_var, to_mean), axis_name)
    dx = r * dnormalised + _counting((2 * centred * to_var + to_mean) / number, mask)
    dscale = None if scale is None else unbroadcast(upstream * normalised, Like.of(scale))
    dbias = None if bias_like is None else unbroadcast(upstream, bias_like)
    return place(dx.astype(x.dtype), explicit_sharding(x)), dscale, dbias, None


_batch_norm.defvjp(_batch_norm_fwd, _batch_norm_bwd)

# ---- inference --------------------------------------------------------------------------------------------


def batch_norm_inference(
    x: Float[ArrayLike, "... c"],
    mean: Float[ArrayLike, " c"],
    var: Float[ArrayLike, " c"],
    scale: Float[ArrayLike, " c"] | None = None,
    bias: Float[ArrayLike, " c"] | None = None,
    *,
    epsilon: float = 1e-5,
) -> Float[Array, "... c"]:
    """Batch normalisation with given statistics, for each feature a straight line: y = γ (x - μ) r + β.

    Gradient, with r = 1 / √(v + ε), x̂ = (x - μ) r and sums over the rows: dx = r γ dy; dμ = -Σ dx;
    dv = -½ r³ Σ γ dy (x - μ); dγ = Σ dy x̂; dβ = Σ dy. Keeps x, γ, μ and v.

    Args:
        x: rows of c features under any leading axes.
        mean: μ.
        var: v; nan comes out where v + ε is negative.
        scale: γ, or None for 1.
        bias: β, or None for 0.
        epsilon: ε, at least 0; static.

    Returns:
        y, of x's shape and dtype. Where x is in half precision mean and var may be in float32, as
        `batch_norm` returns them.

    Raises:
        TypeError: where dtypes differ or are not floating-point, or epsilon is traced.
        ValueError: where shapes do not fit, or epsilon is negative or not finite.

    Source: lecture, unit 3 "Too slow" (batch normalisation); Ioffe and Szegedy 2015.
    """
    x, scale, bias = as_features(x, scale, bias)
    mean, var = as_floats(mean=mean, var=var)
    if mean.dtype not in (x.dtype, accumulator(x.dtype)):
        allowed = " or ".join(dict.fromkeys((str(x.dtype), str(accumulator(x.dtype)))))
        raise TypeError(f"mean and var must be {allowed} for x of dtype {x.dtype}, got {mean.dtype}")
    for name, value in (("mean", mean), ("var", var)):
        _check_features(name, value, x)
    return _inference(*vary_all((x, mean, var, scale, bias)), as_epsilon(epsilon))


def batch_norm_inference_plain(
    x: Float[Array, "... c"],
    mean: Float[Array, " c"],
    var: Float[Array, " c"],
    scale: Float[Array, " c"] | None,
    bias: Float[Array, " c"] | None,
    epsilon: float,
) -> Float[Array, "... c"]:
    """The same function for autodiff to differentiate."""
    wide = x.astype(accumulator(x.dtype))
    r = lax.rsqrt(along_rows(var, wide) + epsilon)
    return affine((wide - along_rows(mean, wide)) * r, scale, bias).astype(x.dtype)


_inference = jax.custom_vjp(batch_norm_inference_plain, nondiff_argnums=(5,))


class _InferenceResiduals(NamedTuple):
    x: Float[Array, "... c"]
    mean: Float[Array, " c"]
    var: Float[Array, " c"]
    scale: Float[Array, " c"] | None
    bias_like: Like | None


def _inference_fwd(
    x: Float[Array, "... c"],
    mean: Float[Array, " c"],
    var: Float[Array, " c"],
    scale: Float[Array, " c"] | None,
    bias: Float[Array, " c"] | None,
    epsilon: float,
) -> tuple[Float[Array, "... c"], _InferenceResiduals]:
    y = batch_norm_inference_plain(x, mean, var, scale, bias, epsilon)
    return y, _InferenceResiduals(x, mean, var, scale, None if bias is None else Like.of(bias))


def _inference_bwd(
    epsilon: float, residuals: _InferenceResiduals, dy: Float[Array, "... c"]
) -> tuple[
    Float[Array, "... c"],
    Float[Array, " c"],
    Float[Array, " c"],
    Float[Array, " c"] | None,
    Float[Array, " c"] | None,
]:
    x, mean, var, scale, bias_like = residuals
    upstream = dy.astype(accumulator(x.dtype))
    spread = along_rows(var, upstream) + epsilon
    r = lax.rsqrt(spread)
    centred = x.astype(r.dtype) - along_rows(mean, upstream)
    direct = affine(upstream, scale, None)
    dx = r * direct
    dmean = unbroadcast(-dx, Like.of(mean))
    # r³ as r / (v + ε): one rounded root instead of three.
    dvar = unbroadcast(-0.5 * (r / spread) * (direct * centred), Like.of(var))
    dscale = None if scale is None else unbroadcast(upstream * centred * r, Like.of(scale))
    dbias = None if bias_like is None else unbroadcast(upstream, bias_like)
    return place(dx.astype(x.dtype), explicit_sharding(x)), dmean, dvar, dscale, dbias


_inference.defvjp(_inference_fwd, _inference_bwd)

# ---- what the normalisations share ------------------------------------------------------------------------


def as_features(
    x: ArrayLike, scale: ArrayLike | None, bias: ArrayLike | None
) -> tuple[Array, Array | None, Array | None]:
    """Rows of features and the two optional numbers a feature, as floats of one dtype."""
    given = {name: value for name, value in (("scale", scale), ("bias", bias)) if value is not None}
    x, *rest = as_floats(x=x, **given)
    if x.ndim == 0:
        raise ValueError("x must have an axis of features, got a scalar")
    arrays = dict(zip(given, rest, strict=True))
    for name, value in arrays.items():
        _check_features(name, value, x)
    return x, arrays.get("scale"), arrays.get("bias")


def _check_features(name: str, value: Array, x: Array) -> None:
    if value.shape != x.shape[-1:]:
        raise ValueError(f"{name} must have shape {x.shape[-1:]} for x of shape {x.shape}, got {value.shape}")


def as_epsilon(value: Any) -> float:
    """Converts what is added to a variance to a Python float."""
    epsilon = as_static_float("epsilon", value)
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"epsilon must be finite and at least 0, got {epsilon}")
    return epsilon


def vary_all(floats: tuple[Array | None, ...], *others: Array) -> tuple[Any, ...]:
    """`vary_together` for arguments of which some are None."""
    arrays, structure = jax.tree.flatten(floats)
    return jax.tree.unflatten(structure, vary_together(tuple(arrays), *others))


def along_rows(value: Array, x: Array) -> Array:
    """One number a feature, in x's dtype and where x's features are, to be broadcast over x's rows."""
    value = place(value.astype(x.dtype), last_axis_sharding(x))
    return jnp.expand_dims(value, range(x.ndim - 1))


def affine(x: Array, scale: Array | None, bias: Array | None) -> Array:
    """Γ x + β, feature by feature."""
    if scale is not None:
        x = x * along_rows(scale, x)
    return x if bias is None else x + along_rows(bias, x)

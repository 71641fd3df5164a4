"""Losses besides softmax cross-entropy, and the two functions behind it: log-sum-exp and softmax."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_array, as_filled_axis, as_floats
from jaxbackprop._sharding import Like, explicit_sharding, place, vary_together

from ._exponentials import at_largest, share, shifted_exponentials

# ---- sigmoid and binary cross-entropy ---------------------------------------------------------------------


def sigmoid_binary_cross_entropy(
    logits: Float[ArrayLike, "..."], labels: Float[ArrayLike, "..."] | Int[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Cross-entropy -y log p - (1 - y) log(1 - p), p = σ(z), one loss an entry, in nats.

    Gradient: dz = (p - y) dy on paper. Where p is near y it cancels, so it is computed as
    (σ(z) (1 - y) - σ(-z) y) dy. Labels that are floating-point have one too: dlabel = -z dy. Keeps logits and
    labels. The loss itself is max(z, 0) - z y + log1p(exp(-|z|)), stable for logits of any finite size.

    Args:
        logits: scores z, any shape.
        labels: of logits' shape: 0 and 1 (integers or bools), or probabilities of logits' dtype.

    Returns:
        The losses, of logits' shape and dtype.

    Raises:
        TypeError: where logits are not floating-point, or probabilities of another dtype.
        ValueError: where shapes differ, or a concrete label is outside [0, 1].

    Source: lecture, unit 1 "Deriving Gradients : Tips" (softmax) for two classes; unit 2 "Backpropagation"
        (sigmoid).
    """
    array = as_array("labels", labels)
    if jnp.issubdtype(array.dtype, jnp.integer) or array.dtype == jnp.bool_:
        (logits,) = as_floats(logits=logits)
    else:
        logits, array = as_floats(logits=logits, labels=labels)
    if array.shape != logits.shape:
        raise ValueError(f"labels must have shape {logits.shape} as logits, got {array.shape}")
    _check_labels(array)
    if jnp.issubdtype(array.dtype, jnp.floating):
        logits, array = vary_together((logits, array))
    else:
        (logits,) = vary_together((logits,), array)
    return _binary_cross_entropy(logits, array)


def _check_labels(labels: Array) -> None:
    if isinstance(labels, jax.core.Tracer) or not labels.is_fully_addressable:
        return
    # As NumPy, for inside jit an operation even on a constant is traced.
    concrete = np.asarray(labels)
    outside = ~((concrete >= 0) & (concrete <= 1))
    if outside.any():
        raise ValueError(f"labels must lie in [0, 1], got {concrete[outside].flat[0]}")


def sigmoid_binary_cross_entropy_plain(
    logits: Float[Array, "..."], labels: Float[Array, "..."] | Int[Array, "..."]
) -> Float[Array, "..."]:
    """The same loss for autodiff to differentiate."""
    wide = accumulator(logits.dtype)
    z, y = logits.astype(wide), labels.astype(wide)
    # log p = -log1p(exp(-z)): the usual formula, -y log σ(z) - (1 - y) log σ(-z), of two stable logarithms.
    return (-y * jax.nn.log_sigmoid(z) - (1 - y) * jax.nn.log_sigmoid(-z)).astype(logits.dtype)


def _binary_cross_entropy_value(
    logits: Float[Array, "..."], labels: Float[Array, "..."] | Int[Array, "..."]
) -> Float[Array, "..."]:
    wide = accumulator(logits.dtype)
    z, y = logits.astype(wide), labels.astype(wide)
    # max(z, 0) - z y as one product, for y = 1 would cancel: z > 0 costs z (1 - y), z < 0 costs -z y.
    linear = jnp.where(z > 0, z * (1 - y), -z * y)
    return (linear + jnp.log1p(jnp.exp(-jnp.abs(z)))).astype(logits.dtype)


_binary_cross_entropy = jax.custom_vjp(_binary_cross_entropy_value)


class _BinaryCrossEntropyResiduals(NamedTuple):
    logits: Float[Array, "..."]
    labels: Float[Array, "..."] | Int[Array, "..."]


def _binary_cross_entropy_fwd(
    logits: Float[Array, "..."], labels: Float[Array, "..."] | Int[Array, "..."]
) -> tuple[Float[Array, "..."], _BinaryCrossEntropyResiduals]:
    return _binary_cross_entropy_value(logits, labels), _BinaryCrossEntropyResiduals(logits, labels)


def _binary_cross_entropy_bwd(
    residuals: _BinaryCrossEntropyResiduals, dy: Float[Array, "..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."] | None]:
    logits, labels = residuals
    wide = accumulator(logits.dtype)
    z, y, upstream = logits.astype(wide), labels.astype(wide), dy.astype(wide)
    dz = (lax.logistic(z) * (1 - y) - lax.logistic(-z) * y) * upstream
    if not jnp.issubdtype(labels.dtype, jnp.floating):
        return dz.astype(logits.dtype), None
    return dz.astype(logits.dtype), (-z * upstream).astype(labels.dtype)


_binary_cross_entropy.defvjp(_binary_cross_entropy_fwd, _binary_cross_entropy_bwd)

# ---- mean squared error -----------------------------------------------------------------------------------


def mean_squared_error(
    predictions: Float[ArrayLike, "..."], targets: Float[ArrayLike, "..."]
) -> Float[Array, ""]:
    """Mean of (p - t)² over all N entries.

    Gradient: dp = 2 (p - t) dy / N, and dt = -dp. Keeps the difference p - t.

    Args:
        predictions: p, any shape with at least one entry.
        targets: t, of the same shape.

    Returns:
        The mean, a scalar of the arguments' dtype; half-precision squares are summed in float32.

    Raises:
        TypeError: where dtypes differ or are not floating-point.
        ValueError: where shapes differ or there is no entry.

    Source: the least squares that lecture, unit 3 "Regularization" penalises.
    """
    predictions, targets = as_floats(predictions=predictions, targets=targets)
    if targets.shape != predictions.shape:
        raise ValueError(f"targets must have shape {predictions.shape} as predictions, got {targets.shape}")
    if predictions.size == 0:
        raise ValueError(f"predictions of shape {predictions.shape} have no entry to take the mean of")
    return _mean_squared_error(*vary_together((predictions, targets)))


def mean_squared_error_plain(
    predictions: Float[Array, "..."], targets: Float[Array, "..."]
) -> Float[Array, ""]:
    """The same loss for autodiff to differentiate."""
    wide = accumulator(predictions.dtype)
    return jnp.mean(jnp.square(predictions.astype(wide) - targets.astype(wide))).astype(predictions.dtype)


_mean_squared_error = jax.custom_vjp(mean_squared_error_plain)


class _MeanSquaredErrorResiduals(NamedTuple):
    difference: Float[Array, "..."]  # p - t, in float32 at least
    p_like: Like
    t_like: Like


def _mean_squared_error_fwd(
    predictions: Float[Array, "..."], targets: Float[Array, "..."]
) -> tuple[Float[Array, ""], _MeanSquaredErrorResiduals]:
    wide = accumulator(predictions.dtype)
    difference = predictions.astype(wide) - targets.astype(wide)
    y = jnp.mean(jnp.square(difference)).astype(predictions.dtype)
    return y, _MeanSquaredErrorResiduals(difference, Like.of(predictions), Like.of(targets))


def _mean_squared_error_bwd(
    residuals: _MeanSquaredErrorResiduals, dy: Float[Array, ""]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    difference, p_like, t_like = residuals
    dp = (2 / difference.size) * difference * dy.astype(difference.dtype)
    dt = -dp
    return place(dp.astype(p_like.dtype), p_like.sharding), place(dt.astype(t_like.dtype), t_like.sharding)


_mean_squared_error.defvjp(_mean_squared_error_fwd, _mean_squared_error_bwd)

# ---- log-sum-exp ------------------------------------------------------------------------------------------


def logsumexp(x: Float[ArrayLike, "..."], axis: int = -1) -> Float[Array, "..."]:
    """Logarithm of Σ exp(x) along an axis, which is removed: a smooth maximum.

    Gradient: dx = p dy with p = exp(x - y) = softmax(x). Keeps x and the sum of the exponentials beside its
    largest entry: exp(x - y) would suffer from the rounding of y. A slice of -inf alone gives -inf and
    gradient 0.

    Args:
        x: any shape with at least one axis.
        axis: static; counted from the end where negative.

    Returns:
        y, of x's shape without `axis`, of x's dtype; half-precision exponentials are summed in float32.

    Raises:
        TypeError: where x is not floating-point or axis is no static integer.
        ValueError: where axis is out of range or has no entries.

    Source: lecture, unit 1 "Deriving Gradients : Tips" (softmax): the derivative of log Σ exp is p.
    """
    (x,) = as_floats(x=x)
    return _logsumexp(x, as_filled_axis("axis", axis, x))


def logsumexp_plain(x: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return jax.nn.logsumexp(x.astype(accumulator(x.dtype)), axis).astype(x.dtype)


class _LogsumexpResiduals(NamedTuple):
    x: Float[Array, "..."]
    total: Float[Array, "..."]  # Σ exp(x - m), m the largest entry, with the axis kept


def _logsumexp_fwd(x: Float[Array, "..."], axis: int) -> tuple[Float[Array, "..."], _LogsumexpResiduals]:
    exponentials, m = shifted_exponentials(x.astype(accumulator(x.dtype)), axis)
    total = jnp.sum(exponentials, axis, keepdims=True)
    y = jnp.squeeze(m + jnp.log(total), axis)
    return y.astype(x.dtype), _LogsumexpResiduals(x, total)


def _logsumexp_value(x: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    return _logsumexp_fwd(x, axis)[0]


_logsumexp = jax.custom_vjp(_logsumexp_value, nondiff_argnums=(1,))


def _logsumexp_bwd(
    axis: int, residuals: _LogsumexpResiduals, dy: Float[Array, "..."]
) -> tuple[Float[Array, "..."]]:
    x, total = residuals
    exponentials, _ = shifted_exponentials(x.astype(total.dtype), axis)
    p = share(exponentials, total)
    dx = p * jnp.expand_dims(dy.astype(p.dtype), axis)
    return (place(dx.astype(x.dtype), explicit_sharding(x)),)


_logsumexp.defvjp(_logsumexp_fwd, _logsumexp_bwd)

# ---- softmax ----------------------------------------------------------------------------------------------


def softmax(x: Float[ArrayLike, "..."], axis: int = -1) -> Float[Array, "..."]:
    """Exponentials that sum to 1 along an axis: p = exp(x) / Σ exp(x).

    Gradient: ∂p_i/∂x_j = p_i (1{i = j} - p_j), a full matrix; its product with dy needs one sum:
    dx = p (dy - Σ p dy). Only differences within dy count, so dy at the largest p is subtracted first: where
    that p is near 1, the bracket would cancel. Keeps p. A slice of -inf alone gives 0 and gradient 0.

    Args:
        x: any shape with at least one axis.
        axis: along which the sum is 1; static; counted from the end where negative.

    Returns:
        p, of x's shape and dtype; half-precision exponentials are summed in float32.

    Raises:
        TypeError: where x is not floating-point or axis is no static integer.
        ValueError: where axis is out of range or has no entries.

    Source: lecture, unit 1 "Deriving Gradients : Tips" (softmax).
    """
    (x,) = as_floats(x=x)
    return _softmax(x, as_filled_axis("axis", axis, x))


def softmax_plain(x: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """The same function for autodiff to differentiate."""
    return jax.nn.softmax(x.astype(accumulator(x.dtype)), axis).astype(x.dtype)


def _softmax_value(x: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    exponentials, _ = shifted_exponentials(x.astype(accumulator(x.dtype)), axis)
    return share(exponentials, jnp.sum(exponentials, axis, keepdims=True)).astype(x.dtype)


_softmax = jax.custom_vjp(_softmax_value, nondiff_argnums=(1,))


def _softmax_fwd(x: Float[Array, "..."], axis: int) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    p = _softmax_value(x, axis)
    return p, p


def _softmax_bwd(axis: int, p: Float[Array, "..."], dy: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    wide = accumulator(p.dtype)
    p_wide, upstream = p.astype(wide), dy.astype(wide)
    upstream = upstream - at_largest(upstream, p, axis)
    dx = p_wide * (upstream - jnp.sum(p_wide * upstream, axis, keepdims=True))
    return (place(dx.astype(p.dtype), explicit_sharding(p)),)


_softmax.defvjp(_softmax_fwd, _softmax_bwd)

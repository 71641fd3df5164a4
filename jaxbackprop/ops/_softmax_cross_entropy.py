"""Softmax and cross-entropy in one: the loss of a classifier, whose gradient is p - y."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxbackprop._shapes import as_array, as_floats, as_ids, as_other_id
from jaxbackprop.ops._precision import accumulator
from jaxbackprop.ops._sharding import explicit_sharding, place, vary_together


def softmax_cross_entropy(
    logits: Float[ArrayLike, "... C"],
    labels: Int[ArrayLike, "..."] | Float[ArrayLike, "... C"],
    *,
    ignore_label: int | None = None,
) -> Float[Array, "..."]:
    """Cross-entropy -Σ y log p, p = softmax(logits), one loss an example, in nats.

    Gradient: dz = (p - y) dy for labels that sum to 1; in general dz = dy (p Σy - y), and for soft labels
    dy_label = -dy log p. Keeps logits, labels and two numbers an example, from which p is made again.
    Stable for logits of any finite size.

    Args:
        logits: scores of C classes.
        labels: class numbers in [0, C), or one weight a class (soft labels, logits' dtype, not necessarily
            summing to 1; a weight of 0 counts as 0 even where log p is -inf).
        ignore_label: an example with this label has loss and gradient 0; for class numbers only; static.

    Returns:
        The losses, of logits' dtype.

    Raises:
        TypeError: where logits are not floating-point, or soft labels of another dtype.
        ValueError: where shapes do not fit, or a concrete label is out of range. A traced label has no value
            to look at: one that is out of range makes loss and gradient nan.

    Source: lecture, unit 1 "softmax", correct and incorrect classes apart.
    """
    if ignore_label is not None:
        ignore_label = as_other_id("ignore_label", ignore_label)
    array = as_array("labels", labels)
    if jnp.issubdtype(array.dtype, jnp.integer):
        (logits,) = as_floats(logits=logits)
        _check_shapes(logits, array, logits.shape[:-1], "one class number an example")
        labels = as_ids("labels", labels, logits.shape[-1], besides=ignore_label, of="classes")
        return _hard(*vary_together((logits,), labels), labels, ignore_label)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"labels must be class numbers or floating-point weights, got dtype {array.dtype}")
    logits, labels = as_floats(logits=logits, labels=labels)
    _check_shapes(logits, labels, logits.shape, "one weight a class")
    if ignore_label is not None:
        raise ValueError(f"ignore_label {ignore_label} needs labels that are class numbers, got soft labels")
    return _soft(*vary_together((logits, labels)))


def _check_shapes(logits: Array, labels: Array, expected: tuple[int, ...], meaning: str) -> None:
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits must end in an axis of classes, got shape {logits.shape}")
    if labels.shape != expected:
        raise ValueError(
            f"labels must have shape {expected} ({meaning}) for logits of shape {logits.shape}, "
            f"got {labels.shape}"
        )


def softmax_cross_entropy_plain(logits: Array, labels: Array, ignore_label: int | None = None) -> Array:
    """The same loss for autodiff to differentiate."""
    if jnp.issubdtype(labels.dtype, jnp.integer):
        return _hard_forward(logits, labels, ignore_label)[0]
    return _soft_forward(logits, labels)[0]


def _log_normaliser(z: Array) -> tuple[Array, Array]:
    """The largest score m and log Σ exp(z - m), with log p = (z - m) - log Σ exp(z - m).

    Their sum, the log-sum-exp, would round the small part away where scores are large.
    """
    m = lax.stop_gradient(jnp.max(z, -1))
    return m, jnp.log(jnp.sum(jnp.exp(z - jnp.expand_dims(m, -1)), -1))


# ---- class numbers ----------------------------------------------------------------------------------------


def _is_class(labels: Array, logits: Array) -> Array:
    """One-hot labels (..., C) as booleans."""
    classes = lax.broadcasted_iota(
        labels.dtype, logits.shape, logits.ndim - 1, out_sharding=explicit_sharding(logits)
    )
    return classes == jnp.expand_dims(labels, -1)


def _hard_forward(logits: Array, labels: Array, ignore_label: int | None) -> tuple[Array, tuple]:
    z = logits.astype(accumulator(logits.dtype))
    m, log_sum = _log_normaliser(z)
    z_label = jnp.sum(jnp.where(_is_class(labels, z), z, jnp.zeros((), z.dtype)), -1)
    in_range = (labels >= 0) & (labels < logits.shape[-1])
    loss = jnp.where(in_range, log_sum - (z_label - m), jnp.full((), jnp.nan, z.dtype))
    if ignore_label is not None:
        loss = jnp.where(labels == ignore_label, jnp.zeros((), z.dtype), loss)
    return loss.astype(logits.dtype), (logits, labels, m, log_sum)


def _hard_plain(logits: Array, labels: Array, ignore_label: int | None) -> Array:
    return _hard_forward(logits, labels, ignore_label)[0]


_hard = jax.custom_vjp(_hard_plain, nondiff_argnums=(2,))


def _hard_bwd(ignore_label: int | None, residuals: tuple, dy: Array) -> tuple[Array, None]:
    logits, labels, m, log_sum = residuals
    z = logits.astype(m.dtype)
    p = jnp.exp(z - jnp.expand_dims(m, -1) - jnp.expand_dims(log_sum, -1))
    y = _is_class(labels, p).astype(p.dtype)
    in_range = (labels >= 0) & (labels < logits.shape[-1])
    upstream = jnp.where(in_range, dy.astype(p.dtype), jnp.full((), jnp.nan, p.dtype))
    dz = jnp.expand_dims(upstream, -1) * (p - y)
    if ignore_label is not None:
        dz = jnp.where(jnp.expand_dims(labels == ignore_label, -1), jnp.zeros((), p.dtype), dz)
    return place(dz.astype(logits.dtype), explicit_sharding(logits)), None


_hard.defvjp(_hard_forward, _hard_bwd)

# ---- soft labels ------------------------------------------------------------------------------------------


def _soft_forward(logits: Array, labels: Array) -> tuple[Array, tuple]:
    z = logits.astype(accumulator(logits.dtype))
    y = labels.astype(z.dtype)
    m, log_sum = _log_normaliser(z)
    log_p = z - jnp.expand_dims(m, -1) - jnp.expand_dims(log_sum, -1)
    # 0 log 0 is 0; the where keeps -inf out of the product, whose derivative would be nan.
    finite = jnp.where((y == 0) & jnp.isneginf(log_p), jnp.zeros((), z.dtype), log_p)
    return -jnp.sum(y * finite, -1).astype(logits.dtype), (logits, labels, m, log_sum)


def _soft_plain(logits: Array, labels: Array) -> Array:
    return _soft_forward(logits, labels)[0]


_soft = jax.custom_vjp(_soft_plain)


def _soft_bwd(residuals: tuple, dy: Array) -> tuple[Array, Array]:
    logits, labels, m, log_sum = residuals
    log_p = logits.astype(m.dtype) - jnp.expand_dims(m, -1) - jnp.expand_dims(log_sum, -1)
    y = labels.astype(m.dtype)
    upstream = jnp.expand_dims(dy.astype(m.dtype), -1)
    dz = upstream * (jnp.exp(log_p) * jnp.sum(y, -1, keepdims=True) - y)
    # A class that is ruled out has log p = -inf, which a cotangent of 0 must not turn into nan.
    dlabels = jnp.where(upstream == 0, jnp.zeros((), log_p.dtype), -upstream * log_p)
    return (
        place(dz.astype(logits.dtype), explicit_sharding(logits)),
        place(dlabels.astype(labels.dtype), explicit_sharding(labels)),
    )


_soft.defvjp(_soft_forward, _soft_bwd)

"""Softmax and cross-entropy in one: the loss of a classifier, whose gradient is p - y."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_array, as_floats, as_ids, as_other_id
from jaxbackprop._sharding import explicit_sharding, place, vary_together

from ._exponentials import exponential_of_difference, is_first_largest, shifted_exponentials


def softmax_cross_entropy(
    logits: Float[ArrayLike, "... C"],
    labels: Int[ArrayLike, "..."] | Float[ArrayLike, "... C"],
    *,
    ignore_label: int | None = None,
) -> Float[Array, "..."]:
    """Cross-entropy -Σ y log p, p = softmax(logits), one loss an example, in nats.

    Gradient: dz = (p - y) dy for labels that sum to 1; in general dz = dy (p Σy - y), and for soft labels
    dy_label = -dy log p. p - 1 of the correct class is computed as minus the sum of the others' p, which does
    not cancel. Keeps logits, labels and two or three numbers an example, from which p is made again. Stable
    for logits of any finite size.

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

    Source: lecture, unit 1 "Deriving Gradients : Tips", correct and incorrect classes apart.
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


def softmax_cross_entropy_plain(
    logits: Float[Array, "... C"],
    labels: Int[Array, "..."] | Float[Array, "... C"],
    ignore_label: int | None = None,
) -> Float[Array, "..."]:
    """The same loss for autodiff to differentiate."""
    if jnp.issubdtype(labels.dtype, jnp.integer):
        return _hard_plain(logits, labels, ignore_label)
    return _soft_plain(logits, labels)


# ---- class numbers ----------------------------------------------------------------------------------------


def _is_class(labels: Int[Array, "..."], logits: Float[Array, "... C"]) -> Bool[Array, "... C"]:
    """One-hot labels as booleans."""
    classes = lax.broadcasted_iota(
        labels.dtype, logits.shape, logits.ndim - 1, out_sharding=explicit_sharding(logits)
    )
    return classes == jnp.expand_dims(labels, -1)


def _hard_plain(
    logits: Float[Array, "... C"], labels: Int[Array, "..."], ignore_label: int | None
) -> Float[Array, "..."]:
    z = logits.astype(accumulator(logits.dtype))
    m = lax.stop_gradient(jnp.max(z, -1))
    z_label = jnp.sum(jnp.where(_is_class(labels, z), z, jnp.zeros((), z.dtype)), -1)
    loss = jnp.log(jnp.sum(jnp.exp(z - jnp.expand_dims(m, -1)), -1)) - (z_label - m)
    return _where_labelled(loss, logits, labels, ignore_label).astype(logits.dtype)


def _where_labelled(
    value: Float[Array, "..."],
    logits: Float[Array, "... C"],
    labels: Int[Array, "..."],
    ignore_label: int | None,
) -> Float[Array, "..."]:
    """The value of each example; nan where its label is no class, 0 where it is ignored."""
    in_range = (labels >= 0) & (labels < logits.shape[-1])
    value = jnp.where(in_range, value, jnp.full((), jnp.nan, value.dtype))
    if ignore_label is not None:
        value = jnp.where(labels == ignore_label, jnp.zeros((), value.dtype), value)
    return value


class _HardResiduals(NamedTuple):
    logits: Float[Array, "... C"]
    labels: Int[Array, "..."]
    m: Float[Array, "..."]  # the largest logit
    total: Float[Array, "..."]  # Σ exp(z - m)
    rest: Float[Array, "..."]  # the same without the correct class


def _hard_fwd(
    logits: Float[Array, "... C"], labels: Int[Array, "..."], ignore_label: int | None
) -> tuple[Float[Array, "..."], _HardResiduals]:
    z = logits.astype(accumulator(logits.dtype))
    exponentials, m = shifted_exponentials(z, -1)
    m = jnp.squeeze(m, -1)
    correct, zero = _is_class(labels, z), jnp.zeros((), z.dtype)
    rest = jnp.sum(jnp.where(correct, zero, exponentials), -1)
    total = jnp.sum(exponentials, -1)
    behind = m - jnp.sum(jnp.where(correct, z, zero), -1)
    # Where the correct class leads, log1p keeps the digits of a small rest. Its own exponential is 1 there,
    # but not a constant to whoever differentiates this.
    leads = behind == 0
    own = jnp.where(leads, jnp.sum(jnp.where(correct, exponentials, zero), -1), jnp.ones((), z.dtype))
    loss = jnp.where(leads, jnp.log1p(rest / own), jnp.log(total) + behind)
    loss = _where_labelled(loss, logits, labels, ignore_label)
    return loss.astype(logits.dtype), _HardResiduals(logits, labels, m, total, rest)


def _hard_value(
    logits: Float[Array, "... C"], labels: Int[Array, "..."], ignore_label: int | None
) -> Float[Array, "..."]:
    return _hard_fwd(logits, labels, ignore_label)[0]


_hard = jax.custom_vjp(_hard_value, nondiff_argnums=(2,))


def _hard_bwd(
    ignore_label: int | None, residuals: _HardResiduals, dy: Float[Array, "..."]
) -> tuple[Float[Array, "... C"], None]:
    logits, labels, m, total, rest = residuals
    exponentials = exponential_of_difference(logits.astype(m.dtype), jnp.expand_dims(m, -1))
    # p - 1 of the correct class, which cancels where p is near 1, is minus the share of all others.
    numerator = jnp.where(_is_class(labels, exponentials), -jnp.expand_dims(rest, -1), exponentials)
    upstream = _where_labelled(dy.astype(m.dtype), logits, labels, ignore_label)
    dz = jnp.expand_dims(upstream, -1) * (numerator / jnp.expand_dims(total, -1))
    if ignore_label is not None:
        # Where the exponentials are nan, a cotangent of 0 is not enough.
        dz = jnp.where(jnp.expand_dims(labels == ignore_label, -1), jnp.zeros((), dz.dtype), dz)
    return place(dz.astype(logits.dtype), explicit_sharding(logits)), None


_hard.defvjp(_hard_fwd, _hard_bwd)

# ---- soft labels ------------------------------------------------------------------------------------------


def _soft_plain(logits: Float[Array, "... C"], labels: Float[Array, "... C"]) -> Float[Array, "..."]:
    z = logits.astype(accumulator(logits.dtype))
    m = lax.stop_gradient(jnp.max(z, -1, keepdims=True))
    log_p = z - m - jnp.log(jnp.sum(jnp.exp(z - m), -1, keepdims=True))
    return -jnp.sum(_weighted(labels.astype(z.dtype), log_p), -1).astype(logits.dtype)


def _weighted(y: Float[Array, "... C"], log_p: Float[Array, "... C"]) -> Float[Array, "... C"]:
    """The terms y log p, where 0 log 0 is 0 (the product, and its derivative, would be nan)."""
    return y * jnp.where((y == 0) & jnp.isneginf(log_p), jnp.zeros((), log_p.dtype), log_p)


def _others(x: Float[Array, "... C"]) -> Float[Array, "... C"]:
    """For each entry of the last axis the sum of the others.

    The sum less the entry cancels for an entry that outweighs the others, so the largest is summed around.
    """
    largest = is_first_largest(jnp.abs(x), x.ndim - 1)
    around = jnp.sum(jnp.where(largest, jnp.zeros((), x.dtype), x), -1, keepdims=True)
    at_largest = jnp.sum(jnp.where(largest, x, jnp.zeros((), x.dtype)), -1, keepdims=True)
    return jnp.where(largest, around, at_largest + (around - x))


class _SoftResiduals(NamedTuple):
    logits: Float[Array, "... C"]
    labels: Float[Array, "... C"]
    m: Float[Array, "... 1"]  # the largest logit
    total: Float[Array, "... 1"]  # Σ exp(z - m)


def _soft_fwd(
    logits: Float[Array, "... C"], labels: Float[Array, "... C"]
) -> tuple[Float[Array, "..."], _SoftResiduals]:
    z = logits.astype(accumulator(logits.dtype))
    exponentials, m = shifted_exponentials(z, -1)
    total = jnp.sum(exponentials, -1, keepdims=True)
    terms = _weighted(labels.astype(z.dtype), (z - m) - jnp.log(total))
    return -jnp.sum(terms, -1).astype(logits.dtype), _SoftResiduals(logits, labels, m, total)


def _soft_value(logits: Float[Array, "... C"], labels: Float[Array, "... C"]) -> Float[Array, "..."]:
    return _soft_fwd(logits, labels)[0]


_soft = jax.custom_vjp(_soft_value)


def _soft_bwd(
    residuals: _SoftResiduals, dy: Float[Array, "..."]
) -> tuple[Float[Array, "... C"], Float[Array, "... C"]]:
    logits, labels, m, total = residuals
    z, y = logits.astype(m.dtype), labels.astype(m.dtype)
    exponentials = exponential_of_difference(z, m)
    upstream = jnp.expand_dims(dy.astype(m.dtype), -1)
    # p Σy - y is p (the other weights) - y (the other shares), whose terms cannot cancel for one-hot labels.
    dz = exponentials * _others(y) - y * _others(exponentials)
    dz = upstream * (dz / total)
    # A class that is ruled out has log p = -inf, which a cotangent of 0 must not turn into nan.
    log_p = (z - m) - jnp.log(total)
    dlabels = jnp.where(upstream == 0, jnp.zeros((), log_p.dtype), -upstream * log_p)
    return (
        place(dz.astype(logits.dtype), explicit_sharding(logits)),
        place(dlabels.astype(labels.dtype), explicit_sharding(labels)),
    )


_soft.defvjp(_soft_fwd, _soft_bwd)

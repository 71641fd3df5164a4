"""A classifier's last linear map and its softmax cross-entropy as one step, a token at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def linear_softmax_cross_entropy(
    x: ArrayLike,
    W: ArrayLike,
    labels: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    ignore_label: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    chunk: Any = "auto",
) -> Array:
    """J = -Σ_v y_v log p_v of each token, with z = W x + b and p = softmax(z).

    With log Σ = log Σ_v e^{z_v}, computed with the largest logit subtracted, log p_v = z_v - log Σ. A label c
    with smoothing ε stands for y = (1 - ε) e_c + (ε / V) 1, so that y adds up to 1 and

        J = log Σ - (1 - ε) z_c - ε z̄,      z̄ = (1/V) Σ_v z_v.

    Args:
        x: (..., D), one token to a row under any leading axes.
        W: (V, D), classes × inputs.
        labels: integers (...) in [0, V).
        bias: b, (V,), or None for none.
        ignore_label: a label whose tokens have loss 0 and do not count in the mean, or None.
        label_smoothing: ε in [0, 1].
        reduction: "none" for a loss a token, "sum" for their sum, "mean" for the sum over the number of
            tokens that count (0 where none does).
        chunk: how many tokens an implementation takes at once; nothing on paper depends on it.

    Returns:
        J, (...), or a scalar.

    Raises:
        ValueError: where shapes do not fit, a label or ε is out of range, or reduction is another one.
        TypeError: where labels are not integers.
    """
    x, W, labels, bias, counted = _checked(x, W, labels, bias, ignore_label, label_smoothing, reduction)
    losses = np.zeros(labels.shape)
    for token in np.ndindex(labels.shape):
        if counted[token]:
            log_p = _log_softmax(_logits(x[token], W, bias))
            y = _smoothed(int(labels[token]), W.shape[0], label_smoothing)
            # 0 log 0 is 0.
            losses[token] = -np.sum(y[y > 0] * log_p[y > 0])
    if reduction == "none":
        return losses
    return losses.sum() / (max(counted.sum(), 1) if reduction == "mean" else 1)


def linear_softmax_cross_entropy_vjp(
    x: ArrayLike,
    W: ArrayLike,
    labels: ArrayLike,
    bias: ArrayLike | None,
    dy: ArrayLike,
    *,
    ignore_label: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    chunk: Any = "auto",
) -> tuple[Array, Array, None, Array | None]:
    """Gradients of a scalar s by x, W and b, given dy = ∂s/∂(result).

    Names and shapes, for one token n: x_n (D,), z_n = W x_n + b (V,), p_n = softmax(z_n) (V,), y_n (V,) its
    label as weights that add up to 1, J_n a scalar.

    From the result to each loss. A loss reaches s through the result alone:

        "none":   ∂s/∂J_n = dy_n
        "sum":    ∂s/∂J_n = dy
        "mean":   ∂s/∂J_n = dy / M,  M the number of tokens that count; the labels decide on M, not x or W.

    Call it u_n; an ignored token has u_n = 0.

    From a loss to its logits. As J_n = log Σ_v e^{z_v} - Σ_v y_v z_v (the y_v add up to 1), and as
    ∂(log Σ)/∂z_v = e^{z_v} / Σ = p_v,

        δ_n = ∂s/∂z_n = u_n (p_n - y_n)        (V,).

    From the logits to the linear map, as for any: with δ_n the error signal at z_n,

        ∂s/∂x_n = Wᵀ δ_n               (D,)   = (D, V)(V,)
        ∂s/∂W   = Σ_n δ_n x_nᵀ         (V, D) = Σ (V, 1)(1, D)
        ∂s/∂b   = Σ_n δ_n              (V,).

    What makes the step worth taking as one: δ_n needs the logits of its own token and of no other. So tokens
    can be gone through one at a time (or some at a time): z_n, p_n and δ_n are made, used three times, and
    forgotten. The N V logits of all tokens never exist together, and what is added up, ∂s/∂W, has the size
    of W. And u_n is one number a token: where s is the loss itself, or a multiple of it, the whole gradient
    can be formed while the loss is computed.

    Args:
        x: (..., D).
        W: (V, D).
        labels: integers (...).
        bias: (V,) or None.
        dy: (...) for "none", else a scalar.
        ignore_label: see `linear_softmax_cross_entropy`.
        label_smoothing: see there.
        reduction: see there.
        chunk: see there.

    Returns:
        (dx, dW, None, db) with the shapes of x, W and b; db is None where bias is.

    Raises:
        ValueError: as `linear_softmax_cross_entropy`, and where dy does not have the result's shape.
        TypeError: as `linear_softmax_cross_entropy`.
    """
    x, W, labels, bias, counted = _checked(x, W, labels, bias, ignore_label, label_smoothing, reduction)
    dy = np.asarray(dy, dtype=np.float64)
    expected = labels.shape if reduction == "none" else ()
    if dy.shape != expected:
        raise ValueError(f"dy has shape {dy.shape} but the result has shape {expected}")
    if reduction == "mean":
        dy = dy / max(counted.sum(), 1)
    upstream = np.broadcast_to(dy, labels.shape)
    dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros(W.shape[0])
    for token in np.ndindex(labels.shape):
        if counted[token]:
            p = np.exp(_log_softmax(_logits(x[token], W, bias)))
            delta = upstream[token] * (p - _smoothed(int(labels[token]), W.shape[0], label_smoothing))
            dx[token] = W.T @ delta
            dW += np.outer(delta, x[token])
            db += delta
    return dx, dW, None, None if bias is None else db


def _logits(x: Array, W: Array, bias: Array | None) -> Array:
    return W @ x if bias is None else W @ x + bias


def _log_softmax(z: Array) -> Array:
    shifted = z - z.max()
    return shifted - np.log(np.exp(shifted).sum())


def _smoothed(label: int, classes: int, smoothing: float) -> Array:
    y = np.full(classes, smoothing / classes)
    y[label] += 1 - smoothing
    return y


def _checked(
    x: ArrayLike,
    W: ArrayLike,
    labels: ArrayLike,
    bias: ArrayLike | None,
    ignore_label: int | None,
    smoothing: float,
    reduction: str,
) -> tuple[Array, Array, NDArray[np.int_], Array | None, NDArray[np.bool_]]:
    """The arguments as arrays, and which tokens count."""
    x, W = np.asarray(x, dtype=np.float64), np.asarray(W, dtype=np.float64)
    labels = np.asarray(labels)
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f"reduction must be 'none', 'sum' or 'mean', got {reduction!r}")
    if not 0 <= smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], got {smoothing}")
    if W.ndim != 2 or W.shape[0] == 0:
        raise ValueError(f"W must have shape (classes, inputs) with one class or more, got {W.shape}")
    if x.ndim == 0 or x.shape[-1] != W.shape[1]:
        raise ValueError(f"W has shape {W.shape}, so x must end in {W.shape[1]}, but has shape {x.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"labels must be integers, got dtype {labels.dtype}")
    if labels.shape != x.shape[:-1]:
        raise ValueError(f"labels has shape {labels.shape} but x has shape {x.shape}")
    if bias is not None:
        bias = np.asarray(bias, dtype=np.float64)
        if bias.shape != W.shape[:1]:
            raise ValueError(f"bias has shape {bias.shape} but W has shape {W.shape}")
    counted = (
        np.ones(labels.shape, dtype=bool) if ignore_label is None else np.asarray(labels != ignore_label)
    )
    outside = counted & ((labels < 0) | (labels >= W.shape[0]))
    if outside.any():
        raise ValueError(
            f"labels must lie in [0, {W.shape[0]}) ({W.shape[0]} classes), got {labels[outside].flat[0]}"
        )
    return x, W, labels, bias, counted


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "linear_softmax_cross_entropy": [
        ("f64[4,3]", "f64[5,3]", "i64[4]<5", "f64[5]"),
        ("f64[4,3]", "f64[5,3]", "i64[4] in [-1,5)", None, "ignore_label=-1"),
        ("f64[4,3]", "f64[5,3]", "i64[4]<5", None, "reduction='none'"),
    ],
}

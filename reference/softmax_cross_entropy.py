"""Softmax and cross-entropy as one step, so that the gradient is p - y.

Source: lecture, unit 1 "Deriving Gradients : Tips".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def softmax(logits: ArrayLike) -> Array:
    """Probabilities p_i = e^{z_i} / Σ_k e^{z_k} along the last axis.

    Every p_i depends on all of z: the slide's p_k = S_k(z_k) should read p_k = S_k(z). Adding one number to
    all of z changes nothing (it cancels in the fraction), so the largest logit is subtracted first and no
    exponential overflows.

    Args:
        logits: z, (..., C).

    Returns:
        p, (..., C). A row of nothing but -inf, or with +inf or nan in it, has no distribution: nan.

    Raises:
        ValueError: where logits have no axis of classes, or no class.
    """
    return np.exp(_log_softmax(_checked_logits(logits)))


def softmax_jacobian(logits: ArrayLike) -> Array:
    """All derivatives J_ji = ∂p_j/∂z_i of softmax, on paper only: C² numbers an example.

    Write e_i = e^{z_i} and Σ = Σ_k e_k. By the quotient rule, where the output's class is the input's class,

        ∂p_i/∂z_i = (e_i Σ - e_i e_i) / Σ² = (e_i / Σ) (Σ - e_i) / Σ = p_i (1 - p_i),

    and where it is another, z_i stands in the denominator alone,

        ∂p_j/∂z_i = - e_j e_i / Σ² = - p_j p_i      (j ≠ i).

    Matrix form: J = diag(p) - p pᵀ, (C, C). It is symmetric, and its rows and columns add up to 0:
    probabilities always add up to 1, and moving all logits together moves none of them.

    Args:
        logits: z, (..., C).

    Returns:
        J, (..., C, C).

    Raises:
        ValueError: where logits have no axis of classes, or no class.
    """
    p = softmax(logits)
    return p[..., :, None] * (np.eye(p.shape[-1]) - p[..., None, :])


def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike, *, ignore_label: int | None = None) -> Array:
    """J = -Σ_j y_j log p_j with p = softmax(z), one loss an example.

    log p_j = z_j - log Σ_k e^{z_k} is computed with the largest logit subtracted, never as the log of p_j:
    with logits of ±1e4 a p_j of e^{-20000} is 0 in floating point, while log p_j = -20000 is exact. An
    integer label c stands for the one-hot y, so that J = -log p_c.

    Args:
        logits: z, (..., C).
        labels: integers (...) in [0, C), or y, (..., C), floating-point (soft). Soft labels need not add up
            to 1; where y_j is 0 class j adds 0, even if log p_j is -inf.
        ignore_label: an integer label whose examples have loss 0, or None. It need not lie in [0, C).

    Returns:
        J, (...).

    Raises:
        ValueError: where shapes do not fit, an integer label is out of range, or ignore_label meets soft
            labels.
        TypeError: where labels or ignore_label are not of the types above.
    """
    logits, labels, counted = _checked(logits, labels, ignore_label)
    log_p = _log_softmax(logits)
    if counted is None:
        return _product(labels, -log_p).sum(axis=-1)
    correct = np.where(counted, labels, 0)
    losses = -np.take_along_axis(log_p, correct[..., None], axis=-1)[..., 0]
    return np.where(counted, losses, 0.0)


def softmax_cross_entropy_vjp(
    logits: ArrayLike, labels: ArrayLike, dy: ArrayLike, *, ignore_label: int | None = None
) -> tuple[Array, Array | None]:
    """Gradients by the logits, and by soft labels, given dy = ∂s/∂J for each example.

    Names and shapes, for one example: z (C,), p = softmax(z) (C,), y (C,) one-hot at the correct class c,
    J = -Σ_j y_j log p_j a scalar.

    Through p. J depends on z_i by way of every p_j, and ∂log(p_j)/∂p_j = 1/p_j:

        ∂J/∂z_i = -Σ_j y_j (1/p_j) ∂p_j/∂z_i.

    (The slide's second row drops the factor 1/p_j; its third row is right again.) Put in the two kinds of
    derivative of `softmax_jacobian`, the class itself and all others apart:

        ∂J/∂z_i = -y_i (1/p_i) p_i (1 - p_i) + Σ_{j≠i} y_j (1/p_j) p_j p_i = -y_i (1 - p_i) + p_i Σ_{j≠i} y_j.

    Correct class and incorrect classes separately, as the lecture advises for a one-hot y:

        correct, i = c:      y_i = 1 and Σ_{j≠i} y_j = 0:      ∂J/∂z_c = -(1 - p_c) = p_c - 1
        incorrect, i ≠ c:    y_i = 0 and Σ_{j≠i} y_j = 1:      ∂J/∂z_i = p_i

    so the correct logit is pulled up by what its probability lacks, and the others are pushed down by what
    they have. Both lines are p_i - y_i; in matrix form ∂J/∂z = p - y, (C,).

    Any labels. Collecting the p_i of the general line, ∂J/∂z_i = p_i Σ_j y_j - y_i. It is p - y only for
    labels that add up to 1, which the slide does not say. As a matrix product it is -Jᵀ_softmax (y / p),
    which divides by p; the collected form does not, and stands where p underflows.

    The labels, where they are numbers: J is linear in y, so ∂J/∂y_j = -log p_j, which is +inf where z_j is
    -inf.

    With dy the chain rule scales both by one number an example; an ignored example has gradient 0.

    Args:
        logits: z, (..., C).
        labels: integers (...) or soft labels (..., C).
        dy: (...), the shape of the losses.
        ignore_label: as in `softmax_cross_entropy`.

    Returns:
        (dlogits, dlabels): (..., C) each, dlabels None for integer labels and 0 where dy is 0.

    Raises:
        ValueError: as `softmax_cross_entropy`, and where dy does not have the shape of the losses.
        TypeError: as `softmax_cross_entropy`.
    """
    logits, labels, counted = _checked(logits, labels, ignore_label)
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != logits.shape[:-1]:
        raise ValueError(f"dy has shape {dy.shape} but the losses have shape {logits.shape[:-1]}")
    dy = dy[..., None]
    log_p = _log_softmax(logits)
    p = np.exp(log_p)
    if counted is None:
        y = labels
        return dy * (p * y.sum(axis=-1, keepdims=True) - y), _product(dy, -log_p)
    y = labels[..., None] == np.arange(logits.shape[-1])
    return np.where(counted[..., None], dy * (p - y), 0.0), None


def _log_softmax(logits: Array) -> Array:
    with np.errstate(invalid="ignore", over="ignore"):
        shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _product(factor: Array, values: Array) -> Array:
    """The product, where 0 × inf counts as 0: y log p as y goes to 0 with p already there."""
    with np.errstate(invalid="ignore"):
        return np.where((factor == 0) & ~np.isnan(values), 0.0, factor * values)


def _checked_logits(logits: ArrayLike) -> Array:
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits must end in an axis of one class or more, got shape {logits.shape}")
    return logits


def _checked(
    logits: ArrayLike, labels: ArrayLike, ignore_label: int | None
) -> tuple[Array, NDArray, NDArray[np.bool_] | None]:
    """The arguments as arrays, and which examples count (None for soft labels)."""
    logits = _checked_logits(logits)
    labels = np.asarray(labels)
    classes = logits.shape[-1]
    if ignore_label is not None and (
        not isinstance(ignore_label, int | np.integer) or isinstance(ignore_label, bool)
    ):
        raise TypeError(f"ignore_label must be an integer, got {ignore_label!r}")
    if np.issubdtype(labels.dtype, np.floating):
        if ignore_label is not None:
            raise ValueError(f"ignore_label {ignore_label} needs integer labels, got dtype {labels.dtype}")
        if labels.shape != logits.shape:
            raise ValueError(
                f"labels has shape {labels.shape} but logits has shape {logits.shape}; soft labels share it"
            )
        return logits, labels.astype(np.float64), None
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"labels must be integers or floating-point, got dtype {labels.dtype}")
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"labels has shape {labels.shape} but logits has shape {logits.shape}; "
            f"integer labels must have shape {logits.shape[:-1]}"
        )
    counted = np.ones(labels.shape, dtype=bool)
    allowed = f"[0, {classes})"
    if ignore_label is not None:
        counted = np.asarray(labels != int(ignore_label))
        allowed += f" or {ignore_label}"
    outside = counted & ((labels < 0) | (labels >= classes))
    if outside.any():
        raise ValueError(f"labels must lie in {allowed} ({classes} classes), got {labels[outside].flat[0]}")
    return logits, labels, counted


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "softmax_cross_entropy": [
        ("f64[4,5]", "i64[4]<5"),
        ("f64[4,5]", "i64[4] in [-1,5)", "ignore_label=-1"),
        ("f64[4,5]", "f64[4,5] simplex"),
    ],
}

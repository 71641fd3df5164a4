"""Losses beside softmax cross-entropy, and the two functions that it is made of.

Source: lecture, unit 1 "Deriving Gradients : Tips".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference.activations.squashing import sigmoid

Array = NDArray[np.float64]


def sigmoid_binary_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """J = -(y log p + (1 - y) log(1 - p)) with p = σ(z), one yes-or-no question an entry.

    With -log(1 - p) = log(1 + e^z) and -log p = log(1 + e^z) - z it is J = log(1 + e^z) - y z. Taking the
    larger exponential out of the logarithm, as softplus does,

        J = max(z, 0) - y z + log(1 + e^{-|z|}),

    and max(z, 0) - y z = |z| times what the label lacks: 1 - y where z > 0, y where z ≤ 0. In that form both
    terms are at least 0 and nothing cancels; log p itself would be -inf once p rounds to 0.

    Args:
        logits: z, any shape.
        labels: y, of z's shape: floating-point in [0, 1], or integers or booleans, 0 and 1.

    Returns:
        J, of z's shape, in nats. For z = ±inf the limit: 0 where y is sure and right, else inf.

    Raises:
        ValueError: where labels does not have logits' shape, or a label is out of range.
        TypeError: where labels are not of the types above.
    """
    z, y, _ = _checked_binary(logits, labels)
    lacking = np.where(z > 0.0, 1.0 - y, y)
    return _product(lacking, np.abs(z)) + np.log1p(np.exp(-np.abs(z)))


def sigmoid_binary_cross_entropy_vjp(
    logits: ArrayLike, labels: ArrayLike, dy: ArrayLike
) -> tuple[Array, Array | None]:
    """Gradients by the logits, and by soft labels, given dy = ∂s/∂J for each entry.

    For one entry, J = log(1 + e^z) - y z. The first term has the derivative e^z / (1 + e^z) = σ(z) = p, so

        ∂J/∂z = p - y,

    as for softmax: with two classes of logits z and 0, softmax is (p, 1 - p) and J its cross-entropy. In
    floating point p rounds to 1 where z is large, and p - 1 cancels to 0. Write 1 as (1 - y) + y in front of
    p, and 1 - p as σ(-z):

        p - y = p (1 - y) - (1 - p) y = σ(z) (1 - y) - σ(-z) y,

    whose terms are exact in the tails, and of which one is 0 where y is 0 or 1.

    The labels, where they are numbers: J is linear in y, so ∂J/∂y = -z, the log odds log((1 - p)/p).

    Args:
        logits: z, any shape.
        labels: y, as in `sigmoid_binary_cross_entropy`.
        dy: of z's shape.

    Returns:
        (dlogits, dlabels): of z's shape; dlabels is None for integers and booleans, and 0 where dy is 0.

    Raises:
        ValueError: as `sigmoid_binary_cross_entropy`, and where dy does not have the shape of the losses.
        TypeError: as `sigmoid_binary_cross_entropy`.
    """
    z, y, soft = _checked_binary(logits, labels)
    dy = _checked_upstream(dy, z.shape)
    dz = dy * (sigmoid(z) * (1.0 - y) - sigmoid(-z) * y)
    return dz, _product(dy, -z) if soft else None


def mean_squared_error(predictions: ArrayLike, targets: ArrayLike) -> np.float64:
    """J = 1/N Σ_i (p_i - t_i)², the mean over all N entries.

    Args:
        predictions: p, any shape with an entry.
        targets: t, of p's shape.

    Returns:
        J, a scalar, in the predictions' unit squared.

    Raises:
        ValueError: where the shapes differ or there is no entry.
    """
    difference = _difference(predictions, targets)
    return np.float64(np.mean(difference**2))


def mean_squared_error_vjp(predictions: ArrayLike, targets: ArrayLike, dy: ArrayLike) -> tuple[Array, Array]:
    """Gradients by the predictions and by the targets, given dy = ∂s/∂J.

    p_i stands in one of the N terms, (p_i - t_i)² / N, and so does t_i. By the chain rule, with
    ∂(p_i - t_i)/∂p_i = 1 and ∂(p_i - t_i)/∂t_i = -1,

        ∂J/∂p_i = 2 (p_i - t_i) / N,      ∂J/∂t_i = -2 (p_i - t_i) / N.

    The factor 2 is there because this loss has no ½, and 1/N because it is a mean and no sum. Only the
    difference counts, so moving p and t together moves nothing: the two gradients add up to 0.

    Args:
        predictions: p, any shape with an entry.
        targets: t, of p's shape.
        dy: a scalar.

    Returns:
        (dpredictions, dtargets), of p's shape.

    Raises:
        ValueError: as `mean_squared_error`, and where dy is not a scalar.
    """
    difference = _difference(predictions, targets)
    dy = _checked_upstream(dy, ())
    dpredictions = dy * (2.0 * difference / difference.size)
    return dpredictions, -dpredictions


def logsumexp(x: ArrayLike, axis: int = -1) -> Array:
    """The log-sum-exp y = log Σ_j e^{x_j} along an axis, a smooth maximum: max ≤ y ≤ max + log n.

    With w the place of the maximum, e^{x_w} taken out of the sum leaves y = x_w + log(1 + Σ_{j≠w}
    e^{x_j - x_w}). No exponential overflows, and log1p keeps the rest, however small it is beside 1.

    Args:
        x: any shape with at least one entry along the axis.
        axis: the axis that goes away; a negative one counts from the end.

    Returns:
        y, x's shape without the axis: -inf of nothing but -inf, inf where there is an inf, nan where there is
        a nan.

    Raises:
        ValueError: where x has no such axis, or no entry along it.
        TypeError: where axis is not an integer.
    """
    x, axis = _checked_axis(x, axis)
    winner = np.argmax(x, axis=axis, keepdims=True)
    largest = np.take_along_axis(x, winner, axis)
    rest = _exponentials(x, largest)
    np.put_along_axis(rest, winner, 0.0, axis)
    return (largest + np.log1p(rest.sum(axis=axis, keepdims=True))).squeeze(axis)


def logsumexp_vjp(x: ArrayLike, axis: int, dy: ArrayLike) -> tuple[Array, None]:
    """Gradient of log-sum-exp: softmax times dy.

    By the chain rule on the logarithm, for one row x (n,), y a scalar,

        ∂y/∂x_i = e^{x_i} / Σ_j e^{x_j} = p_i,      dx = p dy,

    the softmax of x. Where `max` routes all of dy to the winner, this shares it out.

    Args:
        x: as in `logsumexp`.
        axis: as in `logsumexp`.
        dy: x's shape without the axis.

    Returns:
        (dx, None): dx of x's shape, with softmax's limits: 0 for a slice of nothing but -inf, all of dy to a
        single inf, and nan for several, which have no limit. axis is an integer and has none.

    Raises:
        ValueError: as `logsumexp`, and where dy does not have y's shape.
        TypeError: as `logsumexp`.
    """
    x, axis = _checked_axis(x, axis)
    dy = _checked_upstream(dy, x.shape[:axis] + x.shape[axis + 1 :])
    return softmax(x, axis) * np.expand_dims(dy, axis), None


def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """p_i = e^{x_i} / Σ_k e^{x_k} along an axis, computed with the largest x subtracted.

    Args:
        x: any shape with at least one entry along the axis.
        axis: the axis that adds up to 1; a negative one counts from the end.

    Returns:
        p, of x's shape. A slice of nothing but -inf gives 0: nothing is chosen. A single inf takes all, the
        limit; several have no limit and are nan. A nan makes its whole slice nan.

    Raises:
        ValueError: where x has no such axis, or no entry along it.
        TypeError: where axis is not an integer.
    """
    x, axis = _checked_axis(x, axis)
    e = _exponentials(x, x.max(axis=axis, keepdims=True))
    total = e.sum(axis=axis, keepdims=True)
    p = e / np.where(total == 0.0, 1.0, total)
    infinite = np.isposinf(x)
    return np.where(infinite & (infinite.sum(axis=axis, keepdims=True) > 1), np.nan, p)


def softmax_vjp(x: ArrayLike, axis: int, dy: ArrayLike) -> tuple[Array, None]:
    """Gradient of softmax: its Jacobian times dy, without writing the Jacobian down.

    Names and shapes, for one row: x, p and dy (n,). The quotient rule gives, the entry itself and all others
    apart (`reference.softmax_cross_entropy.softmax_jacobian`),

        ∂p_j/∂x_i = p_j (1{i=j} - p_i).

    x_i reaches s by way of every p_j, so the chain rule adds over j:

        dx_i = Σ_j dy_j p_j (1{i=j} - p_i) = dy_i p_i - p_i Σ_j dy_j p_j,

    or dx = p ∘ (dy - <dy, p>): n numbers and one inner product, where the Jacobian has n². The bracket is
    what dy_i has above the mean of dy under p, so the entries of dx add up to 0, and a dy that is the same
    everywhere gives 0: probabilities always add up to 1.

    In floating point the bracket cancels where p_w is near 1: dy_w - <dy, p> is then dy_w - dy_w. Since only
    differences within dy count, dy_w itself is subtracted first, with w the place of the largest p. The
    winner's term in <dy, p> is then 0 and its bracket is the sum over the others alone, which are small.

    Args:
        x: as in `softmax`.
        axis: as in `softmax`.
        dy: of x's shape.

    Returns:
        (dx, None): dx of x's shape, 0 for a slice of nothing but -inf; axis is an integer and has none.

    Raises:
        ValueError: as `softmax`, and where dy does not have x's shape.
        TypeError: as `softmax`.
    """
    x, axis = _checked_axis(x, axis)
    dy = _checked_upstream(dy, x.shape)
    p = softmax(x, axis)
    winner = np.argmax(p, axis=axis, keepdims=True)
    above = dy - np.take_along_axis(dy, winner, axis)
    return p * (above - (above * p).sum(axis=axis, keepdims=True)), None


def _exponentials(x: Array, largest: Array) -> Array:
    """e^{x - largest}, in [0, 1]: 1 for the largest entries even if they are inf, 0 beside -inf alone."""
    with np.errstate(invalid="ignore", over="ignore"):
        e = np.exp(x - largest)
    return np.where(np.isneginf(x), 0.0, np.where(np.isposinf(x), 1.0, e))


def _product(factor: Array, values: Array) -> Array:
    """The product, where 0 × inf counts as 0: the limit of 0 · x."""
    with np.errstate(invalid="ignore"):
        return np.where((factor == 0.0) & np.isinf(values), 0.0, factor * values)


def _difference(predictions: ArrayLike, targets: ArrayLike) -> Array:
    predictions = np.asarray(predictions, dtype=np.float64)
    targets = np.asarray(targets, dtype=np.float64)
    if targets.shape != predictions.shape:
        raise ValueError(f"targets has shape {targets.shape} but predictions has shape {predictions.shape}")
    if predictions.size == 0:
        raise ValueError(f"predictions of shape {predictions.shape} has no entry to take a mean over")
    return predictions - targets


def _checked_binary(logits: ArrayLike, labels: ArrayLike) -> tuple[Array, Array, bool]:
    """The logits, the labels as numbers, and whether they are soft, that is differentiable."""
    logits = np.asarray(logits, dtype=np.float64)
    labels = np.asarray(labels)
    if labels.dtype.kind not in "fiub":
        raise TypeError(f"labels must be floating-point, integers or booleans, got dtype {labels.dtype}")
    if labels.shape != logits.shape:
        raise ValueError(f"labels has shape {labels.shape} but logits has shape {logits.shape}")
    soft = labels.dtype.kind == "f"
    allowed = (labels >= 0) & (labels <= 1)
    if not allowed.all():
        expected = "lie in [0, 1]" if soft else "be 0 or 1"
        raise ValueError(f"labels must {expected}, got {labels[~allowed].flat[0]}")
    return logits, labels.astype(np.float64), soft


def _checked_axis(x: ArrayLike, axis: int) -> tuple[Array, int]:
    """x, and its axis counted from the front."""
    x = np.asarray(x, dtype=np.float64)
    if not isinstance(axis, int | np.integer) or isinstance(axis, bool):
        raise TypeError(f"axis must be an integer, got {axis!r}")
    axis = int(axis)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis {axis} is out of range for x of shape {x.shape}")
    axis %= x.ndim
    if x.shape[axis] == 0:
        raise ValueError(f"x of shape {x.shape} has no entry along axis {axis}")
    return x, axis


def _checked_upstream(dy: ArrayLike, shape: tuple[int, ...]) -> Array:
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != shape:
        raise ValueError(f"dy has shape {dy.shape} but the result has shape {shape}")
    return dy


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "sigmoid_binary_cross_entropy": [
        ("f64[3,4]", "f64[3,4] in (0,1)"),
        ("f64[3,4]", "i64[3,4]"),
        ("f64[3,4]", "bool[3,4]"),
    ],
    "mean_squared_error": [("f64[3,4]", "f64[3,4]")],
    "logsumexp": [("f64[3,4]", -1), ("f64[3,4]", 0)],
    "softmax": [("f64[3,4]", -1), ("f64[3,4]", 0)],
}

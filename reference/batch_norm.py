"""Batch normalization (Ioffe and Szegedy 2015), in training and in inference (lecture, unit 3, "Too slow").

The lecture names it as the remedy for slow training: each feature is brought to mean 0 and variance 1 over
the batch, then scaled and shifted by two numbers of its own. In training the statistics are the batch's, so
every row's result depends on every row. In inference they are numbers that were averaged over training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def batch_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """Each feature normalised over the batch: y = γ (x - μ) / √(v + ε) + β, with the batch's own μ and v.

    Over the N rows that count the mean is μ = Σ_i x_i / N and the variance v = Σ_i (x_i - μ)² / N (biased:
    divided by N, not N - 1). v is a sum of squares of differences, never E[x²] - μ², which cancels where |μ|
    is large beside √v. The mean gets a second pass, too: the mean of what the first one left.

    Args:
        x: (..., C), rows of C features under any leading axes.
        scale: γ, (C,), or None for 1.
        bias: β, (C,), or None for 0.
        mask: (...) of bool, or None. Rows where it is False do not count in the statistics; y is computed
            there all the same.
        epsilon: ε, at least 0. It keeps 1/√(v + ε) finite where a feature is constant; with 0 such a feature
            is nan.

    Returns:
        (y, μ, v), of shapes (..., C), (C,) and (C,).

    Raises:
        ValueError: where shapes do not fit, no row counts, or epsilon is out of range.
        TypeError: where mask is not bool.
    """
    x, gamma, beta, counted, epsilon = _checked(x, scale, bias, mask, epsilon)
    centred, mean, var = _statistics(x, counted)
    return gamma * _normalised(centred, var, epsilon)[0] + beta, mean, var


def batch_norm_vjp(
    x: ArrayLike,
    scale: ArrayLike | None,
    bias: ArrayLike | None,
    mask: ArrayLike | None,
    dy: Sequence[ArrayLike],
    *,
    epsilon: float = 1e-5,
) -> tuple[Array, Array | None, Array | None, None]:
    """Gradients of a scalar s by x, γ and β, given its gradients by y, by μ and by v.

    Names and shapes, for one feature: x_i, y_i, dy_i numbers, one a row; μ, v, γ, β numbers; c_i = x_i - μ,
    r = 1/√(v + ε), x̂_i = c_i r. N rows count, those with m_i = 1; the others have m_i = 0. dμ and dv, the
    second and third of the argument dy, arrive at the results μ and v themselves.

    γ and β stand in y_i = γ x̂_i + β for every row, and rows add; x̂_i receives γ:

        ∂s/∂γ = Σ_i dy_i x̂_i,      ∂s/∂β = Σ_i dy_i,      dx̂_i = γ dy_i.

    Three paths lead from x_j to s: through x̂_j directly, through v, and through μ.

    Directly, μ and v held: x̂_j = (x_j - μ) r, so the share is r dx̂_j.

    Through v. ∂r/∂v = -½ (v + ε)^{-3/2} = -½ r³, and r is in every x̂_i = c_i r:

        ∂s/∂v = dv + Σ_i dx̂_i c_i (-½ r³) = dv - ½ r² Σ_i dx̂_i x̂_i.

    Through μ. It is in every x̂_i with -r, and in v with ∂v/∂μ = -2/N Σ_i m_i c_i = 0: rows that count differ
    from their mean by 0 on average. So the path through v by way of μ brings nothing:

        ∂s/∂μ = dμ - r Σ_i dx̂_i.

    In both sums i runs over all rows: one that does not count in the statistics still uses them. And x_j is
    in the statistics only where it counts, with ∂μ/∂x_j = m_j/N and, μ held, ∂v/∂x_j = 2 m_j c_j/N. In all,

        ∂s/∂x_j = r dx̂_j + m_j/N · (2 c_j ∂s/∂v + ∂s/∂μ).

    Put in, with every row counted and dμ = dv = 0, that is r (dx̂_j - mean(dx̂) - x̂_j mean(dx̂ x̂)): what is
    left of dx̂ without its part along 1 and, but for ε, its part along x̂. Adding one number to all of x
    moves no y, nor, but for ε, does stretching x about its mean; so the gradient is orthogonal to both. A
    constant feature has x̂ = 0 and r = 1/√ε: large but finite. With N = 1 y does not depend on x at all.

    Args:
        x: (..., C).
        scale: (C,) or None.
        bias: (C,) or None.
        mask: (...) of bool, or None.
        dy: the gradients by y, μ and v: three arrays, (..., C), (C,) and (C,).
        epsilon: as in `batch_norm`.

    Returns:
        (dx, dscale, dbias, None) in the shapes of the arguments; dscale and dbias are None where scale and
        bias are, and mask has no gradient.

    Raises:
        ValueError: as `batch_norm`, and where dy is not three arrays of the results' shapes.
        TypeError: as `batch_norm`.
    """
    x, gamma, _, counted, epsilon = _checked(x, scale, bias, mask, epsilon)
    to_y, to_mean, to_var = _checked_upstream(dy, x.shape)
    centred, _, var = _statistics(x, counted)
    normalised, r = _normalised(centred, var, epsilon)
    rows = tuple(range(x.ndim - 1))
    dnormalised = gamma * to_y
    to_var = to_var - 0.5 * r**2 * (dnormalised * normalised).sum(axis=rows)
    to_mean = to_mean - r * dnormalised.sum(axis=rows)
    through_statistics = (2.0 * centred * to_var + to_mean) / counted.sum()
    dx = r * dnormalised + np.where(counted[..., None], through_statistics, 0.0)
    dscale = None if scale is None else (to_y * normalised).sum(axis=rows)
    return dx, dscale, None if bias is None else to_y.sum(axis=rows), None


def batch_norm_inference(
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> Array:
    """The same y = γ (x - μ) / √(v + ε) + β with μ and v given: for each feature a straight line.

    Args:
        x: (..., C).
        mean: μ, (C,).
        var: v, (C,).
        scale: γ, (C,), or None for 1.
        bias: β, (C,), or None for 0.
        epsilon: ε, at least 0.

    Returns:
        y, (..., C).

    Raises:
        ValueError: where shapes do not fit, or epsilon or v + ε is negative.
    """
    x, mean, var, gamma, beta, epsilon = _checked_inference(x, mean, var, scale, bias, epsilon)
    return gamma * _normalised(x - mean, var, epsilon)[0] + beta


def batch_norm_inference_vjp(
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    scale: ArrayLike | None,
    bias: ArrayLike | None,
    dy: ArrayLike,
    *,
    epsilon: float = 1e-5,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """Gradients of a scalar s by x, μ, v, γ and β, given dy = ∂s/∂y.

    The names are those of `batch_norm_vjp`. The statistics are arguments now, not functions of x, so the
    direct path is the only one, and the other two end at μ and v:

        ∂s/∂x_i = r γ dy_i,
        ∂s/∂μ   = -r Σ_i γ dy_i = -Σ_i ∂s/∂x_i,
        ∂s/∂v   = -½ r² Σ_i γ dy_i x̂_i,
        ∂s/∂γ   = Σ_i dy_i x̂_i,      ∂s/∂β = Σ_i dy_i.

    Args:
        x: (..., C).
        mean: (C,).
        var: (C,).
        scale: (C,) or None.
        bias: (C,) or None.
        dy: (..., C).
        epsilon: as in `batch_norm_inference`.

    Returns:
        (dx, dmean, dvar, dscale, dbias) in the shapes of the arguments; dscale and dbias are None where scale
        and bias are.

    Raises:
        ValueError: as `batch_norm_inference`, and where dy does not have x's shape.
    """
    x, mean, var, gamma, _, epsilon = _checked_inference(x, mean, var, scale, bias, epsilon)
    dy = _shaped("dy", dy, x.shape, f"y has shape {x.shape}")
    normalised, r = _normalised(x - mean, var, epsilon)
    rows = tuple(range(x.ndim - 1))
    dx = r * gamma * dy
    dvar = -0.5 * r * (dx * normalised).sum(axis=rows)
    dscale = None if scale is None else (dy * normalised).sum(axis=rows)
    return dx, -dx.sum(axis=rows), dvar, dscale, None if bias is None else dy.sum(axis=rows)


def running_statistics(running: ArrayLike, batch: ArrayLike, momentum: float) -> Array:
    """A mean or a variance averaged over training, after one more batch: a running + (1 - a) batch.

    After k batches from a start r_0 it is a^k r_0 + (1 - a) Σ_j a^{k-j} batch_j: weights that fall off by a
    a step and add up to 1, so that about the last 1/(1 - a) batches count. On paper it needs no gradient:
    training does not use what inference will.

    Two conventions to mind. The momentum a is the share that stays (0.99 keeps 99 %); some frameworks give
    that name to 1 - a. And the batch's variance is biased, as `batch_norm` returns it; some average the
    unbiased N/(N - 1) times it.

    Args:
        running: the average so far, any shape.
        batch: the batch's statistic, of running's shape.
        momentum: a, in [0, 1].

    Returns:
        The new average, of running's shape.

    Raises:
        ValueError: where the shapes differ or momentum is out of range.
    """
    running = np.asarray(running, dtype=np.float64)
    batch = _shaped("batch", batch, running.shape, f"running has shape {running.shape}")
    momentum = float(momentum)
    if not 0.0 <= momentum <= 1.0:
        raise ValueError(f"momentum must lie in [0, 1], got {momentum}")
    return momentum * running + (1.0 - momentum) * batch


def _statistics(x: Array, counted: Mask) -> tuple[Array, Array, Array]:
    """Every row's x - μ, and μ and v of the rows that count."""
    rows = tuple(range(x.ndim - 1))
    counts, number = counted[..., None], counted.sum()
    first = np.where(counts, x, 0.0).sum(axis=rows) / number
    centred = x - first
    # What rounding left: 0 on paper.
    rest = np.where(counts, centred, 0.0).sum(axis=rows) / number
    centred = centred - rest
    return centred, first + rest, np.where(counts, centred**2, 0.0).sum(axis=rows) / number


def _normalised(centred: Array, var: Array, epsilon: float) -> tuple[Array, Array]:
    """The normalised x̂ and r = 1/√(v + ε)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        r = 1.0 / np.sqrt(var + epsilon)
        return centred * r, r


def _shaped(name: str, value: ArrayLike, shape: tuple[int, ...], why: str) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape} but {why}")
    return array


def _checked_upstream(dy: Sequence[ArrayLike], shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    if not isinstance(dy, Sequence) or len(dy) != 3:
        came = f"{len(dy)} of them" if isinstance(dy, Sequence) else type(dy).__name__
        raise ValueError(f"dy must be three arrays, the gradients by y, mean and var, got {came}")
    results = ("y", shape), ("mean", shape[-1:]), ("var", shape[-1:])
    y, mean, var = (
        _shaped(f"dy[{k}]", part, size, f"{name} has shape {size}")
        for k, (part, (name, size)) in enumerate(zip(dy, results, strict=True))
    )
    return y, mean, var


def _checked_affine(
    x: ArrayLike, scale: ArrayLike | None, bias: ArrayLike | None, epsilon: float
) -> tuple[Array, Array, Array, float]:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim == 0:
        raise ValueError("x must have an axis of features, got a scalar")
    why = f"x ends in {x.shape[-1]}"
    gamma = _shaped("scale", np.ones(x.shape[-1]) if scale is None else scale, x.shape[-1:], why)
    beta = _shaped("bias", np.zeros(x.shape[-1]) if bias is None else bias, x.shape[-1:], why)
    epsilon = float(epsilon)
    if not 0.0 <= epsilon < np.inf:
        raise ValueError(f"epsilon must be a number of at least 0, got {epsilon}")
    return x, gamma, beta, epsilon


def _checked(
    x: ArrayLike, scale: ArrayLike | None, bias: ArrayLike | None, mask: ArrayLike | None, epsilon: float
) -> tuple[Array, Array, Array, Mask, float]:
    """The arguments as arrays, and which rows count."""
    x, gamma, beta, epsilon = _checked_affine(x, scale, bias, epsilon)
    counted = np.ones(x.shape[:-1], dtype=bool) if mask is None else np.asarray(mask)
    if counted.dtype != np.bool_:
        raise TypeError(f"mask must be bool, got dtype {counted.dtype}")
    if counted.shape != x.shape[:-1]:
        raise ValueError(
            f"mask has shape {counted.shape} but x has shape {x.shape}, so mask must be {x.shape[:-1]}"
        )
    if not counted.any():
        left = "mask leaves no row of" if counted.size else "there is no row in"
        raise ValueError(f"{left} x of shape {x.shape} to take the mean and the variance of")
    return x, gamma, beta, counted, epsilon


def _checked_inference(
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    scale: ArrayLike | None,
    bias: ArrayLike | None,
    epsilon: float,
) -> tuple[Array, Array, Array, Array, Array, float]:
    x, gamma, beta, epsilon = _checked_affine(x, scale, bias, epsilon)
    mean = _shaped("mean", mean, x.shape[-1:], f"x ends in {x.shape[-1]}")
    var = _shaped("var", var, x.shape[-1:], f"x ends in {x.shape[-1]}")
    negative = var + epsilon < 0
    if negative.any():
        raise ValueError(f"var must not be negative, got {var[negative][0]}")
    return x, mean, var, gamma, beta, epsilon


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "batch_norm": [
        ("f64[5,3]", "f64[3]", "f64[3]", None),
        ("f64[2,4,3]", "f64[3]", "f64[3]", "bool[2,4]"),
        ("f64[6,3]", None, None, "bool[6]", "epsilon=0.1"),
    ],
    "batch_norm_inference": [
        ("f64[5,3]", "f64[3]", "f64[3]>0", "f64[3]", "f64[3]"),
        ("f64[2,4,3]", "f64[3]", "f64[3]>0", None, None, "epsilon=0.1"),
    ],
}

"""Layer normalization (Ba, Kiros and Hinton 2016): each row is normalised over its own features.

It is `reference.batch_norm` with the axes exchanged: the statistics of a row are those of its d features, so
that no row depends on another, training and inference are the same, and nothing has to be averaged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def layer_norm(
    x: ArrayLike, scale: ArrayLike | None = None, bias: ArrayLike | None = None, *, epsilon: float = 1e-6
) -> Array:
    """Each row normalised: y = γ ∘ (x - μ) / √(v + ε) + β, with the row's own mean μ and variance v.

    μ = Σ_k x_k / d and v = Σ_k (x_k - μ)² / d, a sum of squares of differences, never E[x²] - μ², which
    cancels where |μ| is large beside √v. The mean gets a second pass, too: the mean of what the first left.

    Args:
        x: (..., d), with at least one feature.
        scale: γ, (d,), or None for 1.
        bias: β, (d,), or None for 0.
        epsilon: ε, at least 0. It keeps 1/√(v + ε) finite where a row is constant; with 0 such a row is nan.

    Returns:
        y, (..., d).

    Raises:
        ValueError: where shapes do not fit, x has no feature, or epsilon is out of range.
    """
    x, gamma, beta, epsilon = _checked(x, scale, bias, epsilon)
    return gamma * _normalised(x, epsilon)[0] + beta


def layer_norm_vjp(
    x: ArrayLike, scale: ArrayLike | None, bias: ArrayLike | None, dy: ArrayLike, *, epsilon: float = 1e-6
) -> tuple[Array, Array | None, Array | None]:
    """Gradients of a scalar s by x, γ and β, given dy = ∂s/∂y.

    Names and shapes, for one row: x, y, dy, γ, β (d,); μ, v numbers; r = 1/√(v + ε), x̂ = (x - μ) r (d,).

    γ and β act feature by feature, y_k = γ_k x̂_k + β_k, and on every row, so rows add:

        ∂s/∂γ_k = Σ_rows dy_k x̂_k,      ∂s/∂β_k = Σ_rows dy_k,      dx̂_k = γ_k dy_k.

    The Jacobian of one row. μ moves by 1/d with each x_j, and with c_k = x_k - μ

        ∂c_k/∂x_j = [k = j] - 1/d,      ∂v/∂x_j = 2/d Σ_k c_k ([k = j] - 1/d) = 2 c_j/d,

    the last because Σ_k c_k = 0. With ∂r/∂v = -½ r³, by the product rule

        ∂x̂_k/∂x_j = r ([k = j] - 1/d) - ½ r³ c_k 2 c_j/d = r ([k = j] - 1/d - x̂_k x̂_j/d).

    In matrix form ∂x̂/∂x = r (I - 11ᵀ/d - x̂x̂ᵀ/d), (d, d). It is symmetric, so with the means over the row

        ∂s/∂x = r (dx̂ - mean(dx̂) - x̂ mean(dx̂ ∘ x̂)).

    The three terms are the three paths of `batch_norm_vjp`: directly, through the mean, through the variance.
    1 is mapped to 0, because shifting a row changes nothing; x̂ is mapped to ε r³ x̂, because stretching it
    changes nothing but for ε (mean(x̂²) = v r² = 1 - ε r²). A constant row has x̂ = 0 and r = 1/√ε: its
    gradient is large, but finite.

    Args:
        x: (..., d).
        scale: (d,) or None.
        bias: (d,) or None.
        dy: (..., d).
        epsilon: as in `layer_norm`.

    Returns:
        (dx, dscale, dbias) in the shapes of the arguments; dscale and dbias are None where scale and bias
        are.

    Raises:
        ValueError: as `layer_norm`, and where dy does not have x's shape.
    """
    x, gamma, _, epsilon = _checked(x, scale, bias, epsilon)
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != x.shape:
        raise ValueError(f"dy has shape {dy.shape} but y has shape {x.shape}")
    normalised, r = _normalised(x, epsilon)
    rows = tuple(range(x.ndim - 1))
    dnormalised = gamma * dy
    through_mean = dnormalised.mean(axis=-1, keepdims=True)
    through_var = normalised * (dnormalised * normalised).mean(axis=-1, keepdims=True)
    dx = r * (dnormalised - through_mean - through_var)
    dscale = None if scale is None else (dy * normalised).sum(axis=rows)
    return dx, dscale, None if bias is None else dy.sum(axis=rows)


def _normalised(x: Array, epsilon: float) -> tuple[Array, Array]:
    """The normalised x̂, (..., d), and r = 1/√(v + ε), (..., 1)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    # What rounding left: 0 on paper.
    centred = centred - centred.mean(axis=-1, keepdims=True)
    var = (centred**2).mean(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = 1.0 / np.sqrt(var + epsilon)
        return centred * r, r


def _checked(
    x: ArrayLike, scale: ArrayLike | None, bias: ArrayLike | None, epsilon: float
) -> tuple[Array, Array, Array, float]:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"x must end in an axis of one feature or more, got shape {x.shape}")
    d = x.shape[-1]
    gamma = np.ones(d) if scale is None else np.asarray(scale, dtype=np.float64)
    beta = np.zeros(d) if bias is None else np.asarray(bias, dtype=np.float64)
    for name, value in (("scale", gamma), ("bias", beta)):
        if value.shape != (d,):
            raise ValueError(f"{name} has shape {value.shape} but x ends in {d}")
    epsilon = float(epsilon)
    if not 0.0 <= epsilon < np.inf:
        raise ValueError(f"epsilon must be a number of at least 0, got {epsilon}")
    return x, gamma, beta, epsilon


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "layer_norm": [
        ("f64[4]", "f64[4]", "f64[4]"),
        ("f64[2,3,4]", "f64[4]", "f64[4]"),
        ("f64[3,4]", None, None, "epsilon=0.1"),
    ],
}

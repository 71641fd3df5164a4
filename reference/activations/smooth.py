"""Smooth relatives of relu: softplus, silu and gelu (gelu: lecture, unit 3, "Activation Function").

Each tends to 0 on the left and to x on the right, and has a derivative everywhere: there is no kink to choose
at. What follows is written in the logistic function σ (`squashing`), with σ'(x) = σ(x) σ(-x).

silu and gelu are x times a gate that goes from 0 to 1 faster than x grows, so both xg and xg' tend to 0 on
the left, although ∞ · 0 is nan in floating point. Each is therefore computed of an x clipped at a point where
the gate has long reached its limit, 0 or 1, in float64.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference.activations.squashing import _checked, sigmoid

Array = NDArray[np.float64]

# Beyond these σ(x), Φ(x) and the gate of the tanh form are 0 or 1 in float64, whose least positive number is
# about e^-745.
_SILU_LIMIT = 1000.0
_GELU_LIMIT = 40.0

_CUBIC = 0.044715


def softplus(x: ArrayLike) -> Array:
    """Softplus log(1 + e^x), a smooth max(0, x).

    Computed as max(x, 0) + log(1 + e^{-|x|}), the same number with the larger of the two exponentials taken
    out, so that none overflows; log1p keeps the e^x that it tends to on the left.

    Args:
        x: any shape.

    Returns:
        y, of x's shape, at least 0; nan stays nan.
    """
    x = np.asarray(x, dtype=np.float64)
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def softplus_vjp(x: ArrayLike, dy: ArrayLike) -> tuple[Array]:
    """Gradient of softplus: σ(x) dy.

    By the chain rule on log(1 + e^x),

        y' = e^x / (1 + e^x) = 1 / (1 + e^{-x}) = σ(x),

    so softplus is the integral of the sigmoid. σ(x) is computed from e^{-|x|} ≤ 1: it neither overflows nor
    cancels, and falls like e^x on the left.

    Args:
        x: any shape.
        dy: of x's shape.

    Returns:
        (dx,), of x's shape.

    Raises:
        ValueError: where dy does not have x's shape.
    """
    x, dy = _checked(x, dy)
    return (dy * sigmoid(x),)


def silu(x: ArrayLike) -> Array:
    """The sigmoid linear unit x σ(x), also called swish.

    Args:
        x: any shape.

    Returns:
        y, of x's shape; nan stays nan.
    """
    x = np.asarray(x, dtype=np.float64)
    return np.maximum(x, -_SILU_LIMIT) * sigmoid(x)


def silu_vjp(x: ArrayLike, dy: ArrayLike) -> tuple[Array]:
    """Gradient of silu.

    By the product rule and σ' = σ(x) σ(-x),

        y' = σ(x) + x σ(x) σ(-x) = σ(x) (1 + x σ(-x)).

    On the right x σ(-x) tends to 0 and y' to 1. On the left y' tends to 0, like (1 + x) e^x. It is 0 near
    x = -1.278, where y is least, and negative to the left of it.

    Args:
        x: any shape.
        dy: of x's shape.

    Returns:
        (dx,), of x's shape.

    Raises:
        ValueError: where dy does not have x's shape.
    """
    x, dy = _checked(x, dy)
    x = np.clip(x, -_SILU_LIMIT, _SILU_LIMIT)
    return (dy * (sigmoid(x) * (1.0 + x * sigmoid(-x))),)


def gelu(x: ArrayLike, *, approximate: bool = True) -> Array:
    """The Gaussian error linear unit x Φ(x) (Hendrycks and Gimpel 2016).

    Φ is the standard normal distribution function: x is kept with the probability that a standard normal
    variable is below it. Φ(x) = (1 + erf(x/√2)) / 2 = erfc(-x/√2) / 2, and the second form does not cancel on
    the left, where erf tends to -1.

    The tanh form puts (1 + tanh u)/2 in the place of Φ(x), with u = √(2/π) (x + 0.044715 x³): a sigmoid in
    disguise, since (1 + tanh u)/2 = σ(2u). So it is computed as x σ(2u), where 1 + tanh u would cancel.

    Args:
        x: any shape.
        approximate: whether to use the tanh form. The two differ by less than 5e-4.

    Returns:
        y, of x's shape; nan stays nan.
    """
    x = np.asarray(x, dtype=np.float64)
    c = np.clip(x, -_GELU_LIMIT, _GELU_LIMIT)
    gate = sigmoid(_gate_argument(c)) if approximate else _normal_distribution(c)
    return np.maximum(x, -_GELU_LIMIT) * gate


def gelu_vjp(x: ArrayLike, dy: ArrayLike, *, approximate: bool = True) -> tuple[Array]:
    """Gradient of gelu, exact or in its tanh form.

    Exact. The derivative of Φ is the density φ(x) = e^{-x²/2} / √(2π), so by the product rule

        y' = Φ(x) + x φ(x).

    On the left Φ(x) is about φ(x)/|x|, smaller than |x| φ(x) by x²: the sum does not cancel there.

    Tanh form. With v = 2u = √(8/π) (x + 0.044715 x³) it is y = x σ(v), and v' = √(8/π) (1 + 3 · 0.044715 x²).
    By the product rule and the chain rule on σ(v(x)), σ' = σ(v) σ(-v),

        y' = σ(v) + x v' σ(v) σ(-v) = σ(v) (1 + x v' σ(-v)),

    silu's derivative with a factor v' (silu is v = x). With t = tanh u the same reads
    (1 + t)/2 + x (1 - t²) u'/2, in which 1 + t and 1 - t² cancel in the tails.

    Both gates g satisfy g(x) + g(-x) = 1, so y(x) - y(-x) = x and y'(x) + y'(-x) = 1: y' tends to 0 on the
    left, from below, crosses it near x = -0.752 where y is least, and is as much above 1 on the right.

    Args:
        x: any shape.
        dy: of x's shape.
        approximate: as in `gelu`.

    Returns:
        (dx,), of x's shape.

    Raises:
        ValueError: where dy does not have x's shape.
    """
    x, dy = _checked(x, dy)
    x = np.clip(x, -_GELU_LIMIT, _GELU_LIMIT)
    if approximate:
        v = _gate_argument(x)
        dv = math.sqrt(8.0 / math.pi) * (1.0 + 3.0 * _CUBIC * x**2)
        return (dy * (sigmoid(v) * (1.0 + x * dv * sigmoid(-v))),)
    density = np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)
    return (dy * (_normal_distribution(x) + x * density),)


# Without otypes an empty array has no result's type to be guessed from.
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _normal_distribution(x: Array) -> Array:
    """Φ(x), the probability that a standard normal variable is below x."""
    return np.asarray(0.5 * _erfc(-x / math.sqrt(2.0)))


def _gate_argument(x: Array) -> Array:
    """What the tanh form's gate is the sigmoid of: v = √(8/π) (x + 0.044715 x³)."""
    return math.sqrt(8.0 / math.pi) * (x * (1.0 + _CUBIC * x**2))


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "softplus": [("f64[3,4]",)],
    "silu": [("f64[3,4]",)],
    "gelu": [("f64[3,4]",), ("f64[3,4]", "approximate=False")],
}

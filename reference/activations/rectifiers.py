"""Activations that pass what is positive: relu and its kin (lecture, unit 3, "Activation Function").

All are y = x where x > 0, so that the slope is 1 there and a product of many such slopes does not vanish.
They differ in what they make of x ≤ 0, and at the kink 0 the slope of that left piece is taken.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference.activations.squashing import _checked
from reference.gates import sum_to_shape

Array = NDArray[np.float64]


def relu(x: ArrayLike) -> Array:
    """The rectified linear unit max(0, x).

    Args:
        x: any shape.

    Returns:
        y, of x's shape; nan stays nan.
    """
    return np.maximum(np.asarray(x, dtype=np.float64), 0.0)


def relu_vjp(x: ArrayLike, dy: ArrayLike) -> tuple[Array]:
    """Gradient of relu: dy where x > 0, else 0.

    The pieces x and 0 have the slopes 1 and 0. At the kink 0 every number in [0, 1] is a generalised
    gradient; 0 is taken, the slope from the left, as in the lecture's `(hs[t] > 0) * dhs[t]`. A nan is not
    above 0 and passes nothing.

    A unit with x ≤ 0 on every example passes nothing to its own weights and bias, so gradient descent leaves
    them where they are: the "dying ReLU" of the lecture. Only other inputs can bring it back, from a layer
    below that living units still teach. leaky_relu, prelu and elu keep a slope there.

    Args:
        x: any shape.
        dy: of x's shape.

    Returns:
        (dx,), of x's shape.

    Raises:
        ValueError: where dy does not have x's shape.
    """
    x, dy = _checked(x, dy)
    return (np.where(x > 0.0, dy, 0.0),)


def leaky_relu(x: ArrayLike, slope: float = 0.01) -> Array:
    """Leaky relu: x where x > 0, else slope · x.

    Args:
        x: any shape.
        slope: a, the slope of the left piece, a number; 0 makes it relu.

    Returns:
        y, of x's shape; nan stays nan.

    Raises:
        ValueError: where slope is not finite.
        TypeError: where slope is not a number.
    """
    x = np.asarray(x, dtype=np.float64)
    slope = _checked_number("slope", slope)
    return np.where(x > 0.0, x, _product(slope, x))


def leaky_relu_vjp(x: ArrayLike, slope: float, dy: ArrayLike) -> tuple[Array, None]:
    """Gradient of leaky relu: dy where x > 0, else slope · dy.

    Each piece is linear, and its slope is its factor: 1 and a. At the kink 0 every number between a and 1 is
    a generalised gradient; a is taken, the slope from the left. `slope` is a setting, not trained (`prelu`
    trains it).

    Args:
        x: any shape.
        slope: as in `leaky_relu`.
        dy: of x's shape.

    Returns:
        (dx, None): dx of x's shape; slope has none.

    Raises:
        ValueError: as `leaky_relu`, and where dy does not have x's shape.
        TypeError: as `leaky_relu`.
    """
    x, dy = _checked(x, dy)
    slope = _checked_number("slope", slope)
    return np.where(x > 0.0, dy, slope * dy), None


def prelu(x: ArrayLike, slope: ArrayLike) -> Array:
    """Parametric relu (He et al. 2015): x where x > 0, else slope · x, with a trained slope.

    Args:
        x: any shape.
        slope: a, of a shape that broadcasts to x's: a scalar for one slope in all, (C,) for one a channel.

    Returns:
        y, of x's shape; nan stays nan.

    Raises:
        ValueError: where slope's shape does not broadcast to x's.
    """
    x, slope = _checked_slope(x, slope)
    return np.where(x > 0.0, x, _product(slope, x))


def prelu_vjp(x: ArrayLike, slope: ArrayLike, dy: ArrayLike) -> tuple[Array, Array]:
    """Gradients of parametric relu by x and by the slope.

    Names and shapes: x (..., C), a (C,) or any shape that broadcasts to x's, y and dy of x's shape. For one
    number, with its own a:

        y = x  where x > 0:      ∂y/∂x = 1,    ∂y/∂a = 0
        y = ax where x ≤ 0:      ∂y/∂x = a,    ∂y/∂a = x.

    So dx_i = dy_i or a dy_i. One slope serves many x_i: it is a copy to each of them, and behind a copy
    gradients add (`reference.gates.sum_to_shape`):

        da = Σ x_i dy_i, over those x_i ≤ 0 that a serves.

    At the kink x = 0 the gradient (∂y/∂x, ∂y/∂a) tends to (1, 0) from the right and to (a, 0) from the left,
    and every mixture is a generalised gradient: ∂y/∂a = 0 in all of them, and a is taken for ∂y/∂x, as in
    `leaky_relu_vjp`.

    Args:
        x: any shape.
        slope: as in `prelu`.
        dy: of x's shape.

    Returns:
        (dx, dslope), of the shapes of x and slope. An x of -inf adds nothing to dslope where its dy is 0.

    Raises:
        ValueError: as `prelu`, and where dy does not have x's shape.
    """
    x, slope = _checked_slope(x, slope)
    x, dy = _checked(x, dy)
    dx = np.where(x > 0.0, dy, slope * dy)
    by_entry = np.where(x > 0.0, 0.0, _product(dy, x))
    return dx, sum_to_shape(by_entry, slope.shape)


def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """The exponential linear unit (Clevert et al. 2016): x where x > 0, else α (e^x - 1).

    Computed as expm1, which does not cancel where x is near 0, and of x ≤ 0 alone, so that no exponential
    overflows.

    Args:
        x: any shape.
        alpha: α, a number: y tends to -α on the left.

    Returns:
        y, of x's shape; nan stays nan.

    Raises:
        ValueError: where alpha is not finite.
        TypeError: where alpha is not a number.
    """
    x = np.asarray(x, dtype=np.float64)
    alpha = _checked_number("alpha", alpha)
    return np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def elu_vjp(x: ArrayLike, alpha: float, dy: ArrayLike) -> tuple[Array, None]:
    """Gradient of elu: dy where x > 0, else α e^x dy.

    The left piece α e^x - α has the slope α e^x, which is y + α: the output alone gives the gradient. But
    y + α cancels to 0 where y is near -α (in float64 from x = -37 down), while e^x is still exact there, so
    it is computed from x.

    At 0 the slope is 1 from the right and α from the left; every number between is a generalised gradient,
    and α is taken. For α = 1 both are 1 and there is no kink.

    Args:
        x: any shape.
        alpha: as in `elu`.
        dy: of x's shape.

    Returns:
        (dx, None): dx of x's shape; alpha is a setting and has none.

    Raises:
        ValueError: as `elu`, and where dy does not have x's shape.
        TypeError: as `elu`.
    """
    x, dy = _checked(x, dy)
    alpha = _checked_number("alpha", alpha)
    return np.where(x > 0.0, dy, dy * (alpha * np.exp(np.minimum(x, 0.0)))), None


def _product(factor: Array | float, x: Array) -> Array:
    """The product, where 0 × inf counts as 0: the limit of 0 · x."""
    with np.errstate(invalid="ignore"):
        return np.where((np.asarray(factor) == 0.0) & np.isinf(x), 0.0, factor * x)


def _checked_slope(x: ArrayLike, slope: ArrayLike) -> tuple[Array, Array]:
    x = np.asarray(x, dtype=np.float64)
    slope = np.asarray(slope, dtype=np.float64)
    try:
        fits = np.broadcast_shapes(x.shape, slope.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"slope of shape {slope.shape} does not broadcast to x's shape {x.shape}")
    return x, slope


def _checked_number(name: str, value: float) -> float:
    if np.ndim(value) != 0 or np.asarray(value).dtype.kind not in "iuf":
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    return float(value)


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "relu": [("f64[3,4]",)],
    "leaky_relu": [("f64[3,4]", 0.01), ("f64[3,4]", 0.5)],
    "prelu": [("f64[3,4]", "f64[4]"), ("f64[3,4]", "f64[]"), ("f64[3,4]", "f64[3,1]")],
    "elu": [("f64[3,4]", 1.0), ("f64[3,4]", 0.5)],
}

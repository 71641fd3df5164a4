"""Activations with two bounds (lecture, unit 2 "Backpropagation"; unit 3 "Activation Function")."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def sigmoid(x: ArrayLike) -> Array:
    """The logistic function σ(x) = 1 / (1 + e^{-x}).

    For negative x it is computed as e^x / (1 + e^x), the same fraction, so that no exponential overflows.

    Args:
        x: any shape.

    Returns:
        σ(x), of x's shape, in [0, 1].
    """
    x = np.asarray(x, dtype=np.float64)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def sigmoid_vjp(x: ArrayLike, dy: ArrayLike) -> tuple[Array]:
    """Gradient of the sigmoid.

    By the chain rule on (1 + e^{-x})^{-1}:

        σ'(x) = e^{-x} / (1 + e^{-x})² = 1/(1 + e^{-x}) · e^{-x}/(1 + e^{-x}) = y (1 - y)

    as on the slide: the output alone gives the gradient. Now 1 - y = e^{-x}/(1 + e^{-x}) = 1/(1 + e^x) =
    σ(-x), so y (1 - y) = σ(x) σ(-x), and σ' is even. The two differ in floating point only: where x is large
    y rounds to 1 and 1 - y cancels to 0 (in float64 from x = 37 on), while σ(-x) = e^{-x} is still exact.
    With e = e^{-|x|} ≤ 1 the even function is σ' = e / (1 + e)², which neither cancels nor overflows, on
    either side.

    σ' is at most 1/4, at x = 0, and falls like e^{-|x|}: a product of such factors is a vanishing gradient.

    Args:
        x: any shape.
        dy: of x's shape.

    Returns:
        (dx,), of x's shape.

    Raises:
        ValueError: where dy does not have x's shape.
    """
    x, dy = _checked(x, dy)
    e = np.exp(-np.abs(x))
    return (dy * (e / (1.0 + e) ** 2),)


def tanh(x: ArrayLike) -> Array:
    """The hyperbolic tangent (e^x - e^{-x}) / (e^x + e^{-x}), which is 2 σ(2x) - 1: a rescaled sigmoid.

    Args:
        x: any shape.

    Returns:
        tanh(x), of x's shape, in [-1, 1].
    """
    return np.tanh(np.asarray(x, dtype=np.float64))


def tanh_by_sigmoid(x: ArrayLike) -> Array:
    """The hyperbolic tangent as a rescaled sigmoid, 2 σ(2x) - 1.

    Put σ in, and multiply above and below by e^x:

        2 σ(2x) - 1 = 2 / (1 + e^{-2x}) - (1 + e^{-2x}) / (1 + e^{-2x})
                    = (1 - e^{-2x}) / (1 + e^{-2x})
                    = (e^x - e^{-x}) / (e^x + e^{-x}) = tanh(x).

    So tanh is the sigmoid with its argument doubled (twice as steep), its height doubled, and moved down by 1
    so that it is 0 at 0. By the chain rule the slopes obey tanh'(x) = 4 σ'(2x): at 0 it is 4 · 1/4 = 1.
    A sigmoid of z in one layer is a tanh of z/2, halved, plus 1/2, which the next layer's weights and bias
    can take up: both compute the same functions, from other starts.

    Near 0 the difference cancels (2σ(2x) is near 1), so `tanh` is not computed this way.

    Args:
        x: any shape.

    Returns:
        tanh(x), of x's shape, right to about 1e-16 of 1.
    """
    return 2.0 * sigmoid(2.0 * np.asarray(x, dtype=np.float64)) - 1.0


def tanh_vjp(x: ArrayLike, dy: ArrayLike) -> tuple[Array]:
    """Gradient of tanh.

    Write y = S/C with S = e^x - e^{-x} and C = e^x + e^{-x}. Each is the other's derivative, so

        tanh'(x) = (C C - S S) / C² = 1 - y².

    Where |x| is large y² rounds to 1 and 1 - y² cancels to 0. Since C² - S² = 4, tanh' = 4 / C² as well;
    times e^{-2|x|} above and below, with e = e^{-|x|} ≤ 1, that is 4 e² / (1 + e²)², which neither cancels
    nor overflows.

    Args:
        x: any shape.
        dy: of x's shape.

    Returns:
        (dx,), of x's shape.

    Raises:
        ValueError: where dy does not have x's shape.
    """
    x, dy = _checked(x, dy)
    squared = np.exp(-2.0 * np.abs(x))
    return (dy * (4.0 * squared / (1.0 + squared) ** 2),)


def hardtanh(x: ArrayLike) -> Array:
    """-1 where x < -1, x where -1 ≤ x ≤ 1, 1 where x > 1.

    Args:
        x: any shape.

    Returns:
        y, of x's shape; nan stays nan.
    """
    return np.clip(np.asarray(x, dtype=np.float64), -1.0, 1.0)


def hardtanh_vjp(x: ArrayLike, dy: ArrayLike) -> tuple[Array]:
    """Gradient of hardtanh: dy where -1 ≤ x ≤ 1, else 0.

    Each piece has its own slope: 0, 1, 0. At the kinks x = ±1 the slope is 0 from one side and 1 from the
    other; any number between is a generalised gradient, and the lecture's middle piece -1 ≤ x ≤ 1 includes
    them: 1. A nan lies in no piece and passes nothing.

    Args:
        x: any shape.
        dy: of x's shape.

    Returns:
        (dx,), of x's shape.

    Raises:
        ValueError: where dy does not have x's shape.
    """
    x, dy = _checked(x, dy)
    return (np.where((x >= -1.0) & (x <= 1.0), dy, 0.0),)


def _checked(x: ArrayLike, dy: ArrayLike) -> tuple[Array, Array]:
    x = np.asarray(x, dtype=np.float64)
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != x.shape:
        raise ValueError(f"dy has shape {dy.shape} but x has shape {x.shape}")
    return x, dy


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "sigmoid": [("f64[3,4]",)],
    "tanh": [("f64[3,4]",)],
    "hardtanh": [("f64[3,4]",)],
}

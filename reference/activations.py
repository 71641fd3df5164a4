"""Entrywise nonlinearities and max gates (lecture, unit 2 "sigmoid", "max"; unit 3 "Activation Function").

An entrywise y_i = f(x_i) has a diagonal Jacobian: ∂y_i/∂x_j = f'(x_i) where i = j, else 0. So the chain rule
is a product entry by entry, dx = f'(x) ∘ dy, and each section below derives f' for one number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference.gates import sum_to_shape

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


def max(x: ArrayLike, axis: int) -> Array:
    """The largest entry along an axis.

    Args:
        x: any shape with at least one entry along the axis.
        axis: the axis that goes away; a negative one counts from the end.

    Returns:
        y, x's shape without the axis; nan where there is a nan.

    Raises:
        ValueError: where x has no such axis, or no entry along it.
        TypeError: where axis is not an integer.
    """
    x, axis, winners = _winners(x, axis)
    return np.take_along_axis(x, winners, axis).squeeze(axis)


def max_vjp(x: ArrayLike, axis: int, dy: ArrayLike) -> tuple[Array, None]:
    """Gradient of the maximum along an axis: the gate routes.

    Names and shapes, for one row: x (n,), winner w, y = x_w a scalar. Around any x whose maximum is unique,
    small changes leave the winner where it is, so y = x_w there and

        ∂y/∂x_w = 1,    ∂y/∂x_j = 0 where j ≠ w:      dx_w = dy, and 0 elsewhere.

    In matrix form ∂y/∂x is the one-hot row of w. Where several entries tie the maximum has a kink, and every
    mixture of their one-hot rows is a generalised gradient; all goes to the first of them here. A nan is
    never smaller than anything, so the first nan wins.

    Args:
        x: any shape.
        axis: as in `max`.
        dy: x's shape without the axis.

    Returns:
        (dx, None): dx of x's shape; axis is an integer and has none.

    Raises:
        ValueError: as `max`, and where dy does not have y's shape.
        TypeError: as `max`.
    """
    x, axis, winners = _winners(x, axis)
    dy = np.asarray(dy, dtype=np.float64)
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    if dy.shape != shape:
        raise ValueError(f"dy has shape {dy.shape} but y has shape {shape}")
    dx = np.zeros_like(x)
    np.put_along_axis(dx, winners, np.expand_dims(dy, axis), axis)
    return dx, None


def maximum(x: ArrayLike, y: ArrayLike) -> Array:
    """The larger of two arrays, entry by entry; nan where either is nan.

    Args:
        x: any shape.
        y: any shape that broadcasts with x's.

    Returns:
        The maximum, of the broadcast shape.

    Raises:
        ValueError: where the shapes do not broadcast.
    """
    x, y, x_wins = _compared(x, y)
    return np.where(x_wins, x, y)


def maximum_vjp(x: ArrayLike, y: ArrayLike, dy: ArrayLike) -> tuple[Array, Array]:
    """Gradients of the larger of two: the gate routes dy to the winner, 0 to the other.

    ∂max(x_i, y_i)/∂x_i is 1 where x_i > y_i and 0 where x_i < y_i; for y_i the other way round. A tie is a
    kink, where any split of dy into two parts is a generalised gradient; x, the first, gets all of it. A nan
    wins, x's before y's. Behind broadcasting gradients add (`sum_to_shape`).

    Args:
        x: any shape.
        y: any shape that broadcasts with x's.
        dy: the upstream gradient, of the broadcast shape.

    Returns:
        The gradients by x and by y, in their shapes.

    Raises:
        ValueError: where the shapes do not broadcast, or dy does not have the maximum's shape.
    """
    x, y, x_wins = _compared(x, y)
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != x_wins.shape:
        raise ValueError(f"dy has shape {dy.shape} but the maximum has shape {x_wins.shape}")
    to_x, to_y = np.where(x_wins, dy, 0.0), np.where(x_wins, 0.0, dy)
    return sum_to_shape(to_x, x.shape), sum_to_shape(to_y, y.shape)


def _checked(x: ArrayLike, dy: ArrayLike) -> tuple[Array, Array]:
    x = np.asarray(x, dtype=np.float64)
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != x.shape:
        raise ValueError(f"dy has shape {dy.shape} but x has shape {x.shape}")
    return x, dy


def _winners(x: ArrayLike, axis: int) -> tuple[Array, int, NDArray[np.intp]]:
    """x, its axis counted from the front, and where along it each maximum stands (axis kept, of size 1)."""
    x = np.asarray(x, dtype=np.float64)
    if not isinstance(axis, int | np.integer) or isinstance(axis, bool):
        raise TypeError(f"axis must be an integer, got {axis!r}")
    axis = int(axis)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis {axis} is out of range for x of shape {x.shape}")
    axis %= x.ndim
    if x.shape[axis] == 0:
        raise ValueError(f"x of shape {x.shape} has no entry along axis {axis}")
    # np.argmax returns the first of equal entries, and the first nan where there is one.
    return x, axis, np.argmax(x, axis=axis, keepdims=True)


def _compared(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array, NDArray[np.bool_]]:
    """x, y, and where x wins, of the broadcast shape."""
    x = np.asarray(x, dtype=np.float64)
    y = np.asarray(y, dtype=np.float64)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        raise ValueError(f"x of shape {x.shape} and y of shape {y.shape} do not broadcast together") from None
    return x, y, (x >= y) | np.isnan(x)


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "sigmoid": [("f64[3,4]",)],
    "tanh": [("f64[3,4]",)],
    "hardtanh": [("f64[3,4]",)],
    "max": [("f64[3,4]", 1), ("f64[3,4]", -2)],
    "maximum": [("f64[3,4]", "f64[3,4]"), ("f64[3,4]", "f64[1,4]")],
}

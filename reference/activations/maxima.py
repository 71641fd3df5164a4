"""Max gates: along an axis, and of two arrays (lecture, unit 2 "Backpropagation", "Gradient Flow")."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference.gates import sum_to_shape

Array = NDArray[np.float64]


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
    "max": [("f64[3,4]", 1), ("f64[3,4]", -2)],
    "maximum": [("f64[3,4]", "f64[3,4]"), ("f64[3,4]", "f64[1,4]")],
}

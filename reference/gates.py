"""The gates of a computation graph (lecture, unit 2, "Gradient Flow"), and the gradient behind broadcasting.

    add        distributor     both inputs receive the upstream gradient unchanged
    multiply   swap multiplier each input receives the upstream gradient times the other input
    copy       adder           the gradients of all copies are added
    max        router          the upstream gradient goes to the winner (`reference.activations.maximum`)

In every gate downstream gradient = local gradient × upstream gradient, and where paths meet they are added.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def add(x: ArrayLike, y: ArrayLike) -> Array:
    """The sum x + y, entry by entry.

    Args:
        x: any shape.
        y: any shape that broadcasts with x's.

    Returns:
        x + y, of the broadcast shape.

    Raises:
        ValueError: where the shapes do not broadcast.
    """
    x, y = _checked(x, y)
    return x + y


def add_vjp(x: ArrayLike, y: ArrayLike, dy: ArrayLike) -> tuple[Array, Array]:
    """Gradients of x + y: the gate distributes.

    With s_i = x_i + y_i both ∂s_i/∂x_i and ∂s_i/∂y_i are 1, so each input receives dy itself, summed over the
    axes along which it was broadcast (`sum_to_shape`).

    Args:
        x: any shape.
        y: any shape that broadcasts with x's.
        dy: the upstream gradient, of the broadcast shape.

    Returns:
        The gradients by x and by y, in their shapes.

    Raises:
        ValueError: where the shapes do not broadcast, or dy does not have the sum's shape.
    """
    x, y = _checked(x, y)
    dy = _checked_upstream(dy, np.broadcast_shapes(x.shape, y.shape))
    return sum_to_shape(dy, x.shape), sum_to_shape(dy, y.shape)


def multiply(x: ArrayLike, y: ArrayLike) -> Array:
    """The product x y, entry by entry.

    Args:
        x: any shape.
        y: any shape that broadcasts with x's.

    Returns:
        x y, of the broadcast shape.

    Raises:
        ValueError: where the shapes do not broadcast.
    """
    x, y = _checked(x, y)
    return x * y


def multiply_vjp(x: ArrayLike, y: ArrayLike, dy: ArrayLike) -> tuple[Array, Array]:
    """Gradients of x y: the gate swaps.

    With s_i = x_i y_i, ∂s_i/∂x_i = y_i and ∂s_i/∂y_i = x_i: each input receives dy times the *other* input,
    which the forward pass must therefore keep. Both are summed over the axes along which the input was
    broadcast.

    Args:
        x: any shape.
        y: any shape that broadcasts with x's.
        dy: the upstream gradient, of the broadcast shape.

    Returns:
        The gradients by x and by y, in their shapes.

    Raises:
        ValueError: where the shapes do not broadcast, or dy does not have the product's shape.
    """
    x, y = _checked(x, y)
    dy = _checked_upstream(dy, np.broadcast_shapes(x.shape, y.shape))
    return sum_to_shape(dy * y, x.shape), sum_to_shape(dy * x, y.shape)


def copy(x: ArrayLike, n: int) -> tuple[Array, ...]:
    """The value x on n branches of the graph.

    Args:
        x: any shape.
        n: how many branches, at least 1.

    Returns:
        n arrays equal to x, none sharing memory with another or with x.

    Raises:
        ValueError: where n is below 1.
        TypeError: where n is not an integer.
    """
    x = np.asarray(x, dtype=np.float64)
    return tuple(x.copy() for _ in range(_checked_count(n)))


def copy_vjp(x: ArrayLike, n: int, dy: Sequence[ArrayLike]) -> tuple[Array, None]:
    """Gradient behind a copy: the gate adds.

    Branch k holds c_k = x, so ∂c_k/∂x = 1 on each of them, and the chain rule adds up the paths:
    ∂s/∂x = Σ_k (∂s/∂c_k) · 1.

    Args:
        x: any shape.
        n: how many branches.
        dy: the upstream gradients, a sequence of n arrays of x's shape.

    Returns:
        (dx, None): the sum, in x's shape; n is an integer and has none.

    Raises:
        ValueError: where n is below 1, or dy is not n arrays of x's shape.
        TypeError: where n is not an integer.
    """
    x = np.asarray(x, dtype=np.float64)
    n = _checked_count(n)
    if len(dy) != n:
        raise ValueError(f"dy has {len(dy)} entries but x was copied {n} times")
    dx = np.zeros_like(x)
    for k, upstream in enumerate(dy):
        upstream = np.asarray(upstream, dtype=np.float64)
        if upstream.shape != x.shape:
            raise ValueError(f"dy[{k}] has shape {upstream.shape} but x has shape {x.shape}")
        dx = dx + upstream
    return dx, None


def sum_to_shape(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Adds a gradient over the axes along which an input of `shape` was broadcast.

    Broadcasting copies: an axis of size 1 (or one that is missing in front) is repeated, and behind a copy
    gradients add. So the gradient of the input is the sum over its repeated axes.

    Args:
        gradient: of a shape that `shape` broadcasts to.
        shape: the input's own shape.

    Returns:
        The gradient, of `shape`.
    """
    missing = gradient.ndim - len(shape)
    repeated = [missing + k for k, size in enumerate(shape) if size == 1 and gradient.shape[missing + k] != 1]
    summed = gradient.sum(axis=(*range(missing), *repeated), keepdims=True)
    return summed.reshape(shape)


def _checked(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    x = np.asarray(x, dtype=np.float64)
    y = np.asarray(y, dtype=np.float64)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        raise ValueError(f"x of shape {x.shape} and y of shape {y.shape} do not broadcast together") from None
    return x, y


def _checked_upstream(dy: ArrayLike, shape: tuple[int, ...]) -> Array:
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != shape:
        raise ValueError(f"dy has shape {dy.shape} but the output has shape {shape}")
    return dy


def _checked_count(n: int) -> int:
    if not isinstance(n, int | np.integer) or isinstance(n, bool):
        raise TypeError(f"n must be an integer, got {n!r}")
    n = int(n)
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return n


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "add": [("f64[3,4]", "f64[3,4]"), ("f64[3,4]", "f64[1,4]"), ("f64[3,4]", "f64[]")],
    "multiply": [("f64[3,4]", "f64[3,4]"), ("f64[3,4]", "f64[1,4]"), ("f64[3,4]", "f64[]")],
    "copy": [("f64[3,4]", 3)],
}

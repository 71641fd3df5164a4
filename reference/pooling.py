"""Max pooling over the steps of a sequence (Collobert et al. 2011): the router gate, window by window."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def max_pool(x: ArrayLike, window: int, stride: int = 1) -> Array:
    """The largest entry of a feature in each window of consecutive steps.

    Window p starts at step p · stride. Only whole windows count: with T steps there are
    P = ⌊(T - window) / stride⌋ + 1 of them, and what is left at the end is not read.

    Args:
        x: (..., T, d).
        window: how many steps a window has, from 1 to T.
        stride: from one window's start to the next one's, at least 1.

    Returns:
        y, (..., P, d); nan where there is a nan in the window.

    Raises:
        ValueError: where x has no axis of steps, or window or stride is out of range.
        TypeError: where window or stride is not an integer.
    """
    x, winners = _winners(x, window, stride)
    return np.take_along_axis(x, winners, axis=-2)


def max_pool_vjp(x: ArrayLike, window: int, stride: int, dy: ArrayLike) -> tuple[Array, None, None]:
    """Gradient of max pooling: each window routes, and windows that overlap add.

    Names and shapes, for one feature: x (T,), w_p the step that wins window p, y_p = x_{w_p}, y and dy (P,).

    Around any x where window p has one largest entry, small changes leave the winner where it is:

        ∂y_p/∂x_t = 1 where t = w_p, else 0.

    A step lies in several windows where stride < window. The chain rule adds up every path, one through each
    window:

        ∂s/∂x_t = Σ_p dy_p [w_p = t].

    A step that wins twice gets both gradients, one that wins nowhere, or lies in no window, gets 0. In matrix
    form y = S x with the one-hot rows of the winners, S (P, T), and ∂s/∂x = Sᵀ dy.

    Where several entries of a window tie, any mixture of their rows is a generalised gradient; the first
    takes all. A nan is never smaller than anything, so the first nan wins.

    Args:
        x: (..., T, d).
        window: as in `max_pool`.
        stride: as in `max_pool`.
        dy: (..., P, d).

    Returns:
        (dx, None, None): dx of x's shape; window and stride are integers and have none.

    Raises:
        ValueError: as `max_pool`, and where dy does not have the shape of y.
        TypeError: as `max_pool`.
    """
    x, winners = _winners(x, window, stride)
    dy = np.asarray(dy, dtype=np.float64)
    if dy.shape != winners.shape:
        raise ValueError(f"dy has shape {dy.shape} but y has shape {winners.shape}")
    dx = np.zeros_like(x)
    # Window by window: within one, no step comes twice for a feature, so nothing that is put gets lost.
    for p in range(winners.shape[-2]):
        winner = winners[..., p : p + 1, :]
        so_far = np.take_along_axis(dx, winner, axis=-2)
        np.put_along_axis(dx, winner, so_far + dy[..., p : p + 1, :], axis=-2)
    return dx, None, None


def _winners(x: ArrayLike, window: int, stride: int) -> tuple[Array, NDArray[np.intp]]:
    """x, and for every window and feature the step that wins, (..., P, d)."""
    x = np.asarray(x, dtype=np.float64)
    window, stride = _checked_size("window", window), _checked_size("stride", stride)
    if x.ndim < 2:
        raise ValueError(f"x must have shape (..., steps, features), got {x.shape}")
    T = x.shape[-2]
    if window > T:
        raise ValueError(f"window is {window} but x of shape {x.shape} has {T} steps")
    starts = stride * np.arange((T - window) // stride + 1)
    steps = starts[:, None] + np.arange(window)
    # np.argmax returns the first of equal entries, and the first nan where there is one.
    first = np.argmax(x[..., steps, :], axis=-2)
    return x, starts[:, None] + first


def _checked_size(name: str, value: int) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(value)


# What `jaxbackprop check reference` calls each pair with.
CHECK_ARGUMENTS = {
    "max_pool": [("f64[6,2]", 3, 1), ("f64[2,7,2]", 3, 2), ("f64[7,2]", 2, 3)],
}

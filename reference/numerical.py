"""Gradients from differences of function values, to check derivations with.

Two errors pull the step h in opposite directions. Taylor's series gives the truncation error,

    (f(x + h) - f(x)) / h          = f'(x) + h/2 f''(x) + …         O(h)
    (f(x + h) - f(x - h)) / (2h)   = f'(x) + h²/6 f'''(x) + …       O(h²): the even terms cancel

and rounding adds about ε|f|/h, because f is known to one part in 1/ε (ε = 2.2e-16 in float64) and a small
difference of large values is divided by h. The sum is smallest at about

    forward:  h = √ε ≈ 1.5e-8, error about √ε ≈ 1e-8          (half of the digits)
    central:  h = ∛ε ≈ 6e-6,   error about ε^(2/3) ≈ 4e-11    (two thirds of them)

times the scale of x and of f's derivatives. A smaller h makes the result worse, not better.

Cost. For W weights there are W + 1 calls (forward) or 2W (central), each of O(W) work: O(W²) in all.
Backpropagation gets every derivative in O(W), as much as a few calls of f. The slide gives it O(W²), at the
end of a passage that supposes its derivatives to be taken by finite differences: theirs is the O(W²). And
where it counts O(n⁴) forward and O(n⁵) backward, its n⁵ holds n steps of gradient descent: one backward pass
is of the forward pass's order. So differences are for checking, and, as the lecture advises, of some entries
only: `indices`.

Source: lecture, unit 2 "Numerical Gradient".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Index = int | tuple[int, ...]


def forward_difference(
    f: Callable[[Array], ArrayLike], x: ArrayLike, h: float, indices: Sequence[Index] | None = None
) -> tuple[Array, int]:
    """∂f/∂x_i ≈ (f(x + h e_i) - f(x)) / h.

    Args:
        f: a scalar function of an array of x's shape. Each call gets an array of its own, which it may keep.
        x: any shape; it is not modified.
        h: the step, above 0. What is divided by is the step that was really made, x + h being rounded.
        indices: the entries wanted, each a tuple with one integer an axis, or one integer into the flattened
            x (row-major); negative integers count from the end. None: all entries.

    Returns:
        (gradient, calls): the gradient has x's shape, or with indices one entry an index; calls counts the
        calls of f, one an entry and one more.

    Raises:
        ValueError: where h is not above 0 or vanishes beside x, an index does not fit x, or f's value is no
            scalar.
        TypeError: where an index is not made of integers.
    """
    x, positions, shape = _checked(x, h, indices)
    call = _Counted(f)
    at_x = call(x.copy())
    gradient = np.empty(len(positions))
    for k, position in enumerate(positions):
        above, step = _moved(x, position, h)
        gradient[k] = (call(above) - at_x) / step
    return gradient.reshape(shape), call.count


def central_difference(
    f: Callable[[Array], ArrayLike], x: ArrayLike, h: float, indices: Sequence[Index] | None = None
) -> tuple[Array, int]:
    """∂f/∂x_i ≈ (f(x + h e_i) - f(x - h e_i)) / (2h).

    Args:
        f: as in `forward_difference`.
        x: as in `forward_difference`.
        h: as in `forward_difference`.
        indices: as in `forward_difference`.

    Returns:
        (gradient, calls): as in `forward_difference`; calls is two an entry.

    Raises:
        ValueError: as `forward_difference`.
        TypeError: as `forward_difference`.
    """
    x, positions, shape = _checked(x, h, indices)
    call = _Counted(f)
    gradient = np.empty(len(positions))
    for k, position in enumerate(positions):
        above, step_up = _moved(x, position, h)
        below, step_down = _moved(x, position, -h)
        gradient[k] = (call(above) - call(below)) / (step_up - step_down)
    return gradient.reshape(shape), call.count


class _Counted:
    """A scalar function that counts its calls."""

    def __init__(self, f: Callable[[Array], ArrayLike]) -> None:
        self.f = f
        self.count = 0

    def __call__(self, x: Array) -> float:
        self.count += 1
        value = np.asarray(self.f(x), dtype=np.float64)
        if value.shape != ():
            raise ValueError(f"f must return a scalar, got shape {value.shape}")
        return float(value)


def _moved(x: Array, position: tuple[int, ...], h: float) -> tuple[Array, float]:
    """A copy of x with one entry moved by h, and by how much it really moved."""
    moved = x.copy()
    moved[position] += h
    step = float(moved[position] - x[position])
    if step == 0.0:
        raise ValueError(f"h {abs(h)} vanishes beside x, which is {x[position]} at {position}")
    return moved, step


def _checked(
    x: ArrayLike, h: float, indices: Sequence[Index] | None
) -> tuple[Array, list[tuple[int, ...]], tuple[int, ...]]:
    """The input as an array of its own, the positions of the wanted entries, and the shape of the result."""
    x = np.array(x, dtype=np.float64)
    if not h > 0.0:
        raise ValueError(f"h must be above 0, got {h}")
    if indices is None:
        return x, list(np.ndindex(x.shape)), x.shape
    positions = [_position(index, x.shape) for index in indices]
    return x, positions, (len(positions),)


def _position(index: Index, shape: tuple[int, ...]) -> tuple[int, ...]:
    entries = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(entry, int | np.integer) for entry in entries):
        raise TypeError(f"indices must be integers or tuples of integers, got {index!r}")
    sizes = shape if isinstance(index, tuple) else (int(np.prod(shape)),)
    if len(entries) != len(sizes) or not all(
        -size <= entry < size for entry, size in zip(entries, sizes, strict=True)
    ):
        raise ValueError(f"indices has {index!r}, which is no entry of x of shape {shape}")
    if isinstance(index, tuple):
        return tuple(int(entry) for entry in index)
    return tuple(int(entry) for entry in np.unravel_index(int(index) % sizes[0], shape))

"""What arrays hold, which orders, subsets and slices of axes they have, and what messages call those."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ._evidence import Sample


def axis_orders(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every other order of the axes that leaves the shape as it is."""
    if len(shape) > 5:
        return
    for order in itertools.permutations(range(len(shape))):
        if order != tuple(range(len(shape))) and tuple(shape[axis] for axis in order) == shape:
            yield order


def long_axes(shape: tuple[int, ...]) -> list[int]:
    """The axes with more than one entry."""
    return [axis for axis, n in enumerate(shape) if n > 1]


def axis_subsets(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every set of the last three long axes, single ones first."""
    axes = long_axes(shape)[-3:]
    for count in range(1, len(axes) + 1):
        yield from itertools.combinations(axes, count)


def other_axes(ndim: int, *kept: int) -> tuple[int, ...]:
    """All axes but some."""
    return tuple(axis for axis in range(ndim) if axis not in kept)


def slices_with_any(mask: np.ndarray, axis: int) -> np.ndarray:
    """The indices along an axis at which a mask holds anything."""
    return np.flatnonzero(np.any(mask, axis=other_axes(mask.ndim, axis)))


def shifted(a: np.ndarray, by: int, axis: int, wrap: bool) -> np.ndarray:
    """An array shifted along an axis by one; what enters is zero, or wraps round from the other end."""
    moved = np.roll(a, by, axis)
    if not wrap:
        np.moveaxis(moved, axis, 0)[(0 if by > 0 else -1)] = 0
    return moved


def spread(a: np.ndarray, reduction: Callable[..., np.ndarray], axis: int) -> np.ndarray:
    """The sum, or the mean, over an axis in the place of each entry."""
    return np.array(np.broadcast_to(reduction(a, axis=axis, keepdims=True), a.shape))


def without(a: np.ndarray, index: int, axis: int) -> np.ndarray:
    """An array with zeros in one slice."""
    rest = np.array(a)
    np.moveaxis(rest, axis, 0)[index] = 0
    return rest


def in_words(axes: tuple[int, ...]) -> str:
    """The words for some axes: "axes 0 and 2"."""
    return ("axis " if len(axes) == 1 else "axes ") + " and ".join(map(str, axes))


def slice_name(shape: tuple[int, ...], axis: int, index: int) -> str:
    """What messages call a slice: "last column"."""
    n = shape[axis]
    which = "last" if index == n - 1 else "first" if index == 0 else f"number {index}"
    kind = "entry" if len(shape) == 1 else {len(shape) - 1: "column", len(shape) - 2: "row"}.get(axis)
    if kind is None:
        kind = f"slice along axis {axis}"
    return f"{kind} {which}" if which.startswith("number") else f"{which} {kind}"


def with_leaf(s: Sample, slot: int, value: Any) -> tuple[Any, ...]:
    """A sample's leaves with one of them exchanged."""
    return (*s.leaves[:slot], value, *s.leaves[slot + 1 :])


def is_key(leaf: Any) -> bool:
    """Whether a leaf holds random keys, or anything else that NumPy has no dtype for."""
    return not isinstance(getattr(leaf, "dtype", None), np.dtype)


def is_integer(leaf: Any) -> bool:
    """Whether a leaf holds integers; random keys do not count."""
    return not is_key(leaf) and np.issubdtype(leaf.dtype, np.integer)


def is_boolean(leaf: Any) -> bool:
    """Whether a leaf holds booleans."""
    return getattr(leaf, "dtype", None) == np.dtype(bool)


def is_mask(leaf: Any) -> bool:
    """Whether a leaf holds nothing but zeros and ones, of any dtype."""
    plain = not is_key(leaf) and leaf.dtype.kind in "biuf"
    return bool(plain and np.size(leaf) > 1 and np.all(np.isin(np.asarray(leaf), (0, 1))))

"""What a leaf of the arguments holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._evidence import Sample


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

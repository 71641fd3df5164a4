"""What redraws keep of the arguments as they came, and arguments that lack it."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxbackprop._float64 import is_float

from .._layout import Layout, is_key
from ._domains import domains_of_leaves
from ._leaf import is_binary, is_permutation, is_simplex, is_sorted


class Structure(enum.Enum):
    """What an array has that few arrays have by chance: the words for that, and for its lack."""

    ASCENDING = "ascending", "in another order"
    PERMUTATION = "a permutation", "one with repeats"
    ONE_HOT = "rows with a single one", "made of other rows"
    MASK = "zeros and ones", "made of other numbers"
    SIMPLEX = "rows that sum to one", "made of rows with other sums"


class Kept(NamedTuple):
    """An array leaf whose structure redraws keep."""

    slot: int
    structure: Structure


def kept(layout: Layout, domains: Any) -> Iterator[Kept]:
    """The array leaves of which redraws keep more than size and range, unless the caller said so."""
    lone = sum(np.ndim(layout.leaves[i]) > 0 for i in layout.all_floats) == 1
    for slot, (leaf, domain) in enumerate(
        zip(layout.leaves, domains_of_leaves(layout, domains), strict=True)
    ):
        if domain is None and not is_key(leaf) and slot not in layout.complexes and np.size(leaf) > 1:
            floats = is_float(leaf)
            values = np.asarray(leaf).astype(np.float64) if floats else np.asarray(leaf)
            structure = _of_floats(values, lone) if floats else _of_integers(values)
            if structure is not None:
                yield Kept(slot, structure)


def _of_integers(values: np.ndarray) -> Structure | None:
    if not np.issubdtype(values.dtype, np.integer):
        return None
    if is_permutation(values):
        return Structure.PERMUTATION
    return Structure.ASCENDING if is_sorted(values) else None


def _of_floats(values: np.ndarray, lone: bool) -> Structure | None:
    if is_simplex(values):
        return Structure.ONE_HOT if is_binary(values) else Structure.SIMPLEX
    if is_binary(values):
        return Structure.MASK if np.any(values) and not np.all(values) else None
    return Structure.ASCENDING if is_sorted(values) and not lone else None


def broken(values: np.ndarray, structure: Structure, rng: np.random.Generator) -> list[np.ndarray]:
    """Arrays of the same kind and range that lack a structure."""
    if structure is Structure.ASCENDING:
        return [values[::-1], np.concatenate([values[1:], values[:1]])]
    if structure is Structure.PERMUTATION:
        twice = values.copy()
        twice[..., 0] = twice[..., 1]
        return [twice, rng.integers(0, values.shape[-1], values.shape).astype(values.dtype)]
    if structure is Structure.SIMPLEX:
        return [values * rng.uniform(0.4, 0.8, values.shape), values * rng.uniform(1.25, 2.5, values.shape)]
    return [rng.uniform(0.1, 0.9, values.shape), rng.uniform(0.5, 2.5, values.shape)]

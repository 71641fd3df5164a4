"""A point with round numbers at which a mistake still shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import Arrays

from .._comparison import Comparison, compare
from .._evaluator import Point
from .._findings import leaf_of
from .._kinks import kink
from .._report import Finding
from .._rounding import all_finite
from .._sampling import Sampled, free_leaves
from .._session import CheckSession

# Beyond so many numbers no point is simple.
_MOST_NUMBERS = 1024


def simplified(session: CheckSession, found: Finding, shown: Mapping[int, Comparison]) -> Finding:
    """A finding of a wrong value, at the simplest point that shows it.

    Args:
        session: in which it was found.
        found: any finding; those of other properties stay as they are.
        shown: for each wrong leaf a comparison that shows it.
    """
    leaf = leaf_of(session, found)
    if found.property != "value" or leaf is None or leaf not in shown:
        return found
    comparison = simplest(session, shown[leaf], leaf)
    worst = comparison.violation(leaf)
    if worst is None:
        return found
    at = {"point": _args(session, comparison.point), "cotangent": _cotangent(session, comparison.point)}
    return dataclasses.replace(found, **vars(worst), **at)


def simplest(session: CheckSession, comparison: Comparison, leaf: int) -> Comparison:
    """The comparison with the roundest numbers at which a leaf is wrong; the given one where none is."""
    floats = session.layout.floats_of(comparison.point.leaves)
    if session.truth is None or sum(map(np.size, floats)) > _MOST_NUMBERS:
        return comparison
    points = [Sampled(comparison.kind, point) for point in _rounder(session, comparison.point)]
    for found in compare(session, points):
        if not all_finite((*found.y, *found.want)):
            continue
        worst = found.violation(leaf)
        # A mistake that is nearly lost in rounding shows nothing.
        if worst is None or not worst.error > 1e-4 * (abs(worst.want) + 1e-30):
            continue
        if kink(session, found, leaf) is None:
            return found
    return comparison


def _rounder(session: CheckSession, point: Point) -> Iterator[Point]:
    """The simplest first: small integers, then halves, then a digit behind the point; cotangents alike."""
    slots = session.layout.floats
    at: Arrays = tuple(np.asarray(point.leaves[i], np.float64) for i in slots)
    free = free_leaves(session.layout, session.domains)
    rng = np.random.default_rng(0)
    whole = [rng.integers(1, 4, x.shape) * rng.choice([-1.0, 1.0], x.shape) for x in at]
    scales = [
        tuple(whole),
        tuple(np.abs(w) for w in whole),
        tuple(np.round(x) for x in at),
        tuple(np.round(2 * x) / 2 for x in at),
        tuple(np.round(x, 1) for x in at),
    ]
    ones: Arrays = tuple(np.ones_like(d) for d in point.dy)
    count = tuple(np.arange(1.0, d.size + 1).reshape(d.shape) for d in point.dy)
    for dy in (ones, count):
        for floats in scales:
            moved = tuple(f if free[i] else x for i, x, f in zip(slots, at, floats, strict=True))
            yield Point(session.layout.with_floats(point.leaves, moved), dy)
    yield Point(point.leaves, ones)


def _args(session: CheckSession, point: Point) -> tuple[Any, ...]:
    """The arguments of a point, floats in their own dtypes."""
    layout = session.layout
    leaves = list(point.leaves)
    with session.native_setting():
        for i in layout.floats:
            like = layout.leaves[i]
            in_jax = isinstance(like, jax.Array)
            leaves[i] = (
                jnp.asarray(leaves[i], like.dtype) if in_jax else np.asarray(leaves[i]).astype(like.dtype)
            )
    return layout.args(tuple(leaves))


def _cotangent(session: CheckSession, point: Point) -> Any:
    """The cotangents of a point with the structure of the results; None where one is not float."""
    y = session.result
    if any(not jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(y)):
        return None
    in_jax = (
        any(isinstance(leaf, jax.Array) for leaf in session.layout.leaves) or session.subject.rule is None
    )
    dy = iter(point.dy)
    with session.native_setting():
        return jax.tree.map(lambda leaf: (jnp.asarray if in_jax else np.asarray)(next(dy), leaf.dtype), y)

"""Contributions that arrive at other entries than the right ones, at several, or at more."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ..mistakes import Mistake
from ._jacobians import JacobianPair
from ._probe import Probe


def moved(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """Every entry of the upstream goes to one entry of the gradient, but to another than it should."""
    steps: set[tuple[int, ...]] = set()
    for p in pairs:
        got, want = p.matrix(p.got), p.matrix(p.want)
        if not probe.equal(got.sum(1), want.sum(1)) or not np.any(want):
            return
        g, w = p.matrix(p.got_support), p.matrix(p.want_support)
        if np.any(g.sum(1) > 1) or np.any(w.sum(1) > 1) or np.any(g.any(1) != w.any(1)):
            return
        rows = w.any(1)
        if p.leaf_shape:
            to, due = (np.unravel_index(m.argmax(1)[rows], p.leaf_shape) for m in (g, w))
            step = ((a - b) % n for a, b, n in zip(to, due, p.leaf_shape, strict=True))
            steps |= set(zip(*(s.tolist() for s in step), strict=True))
    first = pairs[0]
    if len(steps) == 1 and sum(min(d, n - d) for d, n in zip(*steps, first.leaf_shape, strict=True)) == 1:
        says = "goes to the entry beside the one it belongs to"
        yield from probe.suspect(leaf, says, {Mistake.OFF_BY_ONE: 0.0})
    if probe.selects[leaf]:
        says = "goes to another entry than the one that was chosen"
        yield from probe.suspect(leaf, says, {Mistake.WRONG_WINNER: 0.02, Mistake.WRONG_MASK: 0.4})
        return
    reduced = len(first.result_shape) > len(first.leaf_shape)
    costs = {
        Mistake.WRONG_AXIS: 0.1 if reduced else 0.4,
        Mistake.OFF_BY_ONE: 0.3,
        Mistake.ORDER_REVERSED: 0.3,
    }
    yield from probe.suspect(leaf, "goes to other entries than it belongs to", costs)


def not_due(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """Every contribution is there, and others where none is due."""
    if any(np.any(p.wrong & p.want_support) or not np.any(p.wrong) for p in pairs):
        return
    first, selects = pairs[0], probe.selects[leaf]
    one_each = all(np.all(p.matrix(p.want_support).sum(1) <= 1) for p in pairs)
    if one_each and first.same_shape and all(_is_diagonal(p.matrix(p.got_support)) for p in pairs):
        costs = {
            Mistake.WRONG_WINNER: 0.02 if _goes_elsewhere(probe, leaf) else 0.4,
            Mistake.WRONG_MASK: 0.05 if selects else 0.2,
            Mistake.PADDING: 0.4 if selects else 0.15,
        }
        yield from probe.suspect(leaf, "is not zero where it should be", costs)
        return
    results, entries = first.matrix(first.got).shape
    if one_each and selects and results < entries:
        says = "goes to more entries than the one that was chosen"
        yield from probe.suspect(leaf, says, {Mistake.WRONG_WINNER: 0.05})
        return
    selects = selects or probe.piecewise_linear
    # A sum adds to entries that depend on something; a padded entry should depend on nothing.
    adds = any(
        np.any(p.got_support & ~p.want_support & np.any(p.want_support, axis=p.result_axes)) for p in pairs
    )
    growth = min(np.sum(p.got_support) / max(np.sum(p.want_support), 1) for p in pairs)
    sums = growth > 1.4 and adds and not selects
    costs = {
        Mistake.WRONG_MASK: 0.08 if selects else 0.4,
        Mistake.EXTRA_SUM: 0.1 if sums else 0.3,
        Mistake.PADDING: 0.3 if sums or selects else 0.1,
    }
    yield from probe.suspect(leaf, "has contributions that are not due", costs)


def _is_diagonal(support: np.ndarray) -> bool:
    return not np.any(support & ~np.eye(len(support), dtype=bool))


def _goes_elsewhere(probe: Probe, leaf: int) -> bool:
    """Whether this argument and another share the upstream, each entry going to one of them."""
    for s, (_, want) in zip(probe.points, probe.jacobians, strict=False):
        for d, result in zip(s.dy, want, strict=True):
            mine = result[leaf]
            for other, theirs in enumerate(result):
                if other == leaf or theirs.shape != mine.shape or not np.any(theirs):
                    continue
                both = (mine + theirs).reshape(d.size, -1)
                if both.shape[0] == both.shape[1] and probe.equal(both, np.eye(len(both)) * both[0, 0]):
                    return True
    return False

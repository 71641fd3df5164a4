"""The right contributions, each with a factor: of the entry of the result, of the leaf, or of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ..mistakes import Mistake
from ._jacobians import JacobianPair
from ._probe import Probe


def share_of_winners(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """Several equal winners each get a factor too much."""
    if not _same_support(pairs) or not probe.selects[leaf]:
        return
    tied = any(np.any(p.matrix(p.want_support).sum(1) > 1) for p in pairs)
    if tied and all(_rows_even(probe, p.ratio()) for p in pairs):
        says = "gives each of several equal winners more than its share"
        yield from probe.suspect(leaf, says, {Mistake.WRONG_WINNER: 0.03})


def another_slope(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """An elementwise function with another derivative than it should have."""
    if not _same_support(pairs) or not pairs[0].elementwise_shape or not _elementwise(pairs):
        return
    got = np.concatenate([p.matrix(p.got).sum(0) for p in pairs])
    want = np.concatenate([p.matrix(p.want).sum(0) for p in pairs])
    somewhere_right = not np.all(probe.differs(got, want))
    costs = {
        Mistake.WRONG_DERIVATIVE: 0.35 if somewhere_right else 0.25,
        Mistake.MISSING_TERM: 0.3,
        Mistake.MISSING_FACTOR: 0.4,
    }
    yield from probe.suspect(leaf, "has another slope than it should", costs)


def _same_support(pairs: list[JacobianPair]) -> bool:
    """Whether contributions are where they should be, and some at each point."""
    return all(np.array_equal(p.got_support, p.want_support) and np.any(p.want_support) for p in pairs)


def _elementwise(pairs: list[JacobianPair]) -> bool:
    """Whether each entry of the result depends on one entry of the leaf, another one each."""
    supports = [p.matrix(p.want_support) for p in pairs]
    return all(np.all(s.sum(1) <= 1) and np.all(s.sum(0) <= 1) for s in supports)


def _rows_even(probe: Probe, ratio: np.ndarray) -> bool:
    """Whether each row holds one value, where it holds any."""
    for row in ratio:
        held = row[~np.isnan(row)]
        if held.size and np.ptp(held) > 10 * probe.tolerance * np.max(np.abs(held)):
            return False
    return True

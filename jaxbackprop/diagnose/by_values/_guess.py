"""What a mistake is likely to be where nothing simple explains it."""

from __future__ import annotations

from collections.abc import Iterator

from .._evidence import Suspicion
from ..mistakes import Mistake
from ._probe import Probe


def by_prior(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The commonest mistakes of such a function, whatever the numbers."""
    costs = {Mistake.MISSING_TERM: 0.8, Mistake.MISSING_FACTOR: 0.85, Mistake.WRONG_DERIVATIVE: 0.9}
    if probe.piecewise_linear:
        costs[Mistake.WRONG_MASK] = 0.55
    if probe.recurrent:
        costs[Mistake.TIME_SHIFT] = 0.81
    yield from probe.suspect(leaf, "is not what it should be, in no simple way", costs)

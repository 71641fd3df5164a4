"""Runs the table of detectors over the evidence, and ranks what they suspect."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from .._clock import Clock
from .._evidence import Evidence, Suspicion
from ..mistakes import Mistake
from ._detectors import DETECTORS, Reads
from ._probe import Probe

# Beyond so many entries a gradient's Jacobian is not looked at.
_MOST_ENTRIES = 4096


def search(evidence: Evidence, *, budget_s: float = 1.5) -> list[Suspicion]:
    """Asks the detectors what the numbers of a wrong rule look like.

    The rule and the right gradient are black boxes that can be asked anywhere.

    Args:
        evidence: the rule at several points.
        budget_s: seconds after which no further detector is asked.

    Returns:
        All that is suspected, by one detector after another. Empty where nothing fits.
    """
    probe = Probe(evidence)
    if not probe.samples or not probe.wrong:
        return []
    # Ratios of zeros and logarithms of negative numbers are how some patterns are seen not to fit.
    with np.errstate(all="ignore"):
        return list(_Search(probe, Clock(), budget_s).suspicions())


def ranked(found: Iterable[Suspicion], leaves: int) -> list[Suspicion]:
    """The likeliest first, with at most one for a mistake and a leaf.

    Args:
        found: what `search` answers.
        leaves: how many are wrong. A mistake that explains more of them comes before others.
    """
    best: dict[tuple[Mistake, int | None], Suspicion] = {}
    for suspicion in found:
        key = suspicion.label, suspicion.leaf
        if key not in best or suspicion.cost < best[key].cost:
            best[key] = suspicion
    costs: dict[Mistake, list[float]] = defaultdict(list)
    for suspicion in best.values():
        costs[suspicion.label].append(suspicion.cost)

    def doubt(suspicion: Suspicion) -> tuple[float, float]:
        seen = costs[suspicion.label]
        mean = (sum(seen) + (leaves - len(seen))) / max(leaves, 1)
        return 0.6 * min(seen) + 0.4 * mean, suspicion.cost

    return sorted(best.values(), key=doubt)


@dataclasses.dataclass(frozen=True)
class _Search:
    """All detectors in their order, until the time is up."""

    probe: Probe
    clock: Clock
    budget_s: float

    def suspicions(self) -> Iterator[Suspicion]:
        """What all detectors find."""
        unexplained = []
        for leaf in self.probe.wrong:
            if not any(self.probe.wrong_at(s, leaf) for s in self.probe.samples):
                continue
            first = next(filter(None, self._answers(Reads.FIRST, leaf)), [])
            yield from first
            if not first:
                unexplained.append(leaf)
        for leaf in unexplained:
            yield from chain.from_iterable(self._answers(Reads.VALUES, leaf))
            small = np.size(self.probe.samples[0].want[leaf]) <= _MOST_ENTRIES
            pairs = self.probe.pairs(leaf) if small and not self._late() else []
            if pairs:
                yield from chain.from_iterable(self._answers(Reads.JACOBIANS, leaf, pairs))
            yield from chain.from_iterable(self._answers(Reads.LAST, leaf))
        if unexplained:
            for answer in self._answers(Reads.EVERYTHING):
                yield from (s for s in answer if s.leaf in unexplained)

    def _answers(self, reads: Reads, *args: Any) -> Iterator[list[Suspicion]]:
        """What each detector of a kind finds; but for the last, while there is time."""
        for find in DETECTORS[reads]:
            if reads is Reads.LAST or not self._late():
                yield [dataclasses.replace(s, found_by=find.__name__) for s in find(self.probe, *args)]

    def _late(self) -> bool:
        return self.clock.spent() > self.budget_s

"""Runs the table of detectors over the evidence, and ranks what they suspect."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
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
    clock = Clock()
    # Ratios of zeros and logarithms of negative numbers are how some patterns are seen not to fit.
    with np.errstate(all="ignore"):
        return list(_suspicions(probe, lambda: clock.spent() > budget_s))


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


def _suspicions(probe: Probe, late: Callable[[], bool]) -> Iterator[Suspicion]:
    """What all detectors find, in their order, until it is late."""

    def answers(reads: Reads, *args: Any) -> Iterator[list[Suspicion]]:
        for find in DETECTORS[reads]:
            if reads is Reads.LAST or not late():
                yield [dataclasses.replace(s, found_by=find.__name__) for s in find(probe, *args)]

    unexplained = []
    for leaf in probe.wrong:
        if not any(probe.wrong_at(s, leaf) for s in probe.samples):
            continue
        first = next(filter(None, answers(Reads.FIRST, leaf)), [])
        yield from first
        if not first:
            unexplained.append(leaf)
    for leaf in unexplained:
        yield from chain.from_iterable(answers(Reads.VALUES, leaf))
        small = np.size(probe.samples[0].want[leaf]) <= _MOST_ENTRIES
        pairs = probe.pairs(leaf) if small and not late() else []
        if pairs:
            yield from chain.from_iterable(answers(Reads.JACOBIANS, leaf, pairs))
        yield from chain.from_iterable(answers(Reads.LAST, leaf))
    if unexplained:
        for answer in answers(Reads.EVERYTHING):
            yield from (s for s in answer if s.leaf in unexplained)

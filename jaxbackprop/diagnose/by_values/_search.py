"""Runs the table of detectors over the evidence, and ranks what they suspect."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from .._evidence import Clock, Evidence, Suspicion
from ..mistakes import Mistake as M
from . import _jacobian_structure as structure
from . import _patterns as patterns
from ._contributions import lost, moved, not_due, one_slice_counts
from ._factors import along_another_axis, known_factor, one_factor, small_error, unnormalised_rows
from ._probe import Guess, Probe
from ._rule_at_changed_input import mixed_examples, not_linear, rule_at_changed_input, zero_everywhere
from ._truth_at_changed_input import truth_at_changed_input

# Beyond so many entries a gradient's Jacobian is not looked at.
_MOST_ENTRIES = 4096


def by_prior(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The commonest mistakes of such a function, whatever the numbers."""
    costs = {M.MISSING_TERM: 0.8, M.MISSING_FACTOR: 0.85, M.WRONG_DERIVATIVE: 0.9}
    if probe.piecewise_linear:
        costs[M.WRONG_MASK] = 0.55
    if probe.recurrent:
        costs[M.TIME_SHIFT] = 0.81
    yield leaf, "is not what it should be, in no simple way", costs


class Reads(enum.Enum):
    """What a detector, a function, is given beside the probe; `Suspicion.found_by` is its name."""

    FIRST = "a leaf; what the first such detector finds is all that is said of the leaf"
    VALUES = "a leaf, whose gradients it reads at all samples"
    JACOBIANS = "a leaf and its Jacobians at two points"
    LAST = "a leaf, after all that read it"
    EVERYTHING = "nothing; it asks the rule or the truth at changed input, of all leaves"


# In the order in which they run: where time runs out, the rest is not asked.
DETECTORS: dict[Reads, tuple[Callable[..., Iterator[Guess]], ...]] = {
    Reads.FIRST: (zero_everywhere, not_linear),
    Reads.VALUES: (
        *(one_factor, small_error, known_factor, along_another_axis, unnormalised_rows),
        *(patterns.transposed_gradient, patterns.reversed_gradient, patterns.shifted_gradient),
        *(patterns.summed_gradient, patterns.another_arguments),
        *(patterns.where_zero_is_due, patterns.always_the_same, patterns.beyond_a_value),
        *(patterns.constant_along_an_axis, patterns.label_smoothing, patterns.linear_in_an_argument),
    ),
    Reads.JACOBIANS: (
        *(structure.reversed_axes, structure.exchanged_axes, structure.reversed_dependence),
        *(structure.transposed_factor, lost, one_slice_counts, moved, not_due),
        *(structure.share_of_winners, structure.another_slope, structure.coupled_axes),
        *(structure.simple_difference, structure.result_for_state),
    ),
    Reads.LAST: (by_prior,),
    Reads.EVERYTHING: (truth_at_changed_input, rule_at_changed_input, mixed_examples),
}


def search(evidence: Evidence, *, budget_s: float = 1.5) -> list[Suspicion]:
    """All that one detector after another suspects; after `budget_s` seconds no further one is asked."""
    probe = Probe(evidence)
    if not probe.samples or not probe.wrong:
        return []
    clock = Clock()
    # Ratios of zeros and logarithms of negative numbers are how some patterns are seen not to fit.
    with np.errstate(all="ignore"):
        return list(_suspicions(probe, lambda: clock.spent() > budget_s))


def ranked(found: Iterable[Suspicion], leaves: int) -> list[Suspicion]:
    """The likeliest first, one for a mistake and a leaf; those before that explain more of the leaves."""
    best: dict[tuple[M, int | None], Suspicion] = {}
    for suspicion in found:
        key = suspicion.label, suspicion.leaf
        if key not in best or suspicion.cost < best[key].cost:
            best[key] = suspicion
    costs: dict[M, list[float]] = defaultdict(list)
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
                yield [
                    Suspicion(mistake, f"{probe.name(leaf)} {says}", leaf, cost, "numbers", find.__name__)
                    for leaf, says, costs in find(probe, *args)
                    for mistake, cost in costs.items()
                ]

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

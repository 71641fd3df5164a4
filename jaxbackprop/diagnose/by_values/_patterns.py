"""Names the mistake in a hand-written VJP from its numbers alone.

The rule and the right gradient are black boxes that can be asked anywhere. Exact identities of all samples
come first (a factor, a transpose, a swap, the right answer to another question), then what the Jacobians say,
then guesses from the pattern of what is wrong.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .._evidence import Evidence, Suspicion
from . import _contributions as contributions
from . import _coupling as coupling
from . import _elsewhere as elsewhere
from . import _entries as entries
from . import _factor as factor
from . import _jacobian as jacobian
from . import _linearity as linearity
from . import _mended as mended
from . import _places as places
from . import _slopes as slopes
from . import _time as in_time
from ._probe import Pair, Probe

Pattern = Callable[..., Iterable[Suspicion]]

# Of one leaf's values in all samples.
VALUES: tuple[Callable[[Probe, int], Iterator[Suspicion]], ...] = (
    linearity.results,
    factor.factor,
    factor.small_deviation,
    factor.proportional,
    factor.unnormalised,
    places.rearranged,
    places.swapped,
    places.blocks,
    entries.entries,
    entries.remainder,
)
# Of one leaf's Jacobians at two points.
JACOBIANS: tuple[Callable[[Probe, int, list[Pair]], Iterator[Suspicion]], ...] = (
    jacobian.axes_exchanged,
    jacobian.transposed_support,
    jacobian.transposed_blocks,
    jacobian.one_on,
    contributions.lost,
    contributions.moved,
    contributions.spread,
    contributions.more,
    slopes.scaled,
    slopes.row_factor,
    slopes.as_it_stands,
    coupling.coupled,
    coupling.exponentials,
    coupling.off_diagonal,
    coupling.simple_remainder,
    in_time.in_time,
    in_time.outer_factor,
)
# Of all leaves at once, by asking the rule or the truth at other points.
ELSEWHERE: tuple[Callable[[Probe], Iterator[Suspicion]], ...] = (
    elsewhere.truth_elsewhere,
    elsewhere.shifted_labels,
    mended.rule_elsewhere,
    mended.mixed_examples,
)


# Beyond so many entries a Jacobian is not looked at entry by entry.
_MOST_ENTRIES = 4096


def structure(evidence: Evidence, *, budget_s: float = 1.5) -> list[Suspicion]:
    """What the numbers of a wrong rule look like.

    Args:
        evidence: the rule at several points.
        budget_s: seconds after which no further pattern is looked for.

    Returns:
        Suspicions, the likeliest first, with at most one for a label and a leaf. Empty where nothing fits.
    """
    probe = Probe(evidence)
    with np.errstate(all="ignore"):
        deadline = time.perf_counter() + budget_s
        found = list(_suspicions(probe, deadline)) if probe.samples and probe.wrong else []
    best: dict[tuple[str, int | None], Suspicion] = {}
    for suspicion in found:
        key = suspicion.label, suspicion.leaf
        if key not in best or suspicion.cost < best[key].cost:
            best[key] = suspicion
    return _ranked(list(best.values()), len(evidence.wrong))


def _suspicions(probe: Probe, deadline: float) -> Iterator[Suspicion]:
    def _seen(pattern: Pattern, *args: Any) -> list[Suspicion]:
        return [] if time.perf_counter() > deadline else _found(pattern, *args)

    linear = []
    for leaf in probe.wrong:
        if not any(probe.wrong_at(s, leaf) for s in probe.samples):
            continue
        detached = _seen(linearity.detached, probe, leaf)
        first = detached or _seen(entries.few, probe, leaf) or _seen(linearity.cotangent, probe, leaf)
        yield from first
        if not first:
            linear.append(leaf)
    for leaf in linear:
        for pattern in VALUES:
            yield from _seen(pattern, probe, leaf)
        small = np.size(probe.samples[0].want[leaf]) <= _MOST_ENTRIES
        pairs = probe.pairs(leaf) if small and time.perf_counter() < deadline else None
        for of_jacobians in JACOBIANS if pairs else ():
            yield from _seen(of_jacobians, probe, leaf, pairs)
        yield from _guesses(probe, leaf)
    for of_all in ELSEWHERE if linear else ():
        yield from (suspicion for suspicion in _seen(of_all, probe) if suspicion.leaf in linear)


def _found(pattern: Pattern, *args: Any) -> list[Suspicion]:
    """What a pattern finds; nothing where the arrays are too strange for it."""
    try:
        return list(pattern(*args))
    except (ArithmeticError, LookupError, ValueError, np.linalg.LinAlgError):
        return []


def _guesses(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    says = "is not what it should be, in no simple way"
    if probe.piecewise:
        yield probe.suspect("wrong mask", leaf, 0.55, says)
    yield probe.suspect("missing term", leaf, 0.8, says)
    if probe.recurrent:
        yield probe.suspect("time shift", leaf, 0.81, says)
    yield probe.suspect("missing factor", leaf, 0.85, says)
    yield probe.suspect("wrong derivative formula", leaf, 0.9, says)


def _ranked(found: list[Suspicion], leaves: int) -> list[Suspicion]:
    """By cost, and before one another the labels that explain more of the wrong leaves."""
    by_label: dict[str, list[float]] = defaultdict(list)
    for suspicion in found:
        by_label[suspicion.label].append(suspicion.cost)

    def key(suspicion: Suspicion) -> tuple[float, float]:
        costs = by_label[suspicion.label]
        mean = (sum(costs) + (leaves - len(costs))) / max(leaves, 1)
        return 0.6 * min(costs) + 0.4 * mean, suspicion.cost

    return sorted(found, key=key)

"""The rule's answer is the right one at changed input: at the output, a transposed matrix, other indices."""

from __future__ import annotations

from collections.abc import Iterator

from .._evidence import Suspicion
from ._changed_inputs import changed_inputs
from ._probe import Probe


def truth_at_changed_input(probe: Probe) -> Iterator[Suspicion]:
    """The rule's answer is the right one at other arguments or for another cotangent."""
    by_wrongness = sorted(probe.samples, key=lambda s: -sum(probe.wrong_at(s, leaf) for leaf in probe.wrong))
    for change in changed_inputs(probe):
        leaves = [leaf for leaf in probe.wrong if change.fits(leaf)]
        answers = ((s, probe.truth(*change.at(s)), s.got) for s in by_wrongness)
        for leaf in probe.explained(leaves, answers):
            yield from probe.suspect(leaf, change.says, change.costs)

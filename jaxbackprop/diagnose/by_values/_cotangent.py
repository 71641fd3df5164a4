"""Mistakes in how a rule treats the incoming cotangent: left out, squared, clipped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ..mistakes import Mistake
from ._probe import Probe


def zero_everywhere(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The rule answers zero at every sample."""
    if not any(np.any(s.got[leaf]) for s in probe.samples):
        yield from probe.suspect(leaf, "is zero everywhere", {Mistake.DETACHED: 0.0})


def not_linear(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The rule is not linear in the incoming cotangent: what it makes of multiples of one shows how."""
    s = probe.samples[0]
    asked = [probe.rule(s.leaves, tuple(c * d for d in s.dy)) for c in (0.0, 1.0, 2.0, 3.0, -1.0, 1e3, 1e-3)]
    answers = [a[leaf] for a in asked if a is not None]
    if len(answers) < len(asked) or not all(np.all(np.isfinite(a)) for a in answers):
        return
    none, once, twice, thrice, negative, large, small = answers
    additive = _additive(probe, leaf)
    doubles, odd = probe.equal(twice, 2 * once), probe.equal(negative, -once)
    if doubles and odd and probe.equal(large, 1e3 * once) and probe.equal(small, 1e-3 * once) and additive:
        return
    step = once - none
    if probe.equal(once, none) and probe.equal(large, once) and additive is not None:
        ones = probe.truth(s.leaves, tuple(np.ones_like(d) for d in s.dy))
        says = "does not depend on the upstream cotangent"
        if ones is not None and probe.equal(once, ones[leaf]):
            says = "is what it should be for an upstream of ones"
        yield from probe.suspect(leaf, says, {Mistake.UPSTREAM_IGNORED: 0.0})
    elif probe.equal(twice, 4 * once) and probe.equal(thrice, 9 * once):
        says = "is quadratic in the upstream cotangent"
        yield from probe.suspect(leaf, says, {Mistake.UPSTREAM_SQUARED: 0.0, Mistake.NON_LINEAR: 0.3})
    elif np.any(none) and probe.equal(twice - once, step) and probe.equal(thrice - twice, step):
        says = "has a part without the upstream cotangent"
        yield from probe.suspect(leaf, says, {Mistake.UPSTREAM_IGNORED: 0.1})
        says = "is not zero for an upstream of zero"
        yield from probe.suspect(leaf, says, {Mistake.NON_LINEAR: 0.4})
    else:
        if probe.equal(thrice - 3 * twice + 3 * once, none):
            says = "has a part that is quadratic in the upstream cotangent"
            yield from probe.suspect(leaf, says, {Mistake.UPSTREAM_SQUARED: 0.1})
        says = "is not linear in the upstream cotangent"
        if probe.equal(negative, once):
            says = "is the same for an upstream of the other sign: its absolute value is taken"
        elif probe.equal(large, once):
            says = "does not grow with the upstream cotangent: it is normalised"
        elif probe.equal(small * 1e3, s.want[leaf]):
            says = "is right for a small upstream cotangent alone: it is clipped or normalised"
        elif doubles and not odd:
            says = "depends on the sign of the upstream cotangent"
        yield from probe.suspect(leaf, says, {Mistake.NON_LINEAR: 0.05})


def _additive(probe: Probe, leaf: int) -> bool | None:
    """Whether the rule of a sum of two cotangents is the sum of its answers; None where it cannot be told."""
    s, other = probe.samples[0], probe.samples[-1]
    sums = tuple(a + b for a, b in zip(s.dy, other.dy, strict=True))
    asked = [probe.rule(s.leaves, dy) for dy in (s.dy, other.dy, sums)]
    answers = [a[leaf] for a in asked if a is not None]
    if len(answers) < len(asked):
        return None
    first, second, both = answers
    scale = max(np.max(np.abs(v), initial=0.0) for v in (first, second))
    return bool(np.max(np.abs(first + second - both), initial=0.0) <= 4 * probe.tolerance * scale)

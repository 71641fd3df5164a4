"""Mistakes in how a rule treats the incoming cotangent: left out, squared, clipped, one result's ignored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jaxbackprop._float64 import Arrays

from .._evidence import Suspicion
from ._probe import Probe


def detached(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The rule answers zero everywhere."""
    if not any(np.any(s.got[leaf]) for s in probe.samples):
        yield probe.suspect("detached", leaf, 0.0, "is zero everywhere")


def cotangent(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The rule is not linear in the incoming cotangent. Yields nothing where it is."""
    s = probe.samples[0]

    def at(*scales: float) -> list[np.ndarray] | None:
        answers = [probe.rule(s.leaves, _times(s.dy, c)) for c in scales]
        return None if any(a is None for a in answers) else [a[leaf] for a in answers if a is not None]

    asked = at(0.0, 1.0, 2.0, 3.0, -1.0, 1e3, 1e-3)
    if asked is None or not all(np.all(np.isfinite(a)) for a in asked):
        return
    nought, once, twice, thrice, negative, large, small = asked
    sums = _additive(probe, leaf)
    scales = probe.equal(twice, 2 * once) and probe.equal(negative, -once)
    if scales and probe.equal(large, 1e3 * once) and probe.equal(small, 1e-3 * once) and sums:
        return
    if probe.equal(once, nought) and probe.equal(large, once) and sums is not None:
        ones = probe.truth(s.leaves, tuple(np.ones_like(d) for d in s.dy))
        if ones is not None and probe.equal(once, ones[leaf]):
            yield probe.suspect("upstream ignored", leaf, 0.0, "is what it should be for an upstream of ones")
        else:
            yield probe.suspect("upstream ignored", leaf, 0.0, "does not depend on the upstream cotangent")
    elif probe.equal(twice, 4 * once) and probe.equal(thrice, 9 * once):
        yield probe.suspect("upstream squared", leaf, 0.0, "is quadratic in the upstream cotangent")
        yield probe.suspect("non-linear in cotangent", leaf, 0.3, "is quadratic in the upstream cotangent")
    elif (
        np.any(nought)
        and probe.equal(twice - once, once - nought)
        and probe.equal(thrice - twice, once - nought)
    ):
        yield probe.suspect("upstream ignored", leaf, 0.1, "has a part without the upstream cotangent")
        yield probe.suspect("non-linear in cotangent", leaf, 0.4, "is not zero for an upstream of zero")
    else:
        if probe.equal(thrice - 3 * twice + 3 * once, nought):
            yield probe.suspect(
                "upstream squared", leaf, 0.1, "has a part that is quadratic in the upstream cotangent"
            )
        how = "is not linear in the upstream cotangent"
        if probe.equal(negative, once):
            how = "is the same for an upstream of the other sign: its absolute value is taken"
        elif probe.equal(large, once):
            how = "does not grow with the upstream cotangent: it is normalised"
        elif probe.equal(small * 1e3, s.want[leaf]):
            how = "is right for a small upstream cotangent alone: it is clipped or normalised"
        elif probe.equal(twice, 2 * once) and not probe.equal(negative, -once):
            how = "depends on the sign of the upstream cotangent"
        yield probe.suspect("non-linear in cotangent", leaf, 0.05, how)


def results(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The cotangent of one of several results is left out, or has the wrong sign or factor."""
    count = len(probe.samples[0].dy)
    if count < 2:
        return
    for k in range(count):
        pairs = []
        for s in probe.samples:
            alone = tuple(d if i == k else np.zeros_like(d) for i, d in enumerate(s.dy))
            got, want = probe.rule(s.leaves, alone), probe.truth(s.leaves, alone)
            if got is None or want is None:
                return
            # What the rule should make of this result, and what it makes of it.
            pairs.append((got[leaf], want[leaf], s.got[leaf] - got[leaf], s.want[leaf] - want[leaf]))
        if not all(probe.equal(rest, right) for _, _, rest, right in pairs):
            continue
        which = f"result {k}"
        if not any(np.any(got) for got, *_ in pairs):
            yield probe.suspect("output ignored", leaf, 0.0, f"leaves out the cotangent of {which}")
        elif all(probe.equal(got, -want) for got, want, *_ in pairs):
            yield probe.suspect("sign", leaf, 0.02, f"takes the cotangent of {which} with the wrong sign")
        else:
            yield probe.suspect("output ignored", leaf, 0.7, f"is right but for the cotangent of {which}")


def _additive(probe: Probe, leaf: int) -> bool | None:
    """Whether the rule of a sum of two cotangents is the sum of its answers; None where it cannot be told."""
    s, other = probe.samples[0], probe.samples[-1]
    sums = tuple(a + b for a, b in zip(s.dy, other.dy, strict=True))
    answers = [probe.rule(s.leaves, dy) for dy in (s.dy, other.dy, sums)]
    if any(a is None for a in answers):
        return None
    first, second, both = (a[leaf] for a in answers if a is not None)
    scale = max(np.max(np.abs(v), initial=0.0) for v in (first, second))
    return bool(np.max(np.abs(first + second - both), initial=0.0) <= 4 * probe.tolerance * scale)


def _times(dy: Arrays, c: float) -> Arrays:
    return tuple(c * d for d in dy)

"""The rule is linear in the incoming cotangent, and uses that of every result."""

from __future__ import annotations

import numpy as np

from jaxbackprop.diagnose import Mistake

from .._record import Observations, Record, finding
from .._report import Finding
from .._rounding import all_finite
from .._sampling import Kind
from .._session import CheckSession

# A kind, what the rule answers under it, what it should, and by how much the cotangent was scaled.
_Law = tuple[Kind, np.ndarray, np.ndarray, float]


def linearity(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Scaled, of the other sign, summed, zero: the gradient follows. An intended rule need not be linear."""
    given = {one.kind: one for one in observed.comparisons if one.kind.given}
    if session.subject.intended is not None or not {Kind.BASE, Kind.FRESH, Kind.SUM, Kind.ZERO} <= set(given):
        return []
    findings = []
    for leaf in range(len(session.layout.floats)):
        g = {kind: one.gradient(leaf) for kind, one in given.items()}
        if not all_finite(g.values()):
            continue
        scale = max(
            float(np.max(np.abs(v), initial=0.0)) for kind, v in g.items() if kind is not Kind.LARGE_SCALE
        )
        # A sum that cancels leaves rounding of the cotangents' size.
        blur = np.sum([given[kind].noise[leaf] for kind in (Kind.BASE, Kind.FRESH, Kind.SUM)], axis=0)
        tolerance = max(1e-9, 1e3 * session.eps * 64) * scale + 4 * blur + 1e-290
        broken = {
            kind
            for kind, got, want, size in laws(g, session.scale)
            if not np.all(np.abs(got - want) <= tolerance * size)
        }
        if broken:
            mistakes, how = explained(g, broken, tolerance * 1024)
            message = f"{session.names[leaf]} {how}"
            labels = tuple(mistake.value for mistake in mistakes)
            findings.append(finding(session, leaf, "linearity", message, mistakes=labels))
    return findings


def outputs_used(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Of several results, where one alone has a cotangent, the gradient is zero only if it should be."""
    alone = [one for one in observed.comparisons if one.kind is Kind.ONE_RESULT]
    findings = []
    for leaf in sorted(record.wrong):
        for k, one in enumerate(alone):
            due = np.any(np.abs(one.want[leaf]) > one.noise[leaf])
            others = (other.violation(leaf) for j, other in enumerate(alone) if j != k)
            if due and not np.any(one.gradient(leaf)) and all(v is None for v in others):
                message = f"{session.names[leaf]} ignores the cotangent of result {k}"
                mistakes = (Mistake.OUTPUT_IGNORED.value,)
                findings.append(finding(session, leaf, "linearity", message, mistakes=mistakes))
    return findings


def laws(g: dict[Kind, np.ndarray], scale: float) -> list[_Law]:
    """What a linear rule answers for a sum, for multiples and for nothing."""
    base = g[Kind.BASE]
    return [
        (Kind.SUM, g[Kind.SUM], base + g[Kind.FRESH], 1),
        (Kind.MINUS_TWICE, g[Kind.MINUS_TWICE], -2 * base, 1),
        (Kind.ZERO, g[Kind.ZERO], 0 * base, 1),
        (Kind.LARGE_SCALE, g[Kind.LARGE_SCALE], scale * base, scale),
        (Kind.SMALL_SCALE, g[Kind.SMALL_SCALE], base / scale, 1 / scale),
    ]


def explained(
    g: dict[Kind, np.ndarray], broken: set[Kind], tolerance: np.ndarray
) -> tuple[tuple[Mistake, ...], str]:
    """Mistakes that break some of the laws so, likeliest first, and how in words."""

    def same(a: np.ndarray, b: np.ndarray) -> bool:
        return bool(np.all(np.abs(a - b) <= tolerance))

    base, minus_twice = g[Kind.BASE], g[Kind.MINUS_TWICE]
    ignored, squared, other = Mistake.UPSTREAM_IGNORED, Mistake.UPSTREAM_SQUARED, Mistake.NON_LINEAR
    if same(minus_twice, base) and same(g[Kind.FRESH], base):
        return (ignored,), "does not depend on the incoming cotangent"
    if same(minus_twice, 4 * base):
        return (squared,), "grows with the square of the incoming cotangent"
    if same(minus_twice, -2 * base) and Kind.SUM not in broken:
        return (other,), "is not proportional to a large or small incoming cotangent"
    if Kind.ZERO in broken:
        return (ignored, other), "is not zero for an incoming cotangent of zero"
    return (other, squared, ignored), "is not linear in the incoming cotangent"

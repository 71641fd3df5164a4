"""Gradients are the truth's: autodiff of the oracle, or differences where it cannot be followed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._comparison import Comparison, Violation, worst_violation
from .._findings import finding
from .._kinks import kink, nearby_mean
from .._record import Observations, Record
from .._report import Finding
from .._rounding import all_finite
from .._sampling import Kind
from .._session import CheckSession

# How far out of the hull of the gradients around, relative to their spread, an answer at a kink still passes.
_OUTSIDE = 1e-2


def values(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """One finding a wrong leaf; records the comparison that shows it."""
    for leaf in range(len(session.layout.floats)):
        for one in observed.comparisons:
            if one.kind is Kind.BASE:
                record.compare("float64", leaf, one.gradient(leaf), one.want[leaf])
    judged = wrong_leaves(session, observed.comparisons, record)
    record.wrong.update({leaf: shown for leaf, (shown, _) in judged.items()})
    findings = []
    for leaf, (shown, worst) in judged.items():
        where = f" at redrawn arguments ({shown.kind})" if shown.redrawn else ""
        message = f"{session.names[leaf]} is wrong{where}"
        point = session.layout.args(shown.point.leaves)
        findings.append(finding(session, leaf, "value", message, worst, point=point))
    return findings


def wrong_leaves(
    session: CheckSession, comparisons: Sequence[Comparison], record: Record
) -> dict[int, tuple[Comparison, Violation]]:
    """For each wrong leaf the first comparison that shows it, and its worst entry there."""
    wrong = {}
    for leaf in range(len(session.layout.floats)):
        if is_setting(session, comparisons, leaf):
            if any(np.any(one.want[leaf]) for one in comparisons):
                where = f"argument {session.layout.arguments[leaf]}"
                record.note(f"{where} is a Python float and gets no gradient: taken as a setting")
        elif (judged := _judge(session, comparisons, leaf, record)) is not None:
            wrong[leaf] = judged
    return wrong


def is_setting(session: CheckSession, comparisons: Sequence[Comparison], leaf: int) -> bool:
    """Whether a leaf came as a Python float and gets no gradient: nobody means to differentiate by it."""
    return session.layout.from_python[leaf] and not any(np.any(one.got.gradient[leaf]) for one in comparisons)


def _judge(
    session: CheckSession, comparisons: Sequence[Comparison], leaf: int, record: Record
) -> tuple[Comparison, Violation] | None:
    """At a kink any generalised gradient passes, with a note."""
    for one in comparisons:
        found = one.violation(leaf)
        if one.kind.given and not np.all(np.isfinite(one.want[leaf])):
            found = _beside_nonfinite(session, one, leaf) or found
        if found is None:
            continue
        at_kink = kink(session, one, leaf)
        if at_kink is None or not at_kink.outside <= _OUTSIDE:
            return one, found
        if leaf not in record.kinks:
            other = "autodiff" if session.truth is not None else "differences"
            want = float(one.want[leaf][found.index])
            at = f" at {list(found.index)}" if found.index else ""
            record.note(
                f"{session.names[leaf]} is a valid subgradient at a kink ({one.kind} arguments): "
                f"{found.got:.4g}{at}, where {other} has {want:.4g}"
            )
        record.kinks.add(leaf)
    return None


def _beside_nonfinite(session: CheckSession, one: Comparison, leaf: int) -> Violation | None:
    """Where autodiff is not finite: the gradients around tell what a rule may answer."""
    if session.truth is None or one.kind not in (Kind.BASE, Kind.FRESH):
        return None
    if not all_finite(one.y):
        return None
    mean, spread = nearby_mean(session.truth, one.point, leaf)
    if not np.all(np.isfinite(mean)):
        return None
    got = one.gradient(leaf)
    if np.all(np.isfinite(got)) and kink(session, one, leaf) is not None:
        # The caller asks for the hull.
        return worst_violation(got, mean, np.zeros_like(mean))
    unknown = ~np.isfinite(one.want[leaf])
    size = float(np.max(np.abs(mean), initial=0.0))
    return worst_violation(np.where(unknown, got, mean), mean, 2 * spread + 1e-3 * size + 1e-290)

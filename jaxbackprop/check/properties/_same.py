"""Two answers of one rule that should be the same: two calls, and compiled beside operation by operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop._float64 import to_numpy64

from .._attempt import attempt
from .._comparison import worst_violation
from .._findings import finding
from .._record import Observations, Record
from .._report import Finding
from .._rounding import Blur
from .._session import CheckSession


def differing(
    record: Record,
    got: Sequence[Any],
    want: Sequence[Any],
    noise: Sequence[float],
    *,
    what: str,
    how: str,
    mistakes: tuple[str, ...] = (),
) -> list[Finding]:
    """A finding for each leaf in which two gradients differ by more than rounding.

    Args:
        record: is told of both.
        got: one gradient a differentiable leaf.
        want: those without the transformation.
        noise: how far apart rounding may put them, a number a leaf.
        what: the property in question.
        how: the transformation, as messages call it.
        mistakes: labels of what it looks like.
    """
    session, findings = record.session, []
    for leaf, (g, w, n) in enumerate(zip(got, want, noise, strict=True)):
        g, w = to_numpy64(g), to_numpy64(w)
        record.compare(what, leaf, g, w, 0.0)
        if g.shape != w.shape:
            message = f"{session.names[leaf]} has shape {g.shape} {how}, {w.shape} without"
            findings.append(finding(session, leaf, what, message, mistakes=mistakes))
        elif worst := worst_violation(g, w, n):
            said = f"{worst.got:.6g} instead of {worst.want:.6g} at {list(worst.index)}"
            message = f"{session.names[leaf]} is another {how}: {said}"
            findings.append(finding(session, leaf, what, message, worst, mistakes=mistakes))
    return findings


def determinism(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """The first leaf that changes from call to call."""
    again = session.rule_native.run([session.base])[0]
    for leaf, (a, b) in enumerate(zip(observed.base.gradient, again.gradient, strict=True)):
        if a.tobytes() != b.tobytes() and not np.array_equal(to_numpy64(a), to_numpy64(b), equal_nan=True):
            message = f"{session.names[leaf]} changes from call to call"
            return [finding(session, leaf, "determinism", message)]
    return []


def jit(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Within a few units in the last place; a quick check does not ask."""
    if not session.rule_native.traced or (session.quick and not session.figures):
        return []
    with session.rule_native.setting():
        ran = attempt(lambda: session.rule_native.call(session.base))
    if ran.error is not None:
        return [Finding("jit", f"the rule runs under jit but not without: {first_line(ran.error)}")]
    compiled, apart = observed.base, ran.value

    def judge(blur: Blur) -> list[Finding]:
        return differing(record, compiled.gradient, apart.gradient, blur.noise, what="jit", how="under jit")

    return session.judge_with_rounding(session.base, compiled, judge)

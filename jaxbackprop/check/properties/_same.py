"""Two answers of one rule that should be the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxbackprop._float64 import to_numpy64

from .._comparison import worst_violation
from .._findings import finding
from .._record import Record
from .._report import Finding


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

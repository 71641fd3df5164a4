"""The evidence against a wrong rule, and its findings with the mistakes that it looks like."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxbackprop._float64 import Arrays, to_numpy64
from jaxbackprop.diagnose import Evidence, Mistake, Sample, Suspicion, diagnose

from ._attempt import attempt
from ._comparison import Comparison
from ._complex_mistakes import among_complex, holds_complex
from ._evaluator import Evaluator, Point, autodiff_pull
from ._record import leaf_of
from ._report import Finding
from ._rounding import all_finite
from ._sampling import Kind
from ._session import CheckSession

_SAMPLES = 6
# For each wrong leaf, a comparison that shows it.
Shown = Mapping[int, Comparison]


def diagnosed(
    session: CheckSession, findings: list[Finding], comparisons: Sequence[Comparison], shown: Shown
) -> list[Finding]:
    """Findings with the mistakes they look like, and their sentences."""
    findings = [_overflown(session, found, comparisons, shown) for found in findings]
    if not any(_unnamed(found) for found in findings):
        return findings
    evidence = gather(session, comparisons, shown)
    suspicions = [] if evidence is None else diagnose(evidence, quick=session.quick and session.traced)
    if holds_complex(session):
        suspicions = among_complex(session, comparisons, suspicions)
    return named(session, findings, suspicions)


def named(
    session: CheckSession, findings: Sequence[Finding], suspicions: Sequence[Suspicion]
) -> list[Finding]:
    """Findings with the mistakes that are suspected of their leaves.

    A mistake upstream of several arguments is plainest at one of them, and that one comes first.
    """

    def of_leaf(found: Finding) -> list[Suspicion]:
        return [s for s in suspicions if s.leaf in (None, leaf_of(session, found))]

    def doubt(found: Finding) -> float:
        if found.property != "value":
            return 0.0
        return next((s.cost for s in of_leaf(found)), 1.0)

    known = [_with_mistakes(found, of_leaf(found)) if _unnamed(found) else found for found in findings]
    return sorted(known, key=doubt)


def _unnamed(found: Finding) -> bool:
    return found.property == "value" and not found.mistakes


def _with_mistakes(found: Finding, suspicions: Sequence[Suspicion]) -> Finding:
    if not suspicions:
        return found
    labels = tuple(dict.fromkeys(s.label.value for s in suspicions))
    first = suspicions[0]
    return dataclasses.replace(found, mistakes=labels[:5], named_by=first.stage, message=first.message)


def _overflown(
    session: CheckSession, found: Finding, comparisons: Sequence[Comparison], shown: Shown
) -> Finding:
    """A finding of a value that is right wherever it is finite."""
    leaf = leaf_of(session, found)
    if found.property != "value" or leaf is None:
        return found
    wrong = [one for one in comparisons if one.violation(leaf) is not None]
    # Where autodiff is not finite either, the gradients around have judged one comparison alone.
    wrong = wrong or ([shown[leaf]] if leaf in shown else [])
    if not wrong or any(np.all(np.isfinite(one.gradient(leaf))) for one in wrong):
        return found
    where = ", ".join(dict.fromkeys(one.kind for one in wrong if one.redrawn))
    at = "" if any(not one.redrawn for one in wrong) else f" at redrawn arguments ({where})"
    message = f"{session.names[leaf]} is not finite where it should be{at or _where(session, leaf, wrong[0])}"
    mistakes = (Mistake.UNSTABLE.value, Mistake.PARTLY_WRONG.value)
    # Far out it is a matter of range; at the caller's own arguments the value is simply wrong.
    what = "precision" if at else "value"
    return dataclasses.replace(found, property=what, mistakes=mistakes, message=message)


def _where(session: CheckSession, leaf: int, one: Comparison) -> str:
    """At which value of the argument a gradient is not finite; "" where at no single one."""
    if session.layout.is_pairs(leaf):
        return ""
    x, bad = session.layout.floats_of(one.point.leaves)[leaf], ~np.isfinite(one.gradient(leaf))
    values = np.unique(np.asarray(x, np.float64)[bad])
    name = session.parameters(len(session.layout.args(one.point.leaves)))[session.layout.arguments[leaf]]
    return f", at {name}{session.layout.paths[leaf]} = {values[0]:.4g}" if len(values) == 1 else ""


def gather(session: CheckSession, comparisons: Sequence[Comparison], shown: Shown) -> Evidence | None:
    """The evidence against a rule; None where there is too little."""
    base = [one for one in comparisons if one.kind in (Kind.BASE, Kind.FRESH)]
    # Of large arguments few points are to be had.
    enough = 2 if session.large else 3
    if len(base) < enough - 1:
        return None
    redrawn = sorted((one for one in comparisons if one.redrawn), key=lambda one: one.kind.plainness or 0)
    chosen = [*base, *redrawn[: _SAMPLES - 2]]
    chosen += [one for one in shown.values() if one.redrawn and one not in chosen][:2]
    samples = tuple(
        Sample(c.point.leaves, c.point.dy, c.y, tuple(map(to_numpy64, c.got.gradient)), c.want, c.noise)
        for c in chosen
        if all_finite((*c.y, *c.want))
    )
    if len(samples) < enough:
        return None
    rule, truth = session.rule, session.truth
    traced = truth is not None and rule.traced and truth.traced and not holds_complex(session)

    def by_differences(leaves: tuple[Any, ...], dy: Arrays) -> Arrays:
        return session.differences.entries(Point(leaves, dy))[0]

    return Evidence(
        names=tuple(session.names),
        slots=session.layout.floats,
        wrong=tuple(sorted(shown)),
        samples=samples,
        rule=_asked(rule),
        truth=_asked(truth) if truth is not None else by_differences,
        rule_program=_program(session, rule) if traced else None,
        truth_program=_program(session, truth) if traced and truth is not None else None,
        settings=_settings(session),
    )


def _settings(session: CheckSession) -> tuple[tuple[str, float], ...]:
    args, kwargs = session.layout.args(session.base.leaves), session.subject.given.kwargs
    named = [*zip(session.parameters(len(args)), args, strict=True), *kwargs.items()]
    return tuple(
        (name, float(value))
        for name, value in named
        if isinstance(value, int | float) and not isinstance(value, bool | np.generic)
    )


def _program(session: CheckSession, evaluator: Evaluator) -> Callable[..., tuple[Any, ...]]:
    pull = evaluator.pull
    if session.subject.forward and evaluator is session.rule:
        # The same by reverse mode, which is one program and not one an entry.
        pull = autodiff_pull(session.layout, session.subject.value)
    return lambda leaves, dy: pull(leaves, dy).gradient


def _asked(evaluator: Evaluator) -> Callable[[tuple[Any, ...], Arrays], Arrays]:
    def gradient(leaves: tuple[Any, ...], dy: Arrays) -> Arrays:
        ran = attempt(lambda: evaluator.run([Point(leaves, dy)])[0].gradient)
        if ran.error is not None:
            # Where the function refuses to be asked nothing is known.
            return tuple(np.full(np.shape(leaf), np.nan) for leaf in evaluator.layout.floats_of(leaves))
        return tuple(map(to_numpy64, ran.value))

    return gradient

"""The evidence against a wrong rule, and its findings with the mistakes that it looks like."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxbackprop._float64 import Arrays, to_numpy64
from jaxbackprop.diagnose import Evidence, Mistake, Sample, Suspicion, diagnose

from ._evaluator import Machine, Spot
from ._findings import leaf_of
from ._report import Finding
from ._session import Look, Trial
from .properties._values import mismatch

# Redraws that show most without being extreme, the plainest first.
_PLAIN = (
    "other",
    "generic",
    "positive",
    "flipped",
    "negative",
    "tied",
    "repeated",
    "small",
    "large",
    "saturated",
)
_SAMPLES = 6


def diagnosed(
    trial: Trial, findings: list[Finding], looks: Sequence[Look], shown: dict[int, Look]
) -> list[Finding]:
    """Findings with the mistakes they look like, and their sentences."""
    findings = [_overflown(trial, found, looks) for found in findings]
    if all(found.property != "value" or found.mistakes for found in findings):
        return findings
    evidence = gather(trial, looks, shown)
    suspicions = [] if evidence is None else diagnose(evidence, quick=trial.quick and trial.traced)
    # A mistake upstream of several arguments is plainest at one of them, and that one speaks first.
    return sorted(
        (_explained(trial, found, suspicions) for found in findings),
        key=lambda found: _doubt(trial, found, suspicions),
    )


def _doubt(trial: Trial, found: Finding, suspicions: Sequence[Suspicion]) -> float:
    """How much better another finding's mistake is known, from 0 on."""
    if found.property != "value":
        return 0.0
    return next((s.cost for s in suspicions if s.leaf in (None, leaf_of(trial, found))), 1.0)


def _overflown(trial: Trial, found: Finding, looks: Sequence[Look]) -> Finding:
    """A finding of a value that is right wherever it is finite."""
    leaf = leaf_of(trial, found)
    if found.property != "value" or leaf is None:
        return found
    wrong = [look for look in looks if mismatch(look, leaf) is not None]
    if not wrong or any(np.all(np.isfinite(to_numpy64(look.got.gradient[leaf]))) for look in wrong):
        return found
    where = ", ".join(dict.fromkeys(look.kind for look in wrong if look.redrawn))
    at = "" if any(not look.redrawn for look in wrong) else f" at redrawn arguments ({where})"
    message = f"{trial.names[leaf]} is not finite where it should be{at}"
    mistakes = (Mistake.UNSTABLE.value, Mistake.PARTLY_WRONG.value)
    # Far out it is a matter of range; at the caller's own arguments the value is simply wrong.
    what = "precision" if at else "value"
    return dataclasses.replace(found, property=what, mistakes=mistakes, message=message)


def _explained(trial: Trial, found: Finding, suspicions: Sequence[Suspicion]) -> Finding:
    if found.property != "value" or found.mistakes:
        return found
    mine = [s for s in suspicions if s.leaf in (None, leaf_of(trial, found))]
    if not mine:
        return found
    labels = tuple(dict.fromkeys(Mistake(s.label).value for s in mine))
    return dataclasses.replace(found, mistakes=labels[:5], named_by=mine[0].stage, message=mine[0].message)


def gather(trial: Trial, looks: Sequence[Look], shown: dict[int, Look]) -> Evidence | None:
    """The evidence against a rule; None where there is too little."""
    base = [look for look in looks if look.kind in ("base", "fresh")]
    if len(base) < 2:
        return None
    redrawn = sorted((look for look in looks if look.redrawn), key=lambda look: _PLAIN.index(look.kind))
    chosen = [*base, *redrawn[: _SAMPLES - 2]]
    chosen += [look for look in shown.values() if look.redrawn and look not in chosen][:2]
    samples = tuple(_sample(look) for look in chosen if _finite(look))
    if len(samples) < 3:
        return None
    rule, truth = trial.rule, trial.truth
    traced = truth is not None and rule.traced and truth.traced
    return Evidence(
        names=tuple(trial.names),
        slots=trial.layout.floats,
        wrong=tuple(sorted(shown)),
        samples=samples,
        rule=_asked(rule),
        truth=_by_differences(trial) if truth is None else _asked(truth),
        rule_program=(lambda leaves, dy: rule.pull(leaves, dy)[2]) if traced else None,
        settings=_settings(trial),
        truth_program=(lambda leaves, dy: truth.pull(leaves, dy)[2])
        if traced and truth is not None
        else None,
    )


def _finite(look: Look) -> bool:
    return all(np.all(np.isfinite(v)) for v in (*look.y, *look.want))


def _sample(look: Look) -> Sample:
    got = tuple(to_numpy64(g) for g in look.got.gradient)
    return Sample(look.spot.leaves, look.spot.dy, look.y, got, look.want, look.noise)


def _settings(trial: Trial) -> tuple[tuple[str, float], ...]:
    args, kwargs = trial.layout.args(trial.base.leaves), trial.subject.given[2]
    named = [*zip(trial.parameters(len(args)), args, strict=True), *kwargs.items()]
    return tuple(
        (name, float(value))
        for name, value in named
        if isinstance(value, int | float) and not isinstance(value, bool | np.generic)
    )


def _by_differences(trial: Trial) -> Callable[[tuple[Any, ...], Arrays], Arrays]:
    def ask(leaves: tuple[Any, ...], dy: Arrays) -> Arrays:
        return trial.differences.entries(Spot(tuple(leaves), tuple(dy)))[0]

    return ask


def _asked(machine: Machine) -> Callable[[tuple[Any, ...], Arrays], Arrays]:
    def ask(leaves: tuple[Any, ...], dy: Arrays) -> Arrays:
        return tuple(to_numpy64(g) for g in machine.run([Spot(tuple(leaves), tuple(dy))])[0].gradient)

    return ask

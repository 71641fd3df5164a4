"""One check from its arguments to its report."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxbackprop._errors import first_line

from ._attempt import attempt
from ._budget import OutOfTime, go_on, limited, within
from ._comparison import Comparison, compare
from ._diagnosis import diagnosed
from ._layout import CannotCheck
from ._merge import merged
from ._opening import open_session
from ._raising import quiet_callbacks, run_rule
from ._record import Compared, Observations, Record, leaf_of
from ._report import Finding, Report
from ._reproducer import shown_by, simplified
from ._sampling import Kind, Sampled
from ._session import CheckSession
from ._shown_at import shown_at
from ._slopes import is_no_derivative
from ._subject import Subject
from .properties import OF_TANGENTS, PROPERTIES, Property, structure

_EFFORTS = ("quick", "thorough")
# The most serious first.
_ORDER = "structure jit forward linearity transpose value vmap precision scan checkpoint determinism".split()


@dataclasses.dataclass(frozen=True)
class Examination:
    """A report, and the numbers it rests on.

    Attributes:
        report: the verdict.
        compared: every gradient beside what it was held against, at points that are not extreme.
        arguments: for each differentiable leaf, the position of its argument.
        base: the caller's arguments with their cotangents, in float64, and the rule's answer there.
        kept: bytes of residuals in the arguments' own dtypes, the rule's and autodiff's; None if unknown.
        kinks: for each differentiable leaf, whether it was at a kink and right.
    """

    report: Report
    compared: tuple[Compared, ...]
    arguments: tuple[int, ...]
    base: Comparison | None
    kept: tuple[int, int] | None
    kinks: tuple[bool, ...]


def examine_subject(
    subject: Subject,
    args: tuple[Any, ...],
    *,
    domains: Any = None,
    in_axes: Any = 0,
    nondiff: Any = (),
    effort: str = "thorough",
    budget: float | None = None,
    seed: int = 0,
    figures: bool = False,
) -> Examination:
    """Judges a rule; with `figures`, every number behind the verdict is kept. Else see `check_vjp`."""
    if effort not in _EFFORTS:
        raise CannotCheck(f"effort must be 'quick' or 'thorough', got {effort!r}")
    if not isinstance(seed, int) or seed < 0:
        raise CannotCheck(f"seed must be a whole number from 0 on, got {seed!r}")
    # What the caller has set to hunt for nans would raise where a nan is what is looked for.
    plainly = jax.debug_nans(False), jax.debug_infs(False), jax.disable_jit(False), quiet_callbacks()
    with contextlib.ExitStack() as stack:
        for setting in (*plainly, within(budget)):
            stack.enter_context(setting)
        quick = effort == "quick"
        try:
            session = open_session(
                subject,
                args,
                domains=domains,
                in_axes=in_axes,
                nondiff=nondiff,
                quick=quick,
                figures=figures,
                seed=seed,
            )
            return _examined(session)
        except OutOfTime:
            said = f"the budget of {budget:g} s ended before a gradient of {subject.name} had been judged"
            raise CannotCheck(said) from None


def _examined(session: CheckSession) -> Examination:
    findings, notes = structure(session), list(session.notes)
    if session.first_run.error is not None:
        return _result(Record(session, notes), findings, None)
    points = session.sample.points
    if session.large:
        notes.append("the arguments are large: looked at few points")
    run = run_rule(session, points)
    session, findings, notes = run.session, [*findings, *run.findings], [*notes, *run.notes]
    if not run.answers:
        return _result(Record(session, notes), findings, None)
    compared = attempt(lambda: _compared(session, points))
    if compared.error is not None:
        notes.append(f"the rule cannot be run in float64: {first_line(compared.error)}")
        session = dataclasses.replace(session, rule=session.rule_native)
        compared = attempt(lambda: _compared(session, points))
    comparisons = tuple(compared.value)
    if is_no_derivative(session, comparisons):
        notes.append(
            "autodiff of the function is not its derivative (it goes through comparisons or drops a part): "
            "differences alone judge; a rule that is meant otherwise is stated by oracle_vjp"
        )
        session = dataclasses.replace(session, truth=None, truth_native=None)
        comparisons = tuple(_compared(session, points))
    if all(one.kind is not Kind.BASE for one in comparisons):
        notes.append("the function is not finite at the given arguments: judged at redrawn ones")
    own = {id(point): answer for (_, point), answer in zip(points, run.answers, strict=True)}
    observed = Observations(comparisons, tuple(own[id(one.point)] for one in comparisons), run.answers[0])
    record = Record(session, notes, points=len(comparisons))
    properties = OF_TANGENTS if session.subject.forward else PROPERTIES
    for at, holds in enumerate(properties):
        try:
            ran = attempt(functools.partial(_asked, holds, session, observed, record))
        except OutOfTime:
            left = ", ".join(p.__name__.replace("_", " ") for p in properties[at:])
            record.note(f"the budget is spent; not looked at: {left}")
            break
        if ran.error is not None and not findings:
            raise ran.error
        if ran.error is not None:
            record.note(f"not everything was looked at: {first_line(ran.error)}")
            break
        findings += ran.value
    if not findings:
        _must_have_judged(session, comparisons)
    if session.narrows and session.rule is not session.rule_native:
        record.note(f"computes in {session.narrows} whatever it is given: judged at its rounding")
    if record.wrong:
        findings = _named(findings, observed, record)
    return _result(record, findings, observed)


def _compared(session: CheckSession, points: Sequence[Sampled]) -> list[Comparison]:
    """All points at once; where time is short the caller's arguments come first, and may stay alone."""
    if not limited():
        return compare(session, points)
    found = compare(session, points[:1])
    with contextlib.suppress(OutOfTime):
        found += compare(session, points[1:])
    return found


def _asked(holds: Property, *given: Any) -> list[Finding]:
    go_on()
    return holds(*given)


def _must_have_judged(session: CheckSession, comparisons: Sequence[Comparison]) -> None:
    """Raises CannotCheck where of some gradient nothing is known at any point: it cannot be called right."""
    if not comparisons:
        where = "neither at the given arguments nor at redrawn ones"
        raise CannotCheck(f"{session.subject.name} is finite {where}")
    for leaf, name in enumerate(session.names):
        empty = not np.size(session.layout.floats_of(session.base.leaves)[leaf])
        if not empty and not any(np.any(np.isfinite(one.want[leaf])) for one in comparisons):
            how = "autodiff is not finite" if session.truth is not None else "differences do not converge"
            raise CannotCheck(f"{name} cannot be judged: {how} at any of {len(comparisons)} points")


def _named(findings: list[Finding], observed: Observations, record: Record) -> list[Finding]:
    """Findings with the mistakes they look like, at the simplest points that show them."""
    session, comparisons, wrong = record.session, observed.comparisons, record.wrong
    try:
        return [simplified(session, f, wrong) for f in diagnosed(session, findings, comparisons, wrong)]
    except OutOfTime:
        record.note("the budget is spent; not looked at: which mistake it is")
        return findings
    except Exception as error:
        # Whatever fails in naming a mistake, its programs or ours: what was found wrong stays wrong.
        record.note(f"the mistake could not be looked into: {first_line(error)}")
        return findings


def _result(record: Record, findings: list[Finding], observed: Observations | None) -> Examination:
    session = record.session
    findings = merged(sorted(findings, key=lambda found: _ORDER.index(found.property)))
    name, snippet = session.subject.name, shown_by(session, findings)
    for at, found in enumerate(findings):
        leaf = leaf_of(session, found)
        shown = None if leaf is None else record.wrong.get(leaf)
        # The caller's own arguments in round numbers stand in the code.
        if not snippet or shown is None or shown.redrawn:
            findings[at] = dataclasses.replace(found, shown_at=shown_at(session, found))
    report = Report(name, tuple(findings), tuple(record.notes), record.points, snippet)
    base = observed.comparisons[0] if observed is not None and observed.comparisons else None
    kinks = tuple(leaf in record.kinks for leaf in range(len(session.layout.floats)))
    return Examination(report, tuple(record.compared), session.layout.arguments, base, record.kept, kinks)

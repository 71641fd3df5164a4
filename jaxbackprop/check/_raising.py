"""What becomes of functions and rules that raise when they are run: at some redraws, or once compiled."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Iterator, Sequence

from jaxbackprop._errors import first_line

from ._attempt import attempt
from ._evaluator import Answer, Evaluator, value_pull
from ._layout import CannotCheck
from ._record import raised
from ._report import Finding
from ._rounding import all_finite
from ._sampling import FAR_OUT, Sampled
from ._session import CheckSession


@dataclasses.dataclass(frozen=True)
class Run:
    """A rule in the arguments' own dtypes at every point of a session."""

    session: CheckSession  # another one where nothing of it can be compiled
    answers: list[Answer]  # a point each; none where the rule raises at the caller's arguments
    findings: list[Finding]
    notes: list[str]


@contextlib.contextmanager
def quiet_callbacks() -> Iterator[None]:
    """Around points that a function may refuse: jax writes the traceback of every callback that raises."""
    logger = logging.getLogger("jax._src.callback")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def run_rule(session: CheckSession, points: Sequence[Sampled]) -> Run:
    """Runs the rule at the points of a session, the caller's first.

    Redraws at which the function raises say nothing of its rule, as those at which it is not finite. Raises
    CannotCheck where the function raises at the caller's arguments.
    """
    at = [point for _, point in points]
    findings: list[Finding] = []
    notes: list[str] = []
    ran = attempt(lambda: session.rule_native.run(at))
    if ran.error is not None and session.rule_native.traced:
        apart = _operation_by_operation(session)
        again = attempt(lambda: apart.rule_native.run(at))
        if again.error is None:
            function = function_alone(session)
            if (refused := attempt(lambda: function.run(at[:1])).error) is not None:
                notes.append(f"cannot be compiled, run operation by operation: {first_line(refused)}")
            elif session.subject.rule is None or not session.layout.is_numpy:
                # A pair in NumPy need not be compiled: it may look as if it could be traced.
                said = f"the rule cannot be compiled, though the function can: {first_line(ran.error)}"
                findings.append(Finding("jit", said))
            session, ran = apart, again
    error = ran.error if ran.error is not None else ran.value[0].error
    if error is not None:
        function = function_alone(session)
        if (refused := attempt(lambda: function.run(at[:1])).error) is not None:
            said = f"{session.subject.name} raises at these arguments: {first_line(refused)}"
            raise CannotCheck(said) from refused
        return Run(session, [], [*findings, raised(error)], notes)
    redrawn = [(one, a) for one, a in zip(points, ran.value, strict=True) if not one.kind.given]
    refused_at = [(one, a.error) for one, a in redrawn if a.error is not None]
    own = _by_the_rule_alone(session, [one for one, _ in refused_at])
    if own:
        said = next(first_line(e) for one, e in refused_at if one is own[0])
        where = ", ".join(one.kind for one in own)
        message = f"the rule raises at redrawn arguments ({where}) where the function does not: {said}"
        point = session.layout.args(own[0].point.leaves)
        findings.append(Finding("structure", message, point=point))
    if len(refused_at) > len(own):
        said = next(first_line(e) for one, e in refused_at if one not in own)
        left_out = f"raises at {len(refused_at) - len(own)} of {len(redrawn)} redrawn arguments"
        notes.append(f"{left_out}, which are left out: {said}")
    return Run(session, ran.value, findings, notes)


def function_alone(session: CheckSession) -> Evaluator:
    """The function without its rule, as the rule is run."""
    native = session.rule_native
    pull = value_pull(session.layout, session.subject.value)
    return Evaluator(pull, session.layout, traced=native.traced, x64=native.x64)


def _by_the_rule_alone(session: CheckSession, refused: list[Sampled]) -> list[Sampled]:
    """Those points of everyday size at which the function does not raise and has a gradient."""
    # Far out alone a rule may be at its limits before its function is.
    fine = [one for one in refused if one.kind not in FAR_OUT]
    for judge in filter(None, (function_alone(session), session.truth_native)):
        if fine:
            ran = attempt(functools.partial(judge.run, [one.point for one in fine]))
            answers = [] if ran.error is not None else ran.value
            fine = [one for one, a in zip(fine, answers, strict=False) if all_finite((*a.y, *a.gradient))]
    if session.truth is None:
        found = [attempt(functools.partial(session.differences.entries, one.point)) for one in fine]
        known = [ran.error is None and all_finite(ran.value[0]) for ran in found]
        fine = [one for one, is_known in zip(fine, known, strict=True) if is_known]
    return fine


def _operation_by_operation(session: CheckSession) -> CheckSession:
    return dataclasses.replace(
        session,
        traced=False,
        rule=session.rule.through_jit(False),
        rule_native=session.rule_native.through_jit(False),
    )

"""Gradients are the truth's: autodiff of the oracle, or differences where it cannot be followed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop.diagnose import Mistake

from .._attempt import attempt
from .._comparison import Comparison, Violation, compare, worst_violation
from .._evaluator import Point
from .._kinks import kink, kink_together, nearby_mean
from .._layout import CannotCheck, Layout
from .._raising import function_alone
from .._record import Observations, Record, as_seen, finding, raised
from .._report import Finding
from .._rounding import all_finite
from .._sampling import Kind, Sampled, cotangents, larger_shapes, redraws
from .._session import VERY_MANY, CheckSession
from .._slopes import slopes
from .._strip import holds
from ._visible import visible

_LARGER = {Kind.GENERIC: Kind.LARGER_GENERIC, Kind.FLIPPED: Kind.LARGER_FLIPPED}
_BATCH_OF_ONE = (Mistake.BATCH_OF_ONE.value,)
# How far out of the hull of the gradients around, relative to their spread, an answer at a kink still passes.
_OUTSIDE = 1e-2
# The same of several leaves together, whose hull has more corners to be found.
_OUTSIDE_TOGETHER = 5e-2


def values(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """One finding a wrong leaf; records the comparison that shows it."""
    for leaf in range(len(session.layout.floats)):
        for one in observed.comparisons:
            if one.kind is Kind.BASE:
                record.compare("float64", leaf, one.gradient(leaf), one.want[leaf])
    judged = wrong_leaves(session, observed.comparisons, record)
    record.wrong.update({leaf: shown for leaf, (shown, _) in judged.items()})
    _note_without_gradient(session, observed, record)
    findings = []
    for leaf, (shown, worst) in judged.items():
        where = f" at redrawn arguments ({shown.kind})" if shown.redrawn else ""
        message = f"{session.names[leaf]} is wrong{where}"
        point = session.layout.args(shown.point.leaves)
        findings.append(finding(session, leaf, "value", message, worst, point=point))
    return [*findings, *_together(session, observed.comparisons, record)]


def _together(session: CheckSession, comparisons: Sequence[Comparison], record: Record) -> list[Finding]:
    judged = together(session, comparisons, record)
    if judged is None:
        return []
    shown, differ = judged
    record.wrong.update(dict.fromkeys(differ, shown))
    where = f" ({shown.kind})" if shown.redrawn else ""
    point, mistakes = session.layout.args(shown.point.leaves), (Mistake.WRONG_WINNER.value,)
    findings = []
    for leaf, worst in differ.items():
        said = (
            f"{session.names[leaf]} is a valid subgradient at a kink{where}, but not together with the others"
        )
        findings.append(finding(session, leaf, "value", said, worst, mistakes=mistakes, point=point))
    return findings


def _note_without_gradient(session: CheckSession, observed: Observations, record: Record) -> None:
    """Notes arguments that get no gradient at all, which may be meant, beside others that do."""
    arguments = session.layout.arguments
    none = {
        at
        for at in set(arguments)
        if all(
            not np.any(one.gradient(leaf)) and leaf in record.wrong
            for leaf, owner in enumerate(arguments)
            for one in observed.comparisons
            if owner == at
        )
    }
    if none and none != set(arguments):
        named = ", ".join(map(str, sorted(none)))
        record.note(
            f"argument {named} gets no gradient: where that is meant, pass nondiff={tuple(sorted(none))}"
        )


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


def together(
    session: CheckSession, comparisons: Sequence[Comparison], record: Record
) -> tuple[Comparison, dict[int, Violation]] | None:
    """Leaves whose gradients are valid at a kink each, but not together, and what shows it."""
    left = [leaf for leaf in range(len(session.layout.floats)) if leaf not in record.wrong]
    if len(left) < 2 or not record.kinks.intersection(left):
        return None
    for one in comparisons:
        if not (one.redrawn or one.kind in (Kind.BASE, Kind.FRESH)):
            continue
        differ = {leaf: found for leaf in left if (found := one.violation(leaf)) is not None}
        if not record.kinks.intersection(differ):
            continue
        at_kink = kink_together(session, one, left)
        if at_kink is not None and at_kink.outside > _OUTSIDE_TOGETHER:
            return one, differ
    return None


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
        if found is None or not visible(session, one, leaf, record):
            continue
        at_kink = kink(session, one, leaf)
        if at_kink is None or not at_kink.outside <= _OUTSIDE:
            return one, found
        if leaf not in record.kinks:
            other = "autodiff" if session.truth is not None else "differences"
            seen = as_seen(session, leaf, found)
            at = f" at {list(seen.index)}" if seen.index else ""
            record.note(
                f"{session.names[leaf]} is a valid subgradient at a kink ({one.kind} arguments): "
                f"{seen.got:.4g}{at}, where {other} has {seen.want:.4g}"
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
    got = one.gradient(leaf)
    if not np.all(np.isfinite(mean)):
        return _nan_on_a_slope(session, one, leaf)
    if np.all(np.isfinite(got)) and kink(session, one, leaf) is not None:
        # The caller asks for the hull.
        return worst_violation(got, mean, np.zeros_like(mean))
    unknown = ~np.isfinite(one.want[leaf])
    size = float(np.max(np.abs(mean), initial=0.0))
    return worst_violation(np.where(unknown, got, mean), mean, 2 * spread + 1e-3 * size + 1e-290)


def _nan_on_a_slope(session: CheckSession, one: Comparison, leaf: int) -> Violation | None:
    """Where autodiff is not finite all around, as behind a `where`: differences tell of entries like that."""
    got = one.gradient(leaf)
    if session.large or np.all(np.isfinite(got)):
        return None
    ran = attempt(lambda: session.differences.entries(one.point))
    if ran.error is not None:
        return None
    want, noise = (each[leaf] for each in ran.value)
    return worst_violation(np.where(np.isfinite(got), want, got), want, noise)


def larger_batch(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Axes of length one are made longer, in the first way that both function and rule take."""
    if record.wrong or not session.traced:
        return []
    failure: Exception | None = None
    for points in _larger_points(session):
        ran = attempt(functools.partial(compare, session, points))
        if ran.error is None:
            record.points += len(ran.value)
            return _findings(session, ran.value, record)
        # A row of biases must not grow with the batch: another way to grow may be right.
        at = [point for _, point in points]
        if attempt(functools.partial(function_alone(session).run, at)).error is None:
            failure = failure or ran.error
    return [] if failure is None else [raised(failure, "for a larger batch", _BATCH_OF_ONE)]


def _findings(session: CheckSession, comparisons: list[Comparison], record: Record) -> list[Finding]:
    findings = []
    for leaf, (shown, worst) in wrong_leaves(session, comparisons, record).items():
        message = f"{session.names[leaf]} is right for a batch of one and wrong for a larger one"
        point = session.layout.args(shown.point.leaves)
        findings.append(finding(session, leaf, "value", message, worst, mistakes=_BATCH_OF_ONE, point=point))
    return findings


def _larger_points(session: CheckSession) -> Iterator[list[Sampled]]:
    """Redrawn arguments whose axes of length one are longer, in each way the function takes them."""
    layout, functions = session.layout, (session.subject.value, session.subject.plain)
    for shapes in larger_shapes(layout):
        structs = tuple(
            jax.ShapeDtypeStruct(s, leaf.dtype) for s, leaf in zip(shapes, layout.leaves, strict=True)
        )
        with session.native_setting():
            value, plain = (attempt(functools.partial(_result_shapes, layout, f, structs)) for f in functions)
        if value.error or plain.error or value.value != plain.value:
            continue
        rng = np.random.default_rng(3)
        try:
            drawn = list(redraws(layout, session.domains, rng, tuple(_LARGER), shapes))
        except CannotCheck:
            # The caller's own function draws for the caller's shapes alone.
            continue
        yield [Sampled(_LARGER[one.kind], Point(one.leaves, cotangents(value.value, rng))) for one in drawn]


def _result_shapes(layout: Layout, f: Callable[..., Any], structs: Any) -> list[tuple[int, ...]]:
    return [y.shape for y in jax.eval_shape(lambda *leaves: layout.results(f, leaves), *structs)]


def differences(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """The first leaf whose gradient is autodiff's and yet no slope of the function."""
    if session.truth is None or session.subject.intended is not None:
        return []
    if session.quick and (session.subject.oracle is None or session.numbers > VERY_MANY):
        return []
    kinds = (Kind.BASE,) if session.quick else (Kind.BASE, Kind.OTHER)
    for one in observed.comparisons:
        if one.kind not in kinds or not all_finite(one.want):
            continue
        ran = attempt(functools.partial(session.differences.anywhere, one.point))
        if ran.error is not None:
            record.note(f"differences cannot be taken: {first_line(ran.error)}")
            return []
        for leaf in range(len(one.want)):
            # What rounding alone puts aside, autodiff stands for.
            gradient = one.want[leaf] if leaf in record.invisible else one.gradient(leaf)
            found = slopes(session, one, leaf, gradient, *ran.value)
            off, got, estimate = found.off, found.got, found.estimate
            moved = found.moved
            record.compare("differences", leaf, got[moved], estimate.value[moved], estimate.error[moved])
            if leaf in record.wrong or is_setting(session, observed.comparisons, leaf):
                continue
            if not np.any(off) or kink(session, one, leaf) is not None:
                continue
            if session.truth.jaxpr is not None and holds(session.truth.jaxpr, "stop_gradient"):
                record.note("the oracle stops gradients: autodiff of it is meant, not differences")
                return []
            row = int(np.argmax(np.where(off, np.abs(got - estimate.value), -1)))
            error = abs(got[row] - estimate.value[row])
            read = {"got": got[row], "want": estimate.value[row], "error": error, "noise": found.noise[row]}
            numbers: dict[str, Any] = {name: float(number) for name, number in read.items()}
            said = "differs from differences of the function, though autodiff of the oracle agrees with it"
            message, point = f"{session.names[leaf]} {said}", session.layout.args(one.point.leaves)
            return [finding(session, leaf, "value", message, point=point, **numbers)]
    return []

"""A batch at once gives the same as its examples one after another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop.diagnose import Mistake

from .._attempt import attempt
from .._evaluator import Answer, Evaluator, Point
from .._record import Observations, Record
from .._report import Finding
from .._rounding import Blur, all_finite
from .._sampling import Kind, redraws
from .._session import VERY_MANY, CheckSession
from ._same import differing


def vmap(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Three examples: the caller's arguments and two redraws, but for what all of them share."""
    if not session.rule_native.traced:
        return []
    if session.quick and session.numbers > VERY_MANY:
        record.note("not looked at under vmap: the arguments are large and the effort is quick")
        return []
    if all(axis is None for axis in session.axes):
        return []
    points = _examples(session)
    apart = session.rule_native.run(points)
    ran = attempt(lambda: _at_once(session.rule_native, points, session.axes))
    if ran.error is not None:
        return _raises(session, points, ran.error, record)
    findings: list[Finding] = []
    for n, (point, answer) in enumerate(zip(points, apart, strict=True)):
        if not all_finite(answer.y):
            continue
        got = [leaf[n] for leaf in ran.value]
        new = session.judge_with_rounding(point, answer, partial(_judge, record, got, answer))
        known = {(f.argument, f.path) for f in findings}
        findings += [f for f in new if (f.argument, f.path) not in known]
    return findings


def _judge(record: Record, got: Sequence[np.ndarray], answer: Answer, blur: Blur) -> list[Finding]:
    return differing(
        record,
        got,
        answer.gradient,
        blur.noise,
        what="vmap",
        how="under vmap",
        mistakes=(Mistake.BATCH_GLOBAL.value,),
    )


def _examples(session: CheckSession) -> list[Point]:
    base = session.base.leaves
    drawn = [base]
    for one in redraws(session.layout, session.domains, np.random.default_rng(5), quick=False):
        if one.kind in (Kind.GENERIC, Kind.OTHER):
            drawn.append(one.leaves)
    return [
        Point(
            tuple(
                shared if axis is None else leaf
                for leaf, axis, shared in zip(leaves, session.axes, base, strict=True)
            ),
            dy,
        )
        for leaves, dy in zip(drawn, session.sample.batch, strict=True)
    ]


def _raises(session: CheckSession, points: list[Point], error: Exception, record: Record) -> list[Finding]:
    truth = session.truth_native
    if truth is not None and attempt(lambda: _at_once(truth, points, session.axes)).error is not None:
        record.note(f"cannot be vmapped, nor can the oracle: {first_line(error)}")
        return []
    mistakes = (Mistake.NOT_TRACEABLE.value, Mistake.BATCH_GLOBAL.value)
    return [Finding("vmap", f"the rule raises under vmap {first_line(error)}", mistakes=mistakes)]


def _at_once(evaluator: Evaluator, points: list[Point], axes: tuple[int | None, ...]) -> list[np.ndarray]:
    with evaluator.setting():
        cast = [evaluator.cast(point.leaves) for point in points]
        stacked = [
            leaves[0] if axis is None else jnp.stack(leaves, axis=axis)
            for leaves, axis in zip(zip(*cast, strict=True), axes, strict=True)
        ]
        dy = tuple(jnp.asarray(np.stack(d)) for d in zip(*(point.dy for point in points), strict=True))
        gradient = jax.vmap(lambda *a: evaluator.pull(a[:-1], a[-1]).gradient, in_axes=(*axes, 0))
        return [np.asarray(leaf) for leaf in jax.jit(gradient)(*stacked, dy)]

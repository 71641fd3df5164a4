"""The rule gives the same gradients however it is run: again, under jit, vmap, scan and checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop._float64 import to_numpy64
from jaxbackprop.diagnose import Mistake

from .._attempt import attempt
from .._comparison import worst_violation
from .._evaluator import Answer, Point, in_haste
from .._raising import function_alone
from .._record import Observations, Record, as_seen, finding
from .._report import Finding
from .._rounding import Blur, all_finite, jittered, largest
from .._sampling import Kind, redraws
from .._session import VERY_MANY, CheckSession
from .._strip import donates


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
    """A finding for each leaf whose gradients with and without a transformation differ by more than noise.

    The property in question is `what`; messages call the transformation `how`.
    """
    session, findings = record.session, []
    for leaf, (g, w, n) in enumerate(zip(got, want, noise, strict=True)):
        g, w = to_numpy64(g), to_numpy64(w)
        record.compare(what, leaf, g, w, 0.0)
        if g.shape != w.shape:
            message = f"{session.names[leaf]} has shape {g.shape} {how}, {w.shape} without"
            findings.append(finding(session, leaf, what, message, mistakes=mistakes))
        elif worst := worst_violation(g, w, n):
            seen = as_seen(session, leaf, worst)
            said = f"{seen.got:.6g} instead of {seen.want:.6g} at {list(seen.index)}"
            message = f"{session.names[leaf]} is another {how}: {said}"
            findings.append(finding(session, leaf, what, message, worst, mistakes=mistakes))
    return findings


def determinism(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """The first leaf that changes from call to call."""
    again = session.rule_native.run([session.base])[0]
    for leaf, (a, b) in enumerate(zip(observed.base.gradient, again.gradient, strict=True)):
        if a.tobytes() != b.tobytes() and not np.array_equal(to_numpy64(a), to_numpy64(b), equal_nan=True):
            return [finding(session, leaf, "determinism", f"{session.names[leaf]} changes from call to call")]
    return []


def jit(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Within a few units in the last place; a quick check does not ask."""
    if not session.rule_native.traced or (session.quick and not session.figures):
        return []
    if donates(session.rule_native.jaxpr):
        # Its buffers are gone before the backward pass reads them, unless one program holds both passes.
        record.note("gives buffers away (donate_argnums): looked at under jit alone")
        return []
    with session.rule_native.setting():
        ran = attempt(lambda: session.rule_native.call(session.base))
    if ran.error is not None:
        return [Finding("jit", f"the rule runs under jit but not without: {first_line(ran.error)}")]
    compiled, apart = observed.base, ran.value

    def judge(noise: Sequence[float]) -> list[Finding]:
        return differing(record, compiled.gradient, apart.gradient, noise, what="jit", how="under jit")

    return _same(session, session.base, compiled, judge)


def _same(
    session: CheckSession, point: Point, answer: Answer, judge: Callable[[Sequence[float]], list[Finding]]
) -> list[Finding]:
    """What a judge of the noise finds: rounding's, and where that does not do what the rule's own may be.

    A compiler that fuses otherwise rounds otherwise, and a rule in which terms cancel shows it.
    """
    if not session.judge_with_rounding(point, answer, lambda blur: judge(blur.noise), itself=True):
        return []
    near = [point, *(jittered(session.layout, point, None, n) for n in (1, 2))]
    native, wide = session.rule_native.run(near), session.rule.run(near)
    both = [(a.gradient, b.gradient) for a, b in zip(native, wide, strict=True)]
    own = [
        8 * max(largest(to_numpy64(a[leaf]) - to_numpy64(b[leaf])) for a, b in both)
        for leaf in range(len(session.layout.floats))
    ]

    def with_own(blur: Blur) -> list[Finding]:
        return judge([n + o for n, o in zip(blur.noise, own, strict=True)])

    return session.judge_with_rounding(point, answer, with_own, itself=True)


def scan_and_checkpoint(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Two steps of a scan add the gradients up; a quick check traces them alone."""
    native = session.rule_native
    if session.subject.rule is not None or not native.traced:
        return []
    # A rule that is meant to clip is not linear in the cotangent.
    part = 0.5 if session.subject.intended is None else 1.0

    def twice(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> tuple[Any, ...]:
        again = jax.checkpoint(session.layout.of_floats(session.subject.value, leaves))

        def of_floats(*floats: Any) -> Any:
            return jax.lax.scan(lambda carry, _: (carry, again(*carry)), floats, None, length=2)[1]

        y, pullback = jax.vjp(of_floats, *session.layout.floats_of(leaves))
        doubled = tuple(
            jnp.stack([d.astype(v.dtype), part * d.astype(v.dtype)]).astype(v.dtype)
            for d, v in zip(dy, y, strict=True)
        )
        return pullback(doubled)

    def gradients() -> list[np.ndarray]:
        leaves, dy = native.cast(session.base.leaves), tuple(map(jnp.asarray, session.base.dy))
        if session.quick:
            jax.eval_shape(twice, leaves, dy)
            return []
        return [np.asarray(leaf) for leaf in jax.jit(twice, compiler_options=in_haste())(leaves, dy)]

    with native.setting():
        ran = attempt(gradients)
    if ran.error is not None:
        # Random numbers are wider where the harness sets x64 for them.
        if native.x64 != session.x64 and session.trace(twice).error is None:
            return []
        scan = _works_under_checkpoint(session)
        what, where = ("scan", "lax.scan") if scan else ("checkpoint", "jax.checkpoint")
        return [Finding(what, f"the rule fails under {where}: {first_line(ran.error)}")]
    if session.quick:
        return []
    want = [(1 + part) * to_numpy64(g) for g in observed.base.gradient]

    def judge(noise: Sequence[float]) -> list[Finding]:
        wider, how = [4 * n for n in noise], "under jax.checkpoint inside lax.scan"
        return differing(record, ran.value, want, wider, what="scan", how=how)

    return _same(session, session.base, observed.base, judge)


def _works_under_checkpoint(session: CheckSession) -> bool:
    native, layout = session.rule_native, session.layout

    def pull(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> tuple[Any, ...]:
        again = jax.checkpoint(layout.of_floats(session.subject.value, leaves))
        y, pullback = jax.vjp(again, *layout.floats_of(leaves))
        return pullback(tuple(d.astype(v.dtype) for d, v in zip(dy, y, strict=True)))

    with native.setting():
        leaves, dy = native.cast(session.base.leaves), tuple(map(jnp.asarray, session.base.dy))
        return attempt(lambda: jax.eval_shape(pull, leaves, dy)).error is None


def vmap(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """A few examples: the caller's arguments and one or two redraws, but for what all of them share."""
    if not session.rule_native.traced:
        return []
    if session.quick and (session.large or session.numbers > VERY_MANY):
        record.note("not looked at under vmap: the arguments are large and the effort is quick")
        return []
    if all(axis is None for axis in session.axes):
        return []
    points = _examples(session)
    apart = session.rule_native.run(points)
    if any(answer.error is not None for answer in apart):
        # At a redraw that the function refuses a whole batch would fail.
        fine = [
            session.base.leaves if a.error is not None else p.leaves
            for p, a in zip(points, apart, strict=True)
        ]
        points = [Point(leaves, p.dy) for leaves, p in zip(fine, points, strict=True)]
        apart = session.rule_native.run(points)
    ran = attempt(lambda: session.rule_native.run_batch(points, session.axes))
    if ran.error is not None:
        return _raises(session, points, ran.error, record)
    findings: list[Finding] = []
    slack = _slack(session, observed)
    for n, (point, answer) in enumerate(zip(points, apart, strict=True)):
        if not all_finite(answer.y):
            continue
        got = [leaf[n] for leaf in ran.value]
        new = _same(session, point, answer, partial(_judge, record, got, answer, slack))
        known = {(f.argument, f.path) for f in findings}
        findings += [f for f in new if (f.argument, f.path) not in known]
    return findings


def _judge(
    record: Record, got: Sequence[np.ndarray], answer: Answer, slack: Sequence[float], noise: Sequence[float]
) -> list[Finding]:
    mistakes = (Mistake.BATCH_GLOBAL.value,)
    wider = [n + s for n, s in zip(noise, slack, strict=True)]
    return differing(record, got, answer.gradient, wider, what="vmap", how="under vmap", mistakes=mistakes)


def _slack(session: CheckSession, observed: Observations) -> list[float]:
    """How far runs of a loop that stops at a tolerance may be apart: in a batch it stops with the last."""
    given = [one for one in observed.comparisons if one.kind is Kind.BASE] if session.tolerance else []
    leaves = range(len(session.names))
    return [max((largest(one.noise[leaf]) for one in given), default=0.0) for leaf in leaves]


def _examples(session: CheckSession) -> list[Point]:
    base = session.base.leaves
    drawn = [base]
    kinds = (Kind.GENERIC, Kind.OTHER)[: len(session.sample.batch) - 1]
    for one in redraws(session.layout, session.domains, np.random.default_rng(5), kinds):
        drawn.append(one.leaves)
    examples = []
    for leaves, dy in zip(drawn, session.sample.batch, strict=True):
        places = zip(leaves, session.axes, base, strict=True)
        own = tuple(shared if axis is None else leaf for leaf, axis, shared in places)
        examples.append(Point(own, dy))
    return examples


def _raises(session: CheckSession, points: list[Point], error: Exception, record: Record) -> list[Finding]:
    truth = session.truth_native
    if truth is not None and attempt(lambda: truth.run_batch(points, session.axes)).error is not None:
        record.note(f"cannot be vmapped, nor can the oracle: {first_line(error)}")
        return []
    function = function_alone(session)
    if (refused := attempt(lambda: function.run_batch(points, session.axes)).error) is not None:
        record.note(f"the function itself cannot be vmapped: {first_line(refused)}")
        return []
    mistakes = (Mistake.NOT_TRACEABLE.value, Mistake.BATCH_GLOBAL.value)
    return [Finding("vmap", f"the rule raises under vmap {first_line(error)}", mistakes=mistakes)]

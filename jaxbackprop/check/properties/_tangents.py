"""A rule for tangents is linear in them, and its transpose is what reverse mode gives."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop._float64 import Arrays, to_numpy64
from jaxbackprop.diagnose import Mistake

from .._attempt import attempt
from .._comparison import worst_violation
from .._differences import flat
from .._evaluator import Evaluator, autodiff_pull
from .._pushforward import push
from .._record import Observations, Record, finding
from .._report import Finding
from .._sampling import Kind, cotangents
from .._session import CheckSession
from ._linearity import explained, laws


def tangents(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """At the caller's arguments, one finding a differentiable leaf at most."""
    floats = session.layout.floats_of(session.base.leaves)
    rng = np.random.default_rng(4)
    first, second = (cotangents([np.shape(x) for x in floats], rng) for _ in range(2))
    findings = []
    for leaf in range(len(floats)):
        alone = tuple(t if i == leaf else 0 * t for i, t in enumerate(first))
        other = tuple(t if i == leaf else 0 * t for i, t in enumerate(second))
        findings += _not_linear(session, leaf, alone, other)
    if not findings and len(floats) > 1:
        findings += _not_additive(session, first)
    return findings or _not_transposed(session, first, record)


def _pushed(session: CheckSession, *moves: Arrays) -> list[Arrays]:
    """The tangents of the results for some of the arguments."""
    rule, layout = session.rule, session.layout

    def along(leaves: Any, given: Any) -> Any:
        cast = tuple(t.astype(x.dtype) for t, x in zip(given, layout.floats_of(leaves), strict=True))
        return push(layout, session.subject.value, leaves, cast)[1]

    with rule.setting():
        leaves = rule.cast(session.base.leaves)
        run = jax.jit(along) if rule.traced else along
        return [tuple(map(to_numpy64, run(leaves, tuple(map(jnp.asarray, move))))) for move in moves]


def _tolerance(session: CheckSession, size: float) -> float:
    return max(1e-9, 6.4e4 * session.eps) * size + 1e-290


def _scaled(move: Arrays, by: float) -> Arrays:
    return tuple(by * t for t in move)


def _not_linear(session: CheckSession, leaf: int, a: Arrays, b: Arrays) -> list[Finding]:
    both = tuple(s + t for s, t in zip(a, b, strict=True))
    kinds = (
        *(Kind.BASE, Kind.FRESH, Kind.SUM, Kind.MINUS_TWICE),
        *(Kind.ZERO, Kind.LARGE_SCALE, Kind.SMALL_SCALE),
    )
    moves = (
        a,
        b,
        both,
        _scaled(a, -2),
        _scaled(a, 0),
        _scaled(a, session.scale),
        _scaled(a, 1 / session.scale),
    )
    pushed = _pushed(session, *moves)
    g = {kind: flat(y) for kind, y in zip(kinds, pushed, strict=True)}
    if not all(np.all(np.isfinite(value)) for value in g.values()):
        return []
    size = max(float(np.max(np.abs(v), initial=0.0)) for kind, v in g.items() if kind is not Kind.LARGE_SCALE)
    tolerance = _tolerance(session, size)
    found = {}
    for kind, got, want, by in laws(g, session.scale):
        worst = worst_violation(got, want, tolerance * by)
        if worst is not None:
            found[kind] = worst
    if not found:
        return []
    mistakes, how = explained(g, set(found), np.asarray(tolerance * 1024))
    message = f"{session.names[leaf]} {how.replace('cotangent', 'tangent')}"
    numbers = next(iter(found.values())).numbers()
    numbers["index"] = _place(pushed[0], numbers["index"])
    labels, point = tuple(m.value for m in mistakes), session.layout.args(session.base.leaves)
    return [finding(session, leaf, "linearity", message, mistakes=labels, point=point, **numbers)]


def _not_additive(session: CheckSession, move: Arrays) -> list[Finding]:
    apart = [tuple(t if i == k else 0 * t for i, t in enumerate(move)) for k in range(len(move))]
    together, *each = (flat(y) for y in _pushed(session, move, *apart))
    want = np.sum(each, axis=0)
    if not (np.all(np.isfinite(want)) and np.all(np.isfinite(together))):
        return []
    worst = worst_violation(together, want, _tolerance(session, float(np.max(np.abs(each), initial=0.0))))
    if worst is None:
        return []
    said = "the tangents of several arguments together do not give the sum of what each gives"
    numbers = {**worst.numbers(), "index": None}
    return [Finding("linearity", said, mistakes=(Mistake.NON_LINEAR.value,), **numbers)]


def _place(results: Arrays, index: tuple[int, ...]) -> tuple[int, ...] | None:
    """The entry of the result; None where there are several results."""
    if len(results) > 1:
        return None
    return tuple(int(i) for i in np.unravel_index(index[0], results[0].shape))


def _not_transposed(session: CheckSession, move: Arrays, record: Record) -> list[Finding]:
    layout, base = session.layout, session.base
    pull = autodiff_pull(layout, session.subject.value)
    reverse = Evaluator(
        pull, layout, dtype=session.rule.dtype, traced=session.rule.traced, x64=session.rule.x64
    )
    ran = attempt(lambda: reverse.run([base])[0])
    if ran.error is not None:
        record.note(f"the rule cannot be transposed, so there is no reverse mode: {first_line(ran.error)}")
        return []
    findings = []
    for leaf, gradient in enumerate(map(to_numpy64, ran.value.gradient)):
        alone = tuple(t if i == leaf else 0 * t for i, t in enumerate(move))
        (pushed,) = _pushed(session, alone)
        terms = [d * t for d, t in zip(base.dy, pushed, strict=True)]
        ahead, back = sum(map(np.sum, terms)), np.sum(gradient * alone[leaf])
        size = sum(np.sum(np.abs(t)) for t in terms) + float(np.sum(np.abs(gradient * alone[leaf])))
        if np.isfinite(ahead) and np.isfinite(back) and abs(ahead - back) > _tolerance(session, float(size)):
            said = f"{session.names[leaf]} is not what the transposed rule gives: {ahead:.6g} and {back:.6g}"
            findings.append(finding(session, leaf, "transpose", said))
    return findings

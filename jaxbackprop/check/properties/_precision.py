"""In the arguments' own dtypes the rule is no worse than autodiff by more than rounding explains."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import to_numpy64
from jaxbackprop.diagnose import Mistake

from .._attempt import attempt
from .._comparison import Comparison, compare, usual_sizes, worst_violation
from .._evaluator import Answer, Point
from .._kinks import kink
from .._record import Observations, Record, finding
from .._report import Finding
from .._rounding import Blur, all_finite, largest
from .._sampling import Kind, Sampled, free_leaves
from .._session import CheckSession

# How many times as large as the caller's an argument may be for the rule to have to keep its digits there.
_WITHIN = 3.0
# Until the caller's arguments are five hundred times as large.
_DOUBLINGS = 10


def precision(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """One finding a leaf at most, and none where its value is wrong in float64.

    Digits that are lost at redraws far beyond the caller's arguments alone are noted.
    """
    if session.truth_native is None:
        return []
    # In float64 there is nothing between rounding and wrongness.
    narrow = any(dtype != np.float64 for dtype in session.layout.dtypes)
    findings = []
    for leaf, usual_size in enumerate(usual_sizes(observed.comparisons)):
        done, beyond = leaf in record.wrong or not narrow, list[tuple[Finding, Comparison]]()
        for one, native in zip(observed.comparisons, observed.native, strict=True):
            if one.kind is Kind.BASE:
                record.compare("native", leaf, to_numpy64(native.gradient[leaf]), one.want[leaf])
            if done:
                continue
            judge = partial(_unstable, session, one, native, leaf=leaf, usual_size=usual_size)
            found = session.judge_with_rounding(one.point, native, judge)
            if found is None:
                continue
            if times_larger(session, one.point) > _WITHIN and "loses its digits" in found.message:
                beyond.append((found, one))
                continue
            findings.append(found)
            done = True
        if beyond and not done:
            record.note(_lost(session, leaf, usual_size, *beyond[0]))
    return findings


def times_larger(session: CheckSession, point: Point) -> float:
    """How many times as large as the caller's the largest argument of a point is."""
    given = session.layout.floats_of(session.base.leaves)
    sizes = [
        (largest(a), largest(b)) for a, b in zip(session.layout.floats_of(point.leaves), given, strict=True)
    ]
    return max((a / b for a, b in sizes if b > 0), default=1.0)


def _lost(session: CheckSession, leaf: int, usual_size: float, shown: Finding, where: Comparison) -> str:
    """Where a leaf loses its digits: the caller's arguments are made larger until it does."""
    layout, base = session.layout, session.base
    free = free_leaves(layout, session.domains)
    points = []
    for factor in 2.0 ** np.arange(1, _DOUBLINGS):
        moved = tuple(
            x * factor if is_free else x
            for x, is_free in zip(
                layout.floats_of(base.leaves), (free[i] for i in layout.floats), strict=True
            )
        )
        points.append(Sampled(Kind.LARGE, Point(layout.with_floats(base.leaves, moved), base.dy)))
    # Scaled arguments may show nothing that a redraw shows.
    at = where.point
    ran = attempt(lambda: (compare(session, points), session.rule_native.run([p for _, p in points])))
    if ran.error is None:
        natives = {id(point): native for (_, point), native in zip(points, ran.value[1], strict=True)}
        for one in ran.value[0]:
            native = natives[id(one.point)]
            judge = partial(_unstable, session, one, native, leaf=leaf, usual_size=usual_size)
            if session.judge_with_rounding(one.point, native, judge):
                at = one.point
                break
    size, given = (largest(np.asarray(layout.floats_of(p.leaves)[leaf])) for p in (at, base))
    name, dtype = session.names[leaf], layout.dtypes[leaf].name
    argument = f"|{name[1:]}|"
    return (
        f"{name} loses its digits in {dtype} from {argument} about {size:.2g} on (yours: {given:.2g}): "
        f"off by {shown.error:.1g} of {abs(shown.want or 0):.2g}, more than autodiff"
    )


def _unstable(
    session: CheckSession, one: Comparison, native: Answer, blur: Blur, *, leaf: int, usual_size: float
) -> Finding | None:
    if not all_finite((*native.value, *native.y)):
        return None
    usual = one.kind in (Kind.BASE, Kind.FRESH)
    info = jnp.finfo(session.layout.dtypes[leaf])
    # The rule's own answer in float64, which is known to be right: at a kink it tells which side was taken.
    right, got = one.gradient(leaf), to_numpy64(native.gradient[leaf])
    right = np.where(np.isfinite(right) & (not session.narrows_alone(leaf)), right, one.want[leaf])
    if session.casts(leaf):
        # In float64 it mixes two precisions, as it never does for its users.
        nearer = np.abs(got - right) <= np.abs(got - one.want[leaf])
        right = np.where(nearer, right, one.want[leaf])
    held = np.isfinite(right) & (np.abs(right) < float(info.max) / 2)
    noise = blur.noise[leaf]
    if not usual:
        noise = 4 * (noise + float(info.eps) * usual_size)
        if not blur.finite[leaf]:
            # Where autodiff overflows too, a redraw has gone too far for the function itself.
            held &= np.isfinite(got)
    worst = worst_violation(got, np.where(held, right, np.nan), noise)
    if worst is None or (one.redrawn and kink(session, one, leaf) is not None):
        return None
    what = "is not finite" if not np.isfinite(worst.got) else "loses its digits"
    error = f"off by {blur.error[leaf]:.2g}" if blur.finite[leaf] else "not finite either"
    said = f"{what} in {info.dtype.name}, though the formula is right: autodiff is {error}"
    message = f"{session.names[leaf]} {said}"
    mistakes, point = (Mistake.UNSTABLE.value,), session.layout.args(one.point.leaves)
    return finding(session, leaf, "precision", message, worst, mistakes=mistakes, point=point)

"""In the arguments' own dtypes the rule is no worse than autodiff by more than rounding explains."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import to_numpy64
from jaxbackprop.diagnose import Mistake

from .._comparison import Comparison, usual_sizes, worst_violation
from .._evaluator import Answer
from .._kinks import kink
from .._record import Observations, Record, finding
from .._report import Finding
from .._rounding import Blur, all_finite
from .._sampling import Kind
from .._session import CheckSession


def precision(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """One finding a leaf at most, and none where its value is wrong in float64."""
    if session.truth_native is None:
        return []
    # In float64 there is nothing between rounding and wrongness.
    narrow = any(dtype != np.float64 for dtype in session.layout.dtypes)
    findings = []
    for leaf, usual_size in enumerate(usual_sizes(observed.comparisons)):
        done = leaf in record.wrong or not narrow
        for one, native in zip(observed.comparisons, observed.native, strict=True):
            if one.kind is Kind.BASE:
                record.compare("native", leaf, to_numpy64(native.gradient[leaf]), one.want[leaf])
            if done:
                continue
            judge = partial(_unstable, session, one, native, leaf=leaf, usual_size=usual_size)
            if found := session.judge_with_rounding(one.point, native, judge):
                findings.append(found)
                done = True
    return findings


def _unstable(
    session: CheckSession, one: Comparison, native: Answer, blur: Blur, *, leaf: int, usual_size: float
) -> Finding | None:
    if not all_finite((*native.value, *native.y)):
        return None
    usual = one.kind in (Kind.BASE, Kind.FRESH)
    info = jnp.finfo(session.layout.dtypes[leaf])
    # The rule's own answer in float64, which is known to be right: at a kink it tells which side was taken.
    right = one.gradient(leaf)
    right = np.where(np.isfinite(right) & (not session.narrows_alone(leaf)), right, one.want[leaf])
    got = to_numpy64(native.gradient[leaf])
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

"""Whether what differs in float64 can show in the arguments' own dtypes.

A rule is judged in float64. There a safety epsilon shows that is below the last digit of any float32, and a
rule that casts to float32 mixes two precisions that its users never mix.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import to_numpy64

from .._comparison import Comparison, Violation, worst_violation
from .._record import Record
from .._rounding import Blur, eps_of, largest
from .._sampling import FAR_OUT
from .._session import CheckSession

# What a narrow dtype resolves of entries far smaller than the largest.
_FLOAT32 = 2.0**-23


def visible(session: CheckSession, one: Comparison, leaf: int, record: Record) -> bool:
    """Whether a leaf's violation in float64 would be one to the caller; notes it where not."""
    name, dtype = session.names[leaf], session.layout.dtypes[leaf]
    if session.truth is not None and not np.all(np.isfinite(one.want[leaf])):
        return True
    # Half precision rounds so coarsely that a factor of two could hide in it.
    far_out = one.kind in FAR_OUT and dtype == np.float32
    if _below_digits(one, leaf, eps_of(dtype)):
        said = f"differs by less than {dtype.name} can show"
    elif (session.casts(leaf) or far_out) and _native_violation(session, one, leaf) is None:
        said = f"differs in float64 alone: in {dtype.name} it is as good as autodiff"
        if session.casts(leaf):
            said += f" (it casts to {session.narrows})"
    else:
        return True
    record.note(f"{name} {said}")
    record.invisible.add(leaf)
    return False


def _below_digits(one: Comparison, leaf: int, eps: float) -> bool:
    """Whether every entry differs by less than its last digit, or a float32's of the largest entry."""
    got, want = one.gradient(leaf), one.want[leaf]
    known = np.isfinite(want)
    distance = np.abs(np.where(known, got - want, 0.0))
    return bool(
        np.all(distance <= eps * np.abs(np.where(known, want, 0.0)) + min(eps, _FLOAT32) * largest(want))
    )


def _native_violation(session: CheckSession, one: Comparison, leaf: int) -> Violation | None:
    """The worst entry in the arguments' own dtypes beyond what rounding explains there."""
    native, eps = session.rule_native.run([one.point])[0], eps_of(session.layout.dtypes[leaf])

    def judge(blur: Blur) -> Violation | None:
        most = float(jnp.finfo(session.layout.dtypes[leaf]).max) / 2
        want = np.where(np.abs(one.want[leaf]) < most, one.want[leaf], np.nan)
        got = to_numpy64(native.gradient[leaf])
        if not blur.finite[leaf]:
            # Where autodiff overflows too the point is too far out for the function itself.
            want = np.where(np.isfinite(got), want, np.nan)
        noise = blur.noise[leaf]
        if eps > _FLOAT32:
            noise = min(noise, 8 * blur.error[leaf] + 4 * eps * largest(want))
        return worst_violation(got, want, (1.0 if one.kind.given else 4.0) * noise)

    return session.judge_with_rounding(one.point, native, judge)

"""Under jax.checkpoint and inside lax.scan the rule gives the same gradients."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop._float64 import to_numpy64

from .._attempt import attempt
from .._record import Observations, Record
from .._report import Finding
from .._rounding import Blur
from .._session import CheckSession
from ._same import differing


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
        return [np.asarray(leaf) for leaf in jax.jit(twice)(leaves, dy)]

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

    def judge(blur: Blur) -> list[Finding]:
        noise = [4 * n for n in blur.noise]
        how = "under jax.checkpoint inside lax.scan"
        return differing(record, ran.value, want, noise, what="scan", how=how)

    return session.judge_with_rounding(session.base, observed.base, judge)


def _works_under_checkpoint(session: CheckSession) -> bool:
    native, layout = session.rule_native, session.layout

    def pull(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> tuple[Any, ...]:
        again = jax.checkpoint(layout.of_floats(session.subject.value, leaves))
        y, pullback = jax.vjp(again, *layout.floats_of(leaves))
        return pullback(tuple(d.astype(v.dtype) for d, v in zip(dy, y, strict=True)))

    with native.setting():
        leaves, dy = native.cast(session.base.leaves), tuple(map(jnp.asarray, session.base.dy))
        return attempt(lambda: jax.eval_shape(pull, leaves, dy)).error is None

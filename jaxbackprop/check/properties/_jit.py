"""Operation by operation the rule gives the same as compiled."""

from __future__ import annotations

from jaxbackprop._errors import first_line

from .._attempt import attempt
from .._record import Observations, Record
from .._report import Finding
from .._rounding import Blur
from .._session import CheckSession
from ._same import differing


def jit(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Within a few units in the last place; a quick check does not ask."""
    if not session.rule_native.traced or (session.quick and not session.figures):
        return []
    with session.rule_native.setting():
        ran = attempt(lambda: session.rule_native.call(session.base))
    if ran.error is not None:
        return [Finding("jit", f"the rule runs under jit but not without: {first_line(ran.error)}")]
    compiled, apart = observed.base, ran.value

    def judge(blur: Blur) -> list[Finding]:
        return differing(record, compiled.gradient, apart.gradient, blur.noise, what="jit", how="under jit")

    return session.judge_with_rounding(session.base, compiled, judge)

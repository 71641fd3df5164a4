"""Claims measured one after the other."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jaxbackprop.data import MissingExtra

from ._cache import Cache
from ._claim import FULL, Claim, Effort, Outcome, Verdict
from ._table import CLAIMS


@dataclass(frozen=True)
class Result:
    """A claim, measured.

    Attributes:
        claim: which.
        figures: what was measured; None where it could not be.
        verdict: what the figures say.
        seconds: that it took; None where the figures had been kept.
    """

    claim: Claim
    figures: dict[str, Any] | None
    verdict: Verdict
    seconds: float | None

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON holds it."""
        claim, verdict = self.claim, self.verdict
        return {
            "claim": claim.name,
            "unit": claim.unit,
            "slide": claim.slide,
            "statement": claim.statement,
            "verdict": verdict.outcome.value,
            "holds": verdict.holds,
            "figure": verdict.figure,
            "why": verdict.why,
            "measured by": claim.measured_by,
            "seconds": self.seconds,
            "figures": self.figures,
        }


def figures(name: str, effort: Effort = FULL) -> dict[str, Any]:
    """The figures of one claim, measured now.

    Args:
        name: of the claim, as `jaxbackprop lecture --json` has it.
        effort: how much work it may be.

    Raises:
        ValueError: there is no such claim.
    """
    found = [claim for claim in CLAIMS if claim.name == name]
    if not found:
        raise ValueError(f"name must be one of {', '.join(claim.name for claim in CLAIMS)}, not {name!r}")
    return found[0].measure(effort, lambda part: None)


def measure(
    claims: Sequence[Claim],
    effort: Effort,
    *,
    again: bool = False,
    say: Callable[[Claim, str], None] = lambda claim, part: None,
    warn: Callable[[str], None] = warnings.warn,
) -> Iterator[Result]:
    """Measures claims, or reads what has been measured before.

    Args:
        claims: which, in this order.
        effort: how much work each may be.
        again: measure also what has been measured before.
        say: told what is being measured, of which claim.
        warn: told, in one line, what is odd.

    Returns:
        One result a claim, each as soon as it is there.
    """
    cache = Cache(effort, warn)
    for claim in claims:
        say(claim, "")
        figures = None if again else cache.read(claim)
        seconds = None
        if figures is None:
            began = time.perf_counter()
            try:
                found = claim.measure(effort, lambda part, claim=claim: say(claim, part))  # type: ignore[misc]
            except MissingExtra as error:
                yield Result(claim, None, Verdict(Outcome.UNMEASURED, "-", str(error)), None)
                continue
            # A judge sees the same whether the figures were kept or not.
            figures = json.loads(json.dumps(found))
            seconds = time.perf_counter() - began
            cache.write(claim, figures)
        yield Result(claim, figures, claim.judge(figures), seconds)

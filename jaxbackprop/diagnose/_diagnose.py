"""The numbers are asked first, then the programs are edited."""

from __future__ import annotations

from ._evidence import Evidence, Suspicion
from .by_mutation import mutations
from .by_values import suspicions

# From this cost on the numbers only guess, and a program that one edit makes wrong in this way knows more.
_GUESS = 0.45


def diagnose(evidence: Evidence, *, quick: bool = False) -> list[Suspicion]:
    """Which mistakes explain the evidence against a rule, the likeliest first.

    Args:
        evidence: the wrong rule at several points.
        quick: whether to look at the numbers alone, and briefly.

    Returns:
        What the numbers show, then what edited programs show, then what the numbers only suggest. Empty
        where nothing fits.
    """
    numbers = suspicions(evidence, budget_s=0.3 if quick else 1.5)
    programs = [] if quick else mutations(evidence)
    sure = [s for s in numbers if s.cost < _GUESS]
    return [*sure, *programs, *(s for s in numbers if s.cost >= _GUESS)]

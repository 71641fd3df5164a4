"""The numbers are asked first, then the programs are edited."""

from __future__ import annotations

from collections.abc import Sequence

from . import by_mutation, by_values
from ._evidence import Evidence, Suspicion

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
    return ranked(search(evidence, quick=quick), len(evidence.wrong))


def search(evidence: Evidence, *, quick: bool = False) -> list[Suspicion]:
    """All that is suspected, whoever suspects it and how often. The arguments are those of `diagnose`."""
    numbers = by_values.search(evidence, budget_s=0.3 if quick else 1.5)
    return numbers if quick else [*numbers, *by_mutation.search(evidence)]


def ranked(found: Sequence[Suspicion], leaves: int) -> list[Suspicion]:
    """The suspicions of a search in the order of `diagnose`, where so many leaves are wrong."""
    numbers = by_values.ranked((s for s in found if s.stage == "numbers"), leaves)
    programs = by_mutation.ranked(s for s in found if s.stage != "numbers")
    sure = [s for s in numbers if s.cost < _GUESS]
    return [*sure, *programs, *(s for s in numbers if s.cost >= _GUESS)]

"""One mistake is one finding, whatever shows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ._report import Finding

# What a rule that is not linear does besides.
_OF_NON_LINEAR = ("transpose", "value", "vmap", "scan", "checkpoint")
_MOST_LABELS = 5


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """Findings without those that show a mistake of the same gradient once more.

    Args:
        findings: the most serious first.
    """
    kept: list[Finding] = []
    for found in findings:
        at = next((i for i, known in enumerate(kept) if _is_same(known, found)), None)
        if at is None:
            kept.append(found)
        else:
            kept[at] = _with_numbers(kept[at], found)
    return kept


def _is_same(known: Finding, found: Finding) -> bool:
    """Whether a later finding is of the mistake that is known of an argument already."""
    if found.argument is None or (known.argument, known.path) != (found.argument, found.path):
        return False
    if known.property == "linearity" and found.property in _OF_NON_LINEAR:
        return True
    return (
        known.property != found.property
        and bool(found.mistakes[:1])
        and found.mistakes[0] in known.mistakes[:1]
    )


def _with_numbers(known: Finding, found: Finding) -> Finding:
    """A finding with the entry and the point of another, where it has none."""
    if found.property == "value":
        labels = tuple(dict.fromkeys((*known.mistakes, *found.mistakes)))[:_MOST_LABELS]
        known = dataclasses.replace(known, mistakes=labels)
    if known.got is not None or found.got is None:
        return known
    numbers = {name: getattr(found, name) for name in ("index", "got", "want", "error", "noise")}
    return dataclasses.replace(known, point=found.point, cotangent=found.cotangent, **numbers)

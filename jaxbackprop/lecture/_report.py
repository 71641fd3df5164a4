"""Results as Markdown and as JSON holds them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from jaxbackprop.train import describe_machine

from ._claim import Effort, Outcome
from ._run import Result
from ._table import UNITS


def summary(results: Sequence[Result]) -> str:
    """How many claims have which verdict."""
    counts = Counter(result.verdict.outcome for result in results)
    parts = [f"{outcome.value} {counts[outcome]}" for outcome in Outcome if counts[outcome]]
    return f"{len(results)} claims: {', '.join(parts)}"


def to_markdown(results: Sequence[Result], effort: Effort) -> str:
    """A table for each unit, and a line about the machine."""
    lines = []
    for unit, title in UNITS.items():
        rows = [result for result in results if result.claim.unit == unit]
        if not rows:
            continue
        lines += [f"## Unit {unit} | {title}", "", "| claim | verdict | measured | why | by |"]
        lines.append("|---|---|---|---|---|")
        for result in rows:
            claim, verdict = result.claim, result.verdict
            cells = (
                f"{claim.statement} ({claim.slide})",
                f"**{verdict.outcome.value}**",
                verdict.figure,
                verdict.why,
                f"`{claim.measured_by}`",
            )
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    machine = describe_machine()
    lines.append(
        f"{summary(results)}. Effort {effort.name}, {machine['threads']} threads, {machine['device']}, "
        f"jax {machine['versions']['jax']}."
    )
    return "\n".join(lines) + "\n"


def to_dict(results: Sequence[Result], effort: Effort) -> dict[str, Any]:
    """All figures and verdicts."""
    return {
        "effort": dataclasses.asdict(effort),
        "machine": describe_machine(),
        "claims": [result.to_dict() for result in results],
    }

"""The measurements as a table of plain text."""

from __future__ import annotations

from collections.abc import Sequence

from ._findings import number, percent
from ._node_health import NodeHealth
from ._recurrence import Recurrence

_TITLE = ("node", "what", "activation", "gradient", "saturated", "dead")
_ROWS_AT_MOST = 60


def measurement_lines(nodes: Sequence[NodeHealth], sequences: Sequence[Recurrence]) -> list[str]:
    """A table with a row a layer or activation, then a line a sequence; empty without any rows."""
    rows = [_row(health) for health in nodes if health.role != "parameter"]
    if not rows:
        return []
    left_out = len(rows) - _ROWS_AT_MOST
    rows = [_TITLE, *rows[:_ROWS_AT_MOST]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if left_out > 0:
        lines.append(f"  and {left_out} more")
    lines += [
        f"  along {sequence.name} ({sequence.carry}): the gradient grows {number(sequence.rate)}-fold a "
        f"step, {number(sequence.total)}-fold over {len(sequence.growth)} steps"
        for sequence in sequences
    ]
    return lines


def _row(health: NodeHealth) -> tuple[str, ...]:
    return (
        health.name,
        health.kind or health.role,
        _text(health.activation_norm),
        _text(health.gradient_norm),
        "" if health.saturated is None else percent(health.saturated),
        "" if health.dead is None else percent(health.dead),
    )


def _text(value: float | None) -> str:
    return "" if value is None else number(value)

"""What operations with a program inside have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._graph import Graph
from .._sweep import walk


def results_of(graph: Graph, operands: Sequence[Any]) -> list[Any]:
    """A program's results."""
    values, _ = walk(graph, operands)
    return [values[port.node][port.output] for port in graph.outputs]


def refuse_step(step: int | None) -> None:
    """Refuses the number of a step where there are no steps.

    Raises:
        ValueError: where one came.
    """
    if step is not None:
        raise ValueError(f"step is for loops alone, got {step}")

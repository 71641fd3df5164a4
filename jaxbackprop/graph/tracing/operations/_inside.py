"""What operations with a program inside have in common."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..._errors import UnsupportedPrimitive
from ..._graph import ComputationGraph
from ...passes._residual_selection import ResidualSelection


def selected(
    body: ComputationGraph,
    active: Sequence[bool],
    invariant: Collection[int] = (),
    carried: Collection[int] = (),
) -> ResidualSelection | UnsupportedPrimitive:
    """The two passes of a body; where it has no backward pass, the error to raise when one is asked for."""
    try:
        return ResidualSelection(body, active, invariant, carried)
    except UnsupportedPrimitive as error:
        return error


def refuse_step(step: int | None) -> None:
    """Refuses the number of a step where there are no steps.

    Raises:
        ValueError: where one came.
    """
    if step is not None:
        raise ValueError(f"step is for loops alone, got {step}")

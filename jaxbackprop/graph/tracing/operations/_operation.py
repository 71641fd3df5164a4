"""What a node of the graph can do: compute its results, and take a gradient back through itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..._graph import Graph


class Operation(Protocol):
    """How a node is computed, forward and backward. One kind of equation a file.

    Those with a program inside also have `inside(operands, step)`, the program's graph and its arguments, and
    `inside_upstream(operands, kept, dys, step)`, the upstream gradients of that program's results.
    """

    @property
    def bodies(self) -> tuple[Graph, ...]:
        """Graphs of the programs inside it."""

    def forward(self, operands: Sequence[Any]) -> tuple[list[Any], Any]:
        """Its results, and a pytree of what else the backward pass needs."""

    def backward(
        self, operands: Sequence[Any], results: Sequence[Any], kept: Any, dys: Sequence[Any]
    ) -> list[Any]:
        """One gradient an operand; None where none flows.

        Args:
            operands: as in the forward pass.
            results: what it gave.
            kept: what it gave beside.
            dys: one upstream gradient a result; None where none came.
        """

    def residuals(
        self, operands: Sequence[Any], results: Sequence[Any], kept: Any, dys: Sequence[Any]
    ) -> dict[str, Any]:
        """The values that `backward` uses, by the names that its formula uses."""


@dataclasses.dataclass(frozen=True)
class Described:
    """What an equation becomes.

    Attributes:
        label: what the node is called.
        operation: how to compute it and its gradient.
        active: which results a gradient flows through.
        gate: the lecture's word for what it does to a gradient.
        formula: its gradient.
        name: where it is not the label.
    """

    label: str
    operation: Operation
    active: tuple[bool, ...]
    gate: str | None = None
    formula: str | None = None
    name: str | None = None

"""What an equation becomes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ..._graph import ComputationGraph, Operation

Build = Callable[[Any, Sequence[bool]], ComputationGraph]
"""(jaxpr, which of its arguments a gradient flows back to) -> the graph of a program inside an equation."""


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
        operator: the name of this package's operator whose rule it runs.
    """

    label: str
    operation: Operation
    active: tuple[bool, ...]
    gate: str | None = None
    formula: str | None = None
    name: str | None = None
    operator: str | None = None

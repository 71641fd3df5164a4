"""A function with a hand-written VJP."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ..._graph import Graph
from ...passes._sweep import results_of


@dataclasses.dataclass(frozen=True, eq=False)
class CustomVjpOperation:
    """A function with a hand-written VJP: its forward rule, its backward rule.

    Attributes:
        name: the function's.
        plain: its forward without the rule.
        run: its forward rule: operands to results and residuals.
        pull: its backward rule: residuals and upstream gradients to one gradient an operand.
        flows: which operands a gradient flows back to.
    """

    name: str
    plain: Graph
    run: Callable[[Sequence[Any]], tuple[list[Any], list[Any]]]
    pull: Callable[[Sequence[Any], Sequence[Any]], list[Any]]
    flows: tuple[bool, ...]

    bodies: tuple[Graph, ...] = ()

    def forward(self, operands: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        if not any(self.flows):
            return results_of(self.plain, operands), []
        return self.run(operands)

    def backward(
        self, operands: Sequence[Any], results: Sequence[Any], kept: list[Any], dys: Sequence[Any]
    ) -> list[Any]:
        return self.pull(kept, dys)

    def residuals(
        self, operands: Sequence[Any], results: Sequence[Any], kept: list[Any], dys: Sequence[Any]
    ) -> dict[str, Any]:
        return {f"residual {i}": value for i, value in enumerate(kept)}

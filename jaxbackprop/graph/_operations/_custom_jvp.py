"""A function with a rule for tangents."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from .._graph import Graph
from .._sweep import pull_back, walk
from ._inside import refuse_step, results_of


@dataclasses.dataclass(frozen=True, eq=False)
class CustomJvpOperation:
    """A function with a rule for tangents: its tangent program is swept backward.

    The plain body's gradient may be another one: max(x, 0) at 0 gives 0.5, jax.nn.relu's rule 0.

    Attributes:
        plain: its forward without the rule.
        program: primals, then one tangent for each number in `given`, to results, then tangents of results;
            its `structure` has one port a result, where its tangent is, or None where it has none. None
            itself where no gradient flows.
        given: which operands have tangents.
        flows: which operands a gradient flows back to.
    """

    plain: Graph
    program: Graph | None
    given: tuple[int, ...]
    flows: tuple[bool, ...]

    @property
    def bodies(self) -> tuple[Graph, ...]:
        return (self.plain,) if self.program is None else (self.program,)

    def forward(self, operands: Sequence[Any]) -> tuple[list[Any], Any]:
        if self.program is None:
            return results_of(self.plain, operands), None
        values, kept = walk(self.program, self._arguments(operands))
        count = len(self.program.structure)
        ends = self.program.outputs[:count]
        return [values[port.node][port.output] for port in ends], (values, kept)

    def _arguments(self, operands: Sequence[Any]) -> list[Any]:
        # A linear function's gradient does not depend on where it is taken: any tangent will do.
        return [*operands, *(jnp.zeros_like(operands[i]) for i in self.given)]

    def _upstream(self, dys: Sequence[Any]) -> list[Any]:
        assert self.program is not None
        tangents = self.program.structure
        flowing = [dy for dy, port in zip(dys, tangents, strict=True) if port is not None]
        return [None] * len(tangents) + flowing

    def backward(
        self, operands: Sequence[Any], results: Sequence[Any], kept: Any, dys: Sequence[Any]
    ) -> list[Any]:
        assert self.program is not None
        values, beside = kept
        found = pull_back(self.program, values, beside, self._upstream(dys))
        gradients: list[Any] = [None] * len(operands)
        for number, i in enumerate(self.given):
            gradients[i] = found.get(len(operands) + number)
        return gradients

    def residuals(
        self, operands: Sequence[Any], results: Sequence[Any], kept: Any, dys: Sequence[Any]
    ) -> dict[str, Any]:
        return {f"x{i}" if len(operands) > 1 else "x": value for i, value in enumerate(operands)}

    def inside(self, operands: Sequence[Any], step: int | None) -> tuple[Graph, list[Any]]:
        refuse_step(step)
        if self.program is None:
            return self.plain, list(operands)
        return self.program, self._arguments(operands)

    def inside_upstream(
        self, operands: Sequence[Any], kept: Any, dys: Sequence[Any], step: int | None
    ) -> list[Any]:
        return self._upstream(dys)

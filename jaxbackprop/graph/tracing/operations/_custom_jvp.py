"""A function with a rule for tangents."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from ..._graph import Graph, numbered_names
from ...passes._sweep import pull_back, results_of, taken, walk
from ._inside import refuse_step


@dataclasses.dataclass(frozen=True, eq=False)
class CustomJvpOperation:
    """A function with a rule for tangents: its tangent program is swept backward.

    The plain body's gradient may be another one: max(x, 0) at 0 gives 0.5, jax.nn.relu's rule 0.

    Attributes:
        plain: its forward without the rule.
        program: primals, then one tangent for each operand that a gradient flows back to, to results, then
            tangents of results; its `structure` has one port a result, where its tangent is, or None where it
            has none. None itself where no gradient flows.
        flows: which operands a gradient flows back to.
    """

    plain: Graph
    program: Graph | None
    flows: tuple[bool, ...]

    @property
    def bodies(self) -> tuple[Graph, ...]:
        return (self.plain,) if self.program is None else (self.program,)

    def forward(self, operands: Sequence[Any]) -> tuple[list[Any], Any]:
        if self.program is None:
            return results_of(self.plain, operands), None
        values, kept = walk(self.program, self._arguments(operands))
        primals = self.program.outputs[: len(self.program.structure)]
        return taken(values, primals), (values, kept)

    def _arguments(self, operands: Sequence[Any]) -> list[Any]:
        # A linear function's gradient does not depend on where it is taken: any tangent will do.
        return [*operands, *map(jnp.zeros_like, itertools.compress(operands, self.flows))]

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
        tangents = itertools.count(len(operands))
        return [found.get(next(tangents)) if flows else None for flows in self.flows]

    def residuals(
        self, operands: Sequence[Any], results: Sequence[Any], kept: Any, dys: Sequence[Any]
    ) -> dict[str, Any]:
        return dict(zip(numbered_names(len(operands)), operands, strict=True))

    def inside(self, operands: Sequence[Any], step: int | None) -> tuple[Graph, list[Any]]:
        refuse_step(step)
        if self.program is None:
            return self.plain, list(operands)
        return self.program, self._arguments(operands)

    def inside_upstream(
        self, operands: Sequence[Any], kept: Any, dys: Sequence[Any], step: int | None
    ) -> list[Any]:
        return self._upstream(dys)

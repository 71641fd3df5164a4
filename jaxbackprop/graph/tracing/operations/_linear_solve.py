"""The solution of a linear equation, told by what it solves and not by how."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from jaxbackprop._jaxpr import Equation, binder

from ..._errors import UnsupportedPrimitive
from ..._graph import Arrays, ComputationGraph, Gradients, Source
from ...passes._residual_selection import ResidualSelection
from ...passes._sweep import results_of
from ._described import Build, Described
from ._inside import refuse_step, selected


@dataclasses.dataclass(frozen=True, eq=False)
class LinearSolveOperation:
    """y with matvec(constants, y) = b, by a solver that nothing is asked of.

    Attributes:
        bind: solves.
        matvec: the linear map, of its constants and y.
        transposed: the solver of the transposed equation, of its constants and dy; None where there is none.
        counts: of the constants of matvec, vecmat, solve and transpose_solve; b follows them.
        flows: which operands a gradient flows back to.
        source: the line of the user's code that it comes from.
    """

    bind: Callable[..., list[jax.Array]]
    matvec: ComputationGraph
    transposed: ComputationGraph | None
    counts: tuple[int, int, int, int]
    flows: tuple[bool, ...]
    source: Source | None

    @property
    def bodies(self) -> tuple[ComputationGraph, ...]:
        return (self.matvec,)

    @cached_property
    def _selection(self) -> ResidualSelection | UnsupportedPrimitive:
        given = len(self.flows) - sum(self.counts[1:])
        return selected(self.matvec, (*self.flows[: self.counts[0]], *[False] * (given - self.counts[0])))

    def forward(self, operands: Arrays) -> tuple[list[jax.Array], None]:
        return self.bind(*operands), None

    def backward(
        self, operands: Arrays, results: Arrays, kept: None, dys: Gradients
    ) -> list[jax.Array | None]:
        if self.transposed is None:
            advice = "give lax.custom_linear_solve a transpose_solve, or symmetric=True"
            raise UnsupportedPrimitive("custom_linear_solve", self.source, advice)
        ends = [sum(self.counts[:n]) for n in range(5)]
        dy = [jnp.zeros_like(y) if d is None else d for d, y in zip(dys, results, strict=True)]
        db = results_of(self.transposed, [*operands[ends[3] : ends[4]], *dy])
        found: list[jax.Array | None] = [None] * len(operands)
        for at, d in enumerate(db, start=ends[4]):
            found[at] = d if self.flows[at] else None
        if any(self.flows[: ends[1]]):
            if isinstance(self._selection, UnsupportedPrimitive):
                raise self._selection
            # From matvec(c, y) = b: what c changes in it, y has to make up for.
            inner = [*operands[: ends[1]], *results]
            _, held = self._selection.forward(inner)
            pulled = self._selection.backward(inner, held, [-d for d in db])
            for at in range(ends[1]):
                if self.flows[at] and pulled[at] is not None:
                    found[at] = pulled[at]
        return found

    def residuals(
        self, operands: Arrays, results: Arrays, kept: None, dys: Gradients
    ) -> dict[str, jax.Array]:
        names = [f"c{at}" for at in range(sum(self.counts))]
        read = {name: value for name, value in zip(names, operands, strict=False)}
        return read | {f"y{at}" if len(results) > 1 else "y": y for at, y in enumerate(results)}

    def inside(self, operands: Arrays, step: int | None) -> tuple[ComputationGraph, list[jax.Array]]:
        refuse_step(step)
        return self.matvec, [*operands[: self.counts[0]], *self.bind(*operands)]

    def inside_upstream(
        self, operands: Arrays, kept: Any, dys: Gradients, step: int | None
    ) -> list[jax.Array | None]:
        return list(dys)


def describe_linear_solve(
    equation: Equation, flows: tuple[bool, ...], source: Source | None, build: Build
) -> Described:
    counts, programs = equation.params["const_lengths"], equation.params["jaxprs"]
    count = counts.matvec
    matvec = build(programs.matvec, (*flows[:count], *[False] * (len(programs.matvec.in_avals) - count)))
    back = programs.transpose_solve
    transposed = None if back is None else build(back, (False,) * len(back.in_avals))
    sizes = (counts.matvec, counts.vecmat, counts.solve, counts.transpose_solve)
    active = any(flows[:count]) or any(flows[sum(sizes) :])
    operation = LinearSolveOperation(binder(equation), matvec, transposed, sizes, flows, source)
    formula = "db: the transposed equation solved for dy; da = -db yᵀ (a y = b)"
    return Described("solve", operation, (active,) * len(equation.outvars), formula=formula)

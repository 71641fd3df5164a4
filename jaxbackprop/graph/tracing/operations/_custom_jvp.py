"""A function with a rule for tangents."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp

from jaxbackprop._jaxpr import Equation, call_body, function_name, jvp_rule, opened, spec

from ..._graph import Arrays, ComputationGraph, Gradients, Source
from ...passes._sweep import pull_back, results_of, taken, walk
from .._names import numbered_names
from ._described import Build, Described
from ._inside import refuse_step


@dataclasses.dataclass(frozen=True, eq=False)
class CustomJvpOperation:
    """A function with a rule for tangents: its tangent program is swept backward.

    The plain body's gradient may be another one: max(x, 0) at 0 gives 0.5, jax.nn.relu's rule 0.

    Attributes:
        plain: its forward without the rule.
        program: primals, then one tangent for each operand that a gradient flows back to, to results, then
            the tangents of those results that have one; None where no gradient flows.
        has_tangent: which results have one.
        flows: which operands a gradient flows back to.
    """

    plain: ComputationGraph
    program: ComputationGraph | None
    has_tangent: tuple[bool, ...]
    flows: tuple[bool, ...]

    @property
    def bodies(self) -> tuple[ComputationGraph, ...]:
        return (self.plain,) if self.program is None else (self.program,)

    def forward(self, operands: Arrays) -> tuple[list[jax.Array], Any]:
        if self.program is None:
            return results_of(self.plain, operands), None
        values, kept = walk(self.program, self._arguments(operands))
        primals = self.program.outputs[: len(self.has_tangent)]
        return taken(values, primals), (values, kept)

    def _arguments(self, operands: Arrays) -> list[Any]:
        # A linear function's gradient does not depend on where it is taken: any tangent will do.
        return [*operands, *map(jnp.zeros_like, itertools.compress(operands, self.flows))]

    def _upstream(self, dys: Gradients) -> list[Any]:
        return [None] * len(dys) + list(itertools.compress(dys, self.has_tangent))

    def backward(
        self, operands: Arrays, results: Arrays, kept: Any, dys: Gradients
    ) -> list[jax.Array | None]:
        assert self.program is not None
        values, beside = kept
        found = pull_back(self.program, values, beside, self._upstream(dys))
        tangents = itertools.count(len(operands))
        return [found.get(next(tangents)) if flows else None for flows in self.flows]

    def residuals(self, operands: Arrays, results: Arrays, kept: Any, dys: Gradients) -> dict[str, jax.Array]:
        return dict(zip(numbered_names(len(operands)), operands, strict=True))

    def inside(self, operands: Arrays, step: int | None) -> tuple[ComputationGraph, list[jax.Array]]:
        refuse_step(step)
        if self.program is None:
            return self.plain, list(operands)
        return self.program, self._arguments(operands)

    def inside_upstream(
        self, operands: Arrays, kept: Any, dys: Gradients, step: int | None
    ) -> list[jax.Array | None]:
        return self._upstream(dys)


def describe_custom_jvp(
    equation: Equation, flows: tuple[bool, ...], source: Source | None, build: Build
) -> Described:
    body = call_body(equation)
    assert body is not None
    label = function_name(opened(body)[0]) or "custom_jvp"
    program, has_tangent = _tangent_program(equation, flows, build) if any(flows) else (None, ())
    operation = CustomJvpOperation(build(body, (False,) * len(flows)), program, has_tangent, flows)
    active = (any(flows),) * len(equation.outvars)
    return Described(label, operation, active, formula=f"its own tangent program, swept backward ({label})")


def _tangent_program(
    equation: Equation, flows: tuple[bool, ...], build: Build
) -> tuple[ComputationGraph, tuple[bool, ...]]:
    """The program of primals and tangents that the rule stands for, and which results have a tangent."""
    rule = jvp_rule(equation)
    has_tangent: list[bool] = []

    def run(primals: list[Any], tangents: list[Any]) -> tuple[list[Any], list[Any]]:
        given = iter(tangents)
        results, pushed = rule(primals, [next(given) if f else None for f in flows])
        has_tangent[:] = [t is not None for t in pushed]
        return results, [t for t in pushed if t is not None]

    shapes = [
        jax.ShapeDtypeStruct(at.shape, at.dtype, weak_type=getattr(atom.aval, "weak_type", False))
        for atom, at in ((atom, spec(atom)) for atom in equation.invars)
    ]
    jaxpr = jax.make_jaxpr(run)(shapes, list(itertools.compress(shapes, flows)))
    graph = build(jaxpr, [False] * len(flows) + [True] * sum(flows))
    return graph, tuple(has_tangent)

"""A function with a hand-written VJP."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxbackprop._jaxpr import Equation, VjpRule, call_body, function_name, opened, vjp_rule

from ..._graph import Arrays, ComputationGraph, Gradients, Source
from ...passes._sweep import results_of
from .._operators import operator_called
from .._sources import callers
from ._described import Build, Described


@dataclasses.dataclass(frozen=True, eq=False)
class CustomVjpOperation:
    """A function with a hand-written VJP: its forward rule, its backward rule.

    Attributes:
        plain: its forward without the rule.
        rule: the two halves of the VJP.
        flows: which operands a gradient flows back to.
    """

    plain: ComputationGraph
    rule: VjpRule
    flows: tuple[bool, ...]

    bodies: tuple[ComputationGraph, ...] = ()

    def forward(self, operands: Arrays) -> tuple[list[jax.Array], list[jax.Array]]:
        if not any(self.flows):
            return results_of(self.plain, operands), []
        return self.rule.forward(operands)

    def backward(
        self, operands: Arrays, results: Arrays, kept: list[jax.Array], dys: Gradients
    ) -> list[jax.Array | None]:
        found = self.rule.backward(kept, dys)
        return [
            jnp.asarray(d).astype(node.dtype) if flows and d is not None else None
            for d, flows, node in zip(found, self.flows, self.plain.inputs, strict=True)
        ]

    def residuals(
        self, operands: Arrays, results: Arrays, kept: list[jax.Array], dys: Gradients
    ) -> dict[str, jax.Array]:
        return {f"residual {i}": value for i, value in enumerate(kept)}


def describe_custom_vjp(
    equation: Equation, flows: tuple[bool, ...], source: Source | None, build: Build
) -> Described:
    body, rule = call_body(equation), vjp_rule(equation, flows)
    assert body is not None
    operation = CustomVjpOperation(build(body, (False,) * len(flows)), rule, flows)
    active = (any(flows),) * len(equation.outvars)
    operator = operator_called(callers(equation))
    if operator is not None:
        return Described(operator.name, operation, active, formula=operator.formula, operator=operator.name)
    label = function_name(opened(body)[0]) or "custom_vjp"
    return Described(label, operation, active, formula=f"its own rule, {rule.name or 'its rule'}")

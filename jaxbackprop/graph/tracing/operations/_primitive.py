"""A primitive of JAX, with the rule of its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive

from jaxbackprop._jaxpr import Equation, binder, operation_name, spec

from ..._errors import UnsupportedPrimitive
from ..._graph import Arrays, ComputationGraph, Gradients, Source
from ...rules import BLOCKED, RULES, Local
from ._described import Build, Described

Shape = jax.ShapeDtypeStruct


@dataclasses.dataclass(frozen=True, eq=False)
class PrimitiveOperation:
    """A primitive, with the rule of its name."""

    name: str
    primitive: Primitive
    bind: Callable[..., list[jax.Array]]
    params: Mapping[str, Any]
    operands: Sequence[Shape]
    results: Sequence[Shape]
    flows: tuple[bool, ...]
    source: Source | None

    bodies: tuple[ComputationGraph, ...] = ()

    def forward(self, operands: Arrays) -> tuple[list[jax.Array], None]:
        rule = RULES.get(self.name) if any(self.flows) else None
        if rule is not None and rule.forward is not None:
            return rule.forward(self.params, *operands), None
        return self.bind(*operands), None

    def backward(
        self, operands: Arrays, results: Arrays, kept: None, dys: Gradients
    ) -> list[jax.Array | None]:
        return self._pulled(operands, results, dys)[1]

    def residuals(
        self, operands: Arrays, results: Arrays, kept: None, dys: Gradients
    ) -> dict[str, jax.Array]:
        return self._pulled(operands, results, dys)[0].residuals

    def _pulled(self, operands: Arrays, results: Arrays, dys: Gradients) -> tuple[Local, list[Any]]:
        rule = RULES.get(self.name)
        if rule is None:
            raise UnsupportedPrimitive(self.name, self.source)
        at = Local(operands, results, self.params, self.operands, self.results)
        given = [_or_zeros(dy, shape) for dy, shape in zip(dys, self.results, strict=True)]
        return at, [
            _fitted(rule.pull(at, i, *given), shape, self.name) if flows else None
            for i, (flows, shape) in enumerate(zip(self.flows, self.operands, strict=True))
        ]


def describe_primitive(
    equation: Equation, flows: tuple[bool, ...], source: Source | None, build: Build
) -> Described:
    """A primitive by itself; one that has no rule says so on the way back."""
    name = operation_name(equation)
    rule = RULES.get(name)
    operation = PrimitiveOperation(
        name,
        equation.primitive,
        binder(equation),
        equation.params,
        [spec(atom) for atom in equation.invars],
        [spec(var) for var in equation.outvars],
        flows,
        source,
    )
    active = any(flows) and name not in BLOCKED
    return Described(
        name,
        operation,
        (active,) * len(equation.outvars),
        None if rule is None else rule.gate,
        None if rule is None else rule.formula,
    )


def _or_zeros(dy: Any, shape: Shape) -> Any:
    if dy is not None or not jnp.issubdtype(shape.dtype, jnp.inexact):
        return dy
    return jnp.zeros(shape.shape, shape.dtype)


def _fitted(gradient: Any, shape: Shape, name: str) -> Any:
    """A gradient summed over the copies that broadcasting made of an operand."""
    if gradient is None:
        return None
    if gradient.dtype != shape.dtype:
        raise TypeError(
            f"the rule of {name} gives a gradient of dtype {gradient.dtype} to an operand of {shape.dtype}"
        )
    if gradient.shape == shape.shape:
        return gradient
    if shape.shape == ():
        return jnp.sum(gradient, dtype=shape.dtype)
    if len(shape.shape) == len(gradient.shape):
        copied = [
            axis
            for axis, (got, want) in enumerate(zip(gradient.shape, shape.shape, strict=True))
            if got != want and want == 1
        ]
        summed = jnp.sum(gradient, tuple(copied), keepdims=True, dtype=shape.dtype)
        if summed.shape == shape.shape:
            return summed
    raise ValueError(
        f"the rule of {name} gives a gradient of shape {gradient.shape} to an operand of {shape.shape}"
    )

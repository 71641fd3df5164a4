"""A loop whose number of steps is not known beforehand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax

from jaxbackprop._jaxpr import Equation, binder, while_parts

from ..._errors import UnsupportedPrimitive
from ..._graph import Arrays, ComputationGraph, Gradients, Source
from ._described import Build, Described


@dataclasses.dataclass(frozen=True, eq=False)
class WhileOperation:
    """A loop whose number of steps is not known beforehand: there is no way back through it."""

    bind: Callable[..., list[jax.Array]]
    bodies: tuple[ComputationGraph, ...]
    source: Source | None

    def forward(self, operands: Arrays) -> tuple[list[jax.Array], None]:
        return self.bind(*operands), None

    def backward(
        self, operands: Arrays, results: Arrays, kept: None, dys: Gradients
    ) -> list[jax.Array | None]:
        raise UnsupportedPrimitive(
            "while",
            self.source,
            "how many steps it takes is not known beforehand, so nothing can be kept for the way back; use "
            "jax.lax.scan, or jax.lax.fori_loop with bounds that are Python numbers",
        )

    def residuals(
        self, operands: Arrays, results: Arrays, kept: None, dys: Gradients
    ) -> dict[str, jax.Array]:
        return {}


def describe_while(
    equation: Equation, flows: tuple[bool, ...], source: Source | None, build: Build
) -> Described:
    loop = while_parts(equation)
    body = build(loop.body, (False,) * (len(flows) - loop.condition_constants))
    operation = WhileOperation(binder(equation), (body,), source)
    return Described("while", operation, (any(flows),) * len(equation.outvars))

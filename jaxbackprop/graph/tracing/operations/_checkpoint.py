"""A checkpointed function."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
from jax import lax

from jaxbackprop._jaxpr import Equation, checkpoint_parts

from ..._graph import Arrays, ComputationGraph, Gradients, Source
from ...passes._sweep import pull_back, taken, walk
from .._names import numbered_names
from ._described import Build, Described
from ._inside import refuse_step
from ._primitive import PrimitiveOperation


@dataclasses.dataclass(frozen=True, eq=False)
class RematOperation:
    """A checkpointed function: its values are computed again on the way back, but for those its policy saves.

    Attributes:
        body: its program.
        flows: which operands a gradient flows back to.
        policy: jax.checkpoint's: whether to save what a primitive computes.
        prevent_cse: whether XLA must be kept from using the forward pass's values after all.
    """

    body: ComputationGraph
    flows: tuple[bool, ...]
    policy: Callable[..., Any] | None
    prevent_cse: bool

    @property
    def bodies(self) -> tuple[ComputationGraph, ...]:
        return (self.body,)

    @property
    def active(self) -> tuple[bool, ...]:
        return self.body.active

    @cached_property
    def _saved(self) -> tuple[int, ...]:
        """The nodes whose values the policy saves."""
        if self.policy is None:
            return ()
        chosen = []
        for node in self.body.nodes:
            if isinstance(node.operation, PrimitiveOperation):
                primitive = node.operation
                said = self.policy(primitive.primitive, *primitive.operands, **primitive.params)
                # False, or an object that stands for computing again; saved on a host counts as saved.
                if said and type(said).__name__ != "RecomputeType":
                    chosen.append(node.index)
        return tuple(chosen)

    def forward(self, operands: Arrays) -> tuple[list[jax.Array], list[tuple[jax.Array, ...]]]:
        values, _ = walk(self.body, operands)
        return taken(values, self.body.outputs), [values[i] for i in self._saved]

    def backward(
        self, operands: Arrays, results: Arrays, kept: list[tuple[jax.Array, ...]], dys: Gradients
    ) -> list[jax.Array | None]:
        inputs, saved, upstream = list(operands), kept, list(dys)
        if self.prevent_cse:
            # With the upstream gradients, or else all would be computed again at once, before it is needed.
            inputs, saved, upstream = lax.optimization_barrier((inputs, saved, upstream))
        values, beside = walk(self.body, inputs, dict(zip(self._saved, saved, strict=True)))
        found = pull_back(self.body, values, beside, upstream)
        return [found.get(i) for i in range(len(operands))]

    def residuals(
        self, operands: Arrays, results: Arrays, kept: list[tuple[jax.Array, ...]], dys: Gradients
    ) -> dict[str, jax.Array]:
        found = dict(zip(numbered_names(len(operands)), operands, strict=True))
        for i, values in zip(self._saved, kept, strict=True):
            found[self.body.nodes[i].name] = values[0]
        return found

    def inside(self, operands: Arrays, step: int | None) -> tuple[ComputationGraph, list[jax.Array]]:
        refuse_step(step)
        return self.body, list(operands)

    def inside_upstream(
        self, operands: Arrays, kept: Any, dys: Gradients, step: int | None
    ) -> list[jax.Array | None]:
        return list(dys)


def describe_checkpoint(
    equation: Equation, flows: tuple[bool, ...], source: Source | None, build: Build
) -> Described:
    body, policy, prevent_cse = checkpoint_parts(equation)
    operation = RematOperation(build(body, flows), flows, policy, prevent_cse)
    formula = "computes its values again, then as its body does"
    return Described("checkpoint", operation, operation.active, formula=formula)

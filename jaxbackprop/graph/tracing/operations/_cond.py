"""A choice among programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..._errors import UnsupportedPrimitive
from ..._graph import Graph
from ...passes._residual_selection import ResidualSelection
from ...passes._sweep import results_of
from ._inside import planned, refuse_step


@dataclasses.dataclass(frozen=True, eq=False)
class CondOperation:
    """A choice among programs.

    Attributes:
        branches: the programs, of the same arguments.
        flows: which arguments a gradient flows back to; the first operand, the choice, not among them.
        active: which results one flows through, in some branch.
    """

    branches: tuple[Graph, ...]
    flows: tuple[bool, ...]
    active: tuple[bool, ...]

    @property
    def bodies(self) -> tuple[Graph, ...]:
        return self.branches

    @cached_property
    def _plans(self) -> list[ResidualSelection] | UnsupportedPrimitive | None:
        """How to walk each branch; what is missing in one; None where no gradient flows."""
        if not any(self.flows) or not any(self.active):
            return None
        plans = [planned(branch, self.flows) for branch in self.branches]
        missing = next((plan for plan in plans if isinstance(plan, UnsupportedPrimitive)), None)
        return missing or [plan for plan in plans if isinstance(plan, ResidualSelection)]

    @cached_property
    def _slots(self) -> tuple[list[jax.ShapeDtypeStruct], list[list[int]]]:
        """Room for what any branch keeps: shapes, and which of them each branch fills."""
        assert isinstance(self._plans, list)
        room: list[jax.ShapeDtypeStruct] = []
        places = []
        for plan in self._plans:
            free = list(range(len(room)))
            chosen = []
            for shape in plan.kept:
                fits = (i for i in free if (room[i].shape, room[i].dtype) == (shape.shape, shape.dtype))
                place = next(fits, None)
                if place is None:
                    place = len(room)
                    room.append(shape)
                else:
                    free.remove(place)
                chosen.append(place)
            places.append(chosen)
        return room, places

    def forward(self, operands: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        which, *rest = operands
        plans = self._plans
        if not isinstance(plans, list):
            plain = [_runner(branch) for branch in self.branches]
            return list(lax.switch(which, plain, *rest)), []
        room, places = self._slots

        def ahead(plan: ResidualSelection, places: list[int]) -> Callable[..., Any]:
            def run(*rest: Any) -> tuple[list[Any], list[Any]]:
                results, kept = plan.forward(rest)
                filled = dict(zip(places, kept, strict=True))
                return results, [
                    filled[i] if i in filled else jnp.zeros(s.shape, s.dtype) for i, s in enumerate(room)
                ]

            return run

        runs = [ahead(plan, chosen) for plan, chosen in zip(plans, places, strict=True)]
        results, kept = lax.switch(which, runs, *rest)
        return list(results), kept

    def backward(
        self, operands: Sequence[Any], results: Sequence[Any], kept: list[Any], dys: Sequence[Any]
    ) -> list[Any]:
        which, *rest = operands
        plans = self._plans
        if isinstance(plans, UnsupportedPrimitive):
            raise plans
        assert plans is not None

        def back(plan: ResidualSelection, places: list[int]) -> Callable[..., Any]:
            def run(rest: Any, kept: Any, dys: Any) -> list[Any]:
                found = plan.backward(rest, [kept[i] for i in places], dys)
                return [
                    (jnp.zeros_like(x) if d is None else d) if flows else None
                    for d, x, flows in zip(found, rest, self.flows, strict=True)
                ]

            return run

        _, places = self._slots
        backs = [back(plan, chosen) for plan, chosen in zip(plans, places, strict=True)]
        return [None, *lax.switch(which, backs, rest, kept, list(dys))]

    def residuals(
        self, operands: Sequence[Any], results: Sequence[Any], kept: list[Any], dys: Sequence[Any]
    ) -> dict[str, Any]:
        return {"which": operands[0], **{f"kept {i}": value for i, value in enumerate(kept)}}

    def inside(self, operands: Sequence[Any], step: int | None) -> tuple[Graph, list[Any]]:
        refuse_step(step)
        which, *rest = operands
        return self.branches[min(max(int(which), 0), len(self.branches) - 1)], list(rest)

    def inside_upstream(
        self, operands: Sequence[Any], kept: Any, dys: Sequence[Any], step: int | None
    ) -> list[Any]:
        return list(dys)


def _runner(graph: Graph) -> Callable[..., list[Any]]:
    return lambda *operands: results_of(graph, operands)

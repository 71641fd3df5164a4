"""A choice among programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxbackprop._jaxpr import Equation, branches

from ..._errors import UnsupportedPrimitive
from ..._graph import ROUTER, Arrays, ComputationGraph, Gradients, Source
from ...passes._residual_selection import ResidualSelection
from ...passes._sweep import results_of
from ._described import Build, Described
from ._inside import refuse_step, selected


@dataclasses.dataclass(frozen=True, eq=False)
class CondOperation:
    """A choice among programs.

    Attributes:
        branches: the programs, of the same arguments.
        flows: which arguments a gradient flows back to; the first operand, the choice, not among them.
        active: which results one flows through, in some branch.
    """

    branches: tuple[ComputationGraph, ...]
    flows: tuple[bool, ...]
    active: tuple[bool, ...]

    @property
    def bodies(self) -> tuple[ComputationGraph, ...]:
        return self.branches

    @cached_property
    def _selections(self) -> list[ResidualSelection] | UnsupportedPrimitive | None:
        """The two passes of each branch; the error where one lacks the second; None if no gradient flows."""
        if not any(self.flows) or not any(self.active):
            return None
        selections = [selected(branch, self.flows) for branch in self.branches]
        missing = next(
            (selection for selection in selections if isinstance(selection, UnsupportedPrimitive)), None
        )
        return missing or [selection for selection in selections if isinstance(selection, ResidualSelection)]

    @cached_property
    def _slots(self) -> tuple[list[jax.ShapeDtypeStruct], list[list[int]]]:
        """Room for what any branch keeps: shapes, and which of them each branch fills."""
        assert isinstance(self._selections, list)
        room: list[jax.ShapeDtypeStruct] = []
        places = []
        for selection in self._selections:
            free = list(range(len(room)))
            chosen = []
            for shape in selection.kept:
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

    def forward(self, operands: Arrays) -> tuple[list[jax.Array], list[jax.Array]]:
        which, *rest = operands
        selections = self._selections
        if not isinstance(selections, list):
            plain = [_runner(branch) for branch in self.branches]
            return list(lax.switch(which, plain, *rest)), []
        room, places = self._slots

        def ahead(selection: ResidualSelection, places: list[int]) -> Callable[..., Any]:
            def run(*rest: Any) -> tuple[list[Any], list[Any]]:
                results, kept = selection.forward(rest)
                filled = dict(zip(places, kept, strict=True))
                return results, [
                    filled[i] if i in filled else jnp.zeros(s.shape, s.dtype) for i, s in enumerate(room)
                ]

            return run

        runs = [ahead(selection, chosen) for selection, chosen in zip(selections, places, strict=True)]
        results, kept = lax.switch(which, runs, *rest)
        return list(results), kept

    def backward(
        self, operands: Arrays, results: Arrays, kept: list[jax.Array], dys: Gradients
    ) -> list[jax.Array | None]:
        which, *rest = operands
        selections = self._selections
        if isinstance(selections, UnsupportedPrimitive):
            raise selections
        assert selections is not None

        def back(selection: ResidualSelection, places: list[int]) -> Callable[..., Any]:
            def run(rest: Any, kept: Any, dys: Any) -> list[Any]:
                found = selection.backward(rest, [kept[i] for i in places], dys)
                return [
                    (jnp.zeros_like(x) if d is None else d) if flows else None
                    for d, x, flows in zip(found, rest, self.flows, strict=True)
                ]

            return run

        _, places = self._slots
        backs = [back(selection, chosen) for selection, chosen in zip(selections, places, strict=True)]
        return [None, *lax.switch(which, backs, rest, kept, list(dys))]

    def residuals(
        self, operands: Arrays, results: Arrays, kept: list[jax.Array], dys: Gradients
    ) -> dict[str, jax.Array]:
        return {"which": operands[0], **{f"kept {i}": value for i, value in enumerate(kept)}}

    def inside(self, operands: Arrays, step: int | None) -> tuple[ComputationGraph, list[jax.Array]]:
        refuse_step(step)
        which, *rest = operands
        return self.branches[min(max(int(which), 0), len(self.branches) - 1)], list(rest)

    def inside_upstream(
        self, operands: Arrays, kept: Any, dys: Gradients, step: int | None
    ) -> list[jax.Array | None]:
        return list(dys)


def _runner(graph: ComputationGraph) -> Callable[..., list[Any]]:
    return lambda *operands: results_of(graph, operands)


def describe_cond(
    equation: Equation, flows: tuple[bool, ...], source: Source | None, build: Build
) -> Described:
    graphs = tuple(build(branch, flows[1:]) for branch in branches(equation))
    active = tuple(any(column) for column in zip(*(graph.active for graph in graphs), strict=True))
    operation = CondOperation(graphs, flows[1:], active)
    return Described("cond", operation, active, ROUTER, "as the branch that was taken")

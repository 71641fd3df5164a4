"""A loop with a known number of steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxbackprop._jaxpr import Equation, scan_parts

from ..._errors import UnsupportedPrimitive
from ..._graph import Arrays, ComputationGraph, Gradients, Source
from ...passes._residual_selection import ResidualSelection
from ...passes._sweep import results_of
from ._described import Build, Described
from ._inside import selected


@dataclasses.dataclass(frozen=True, eq=False)
class ScanOperation:
    """A loop with a known number of steps.

    Attributes:
        body: one step: what all steps share, what is carried, and what comes in with the step, to what is
            carried on and what comes out with the step.
        consts: how many operands all steps share.
        carries: how many are carried.
        length: the number of steps.
        reverse: whether it runs from the last step to the first.
        unroll: how many steps are compiled as one.
        flows: which operands a gradient flows back to.
    """

    body: ComputationGraph
    consts: int
    carries: int
    length: int
    reverse: bool
    unroll: int | bool
    flows: tuple[bool, ...]

    @property
    def bodies(self) -> tuple[ComputationGraph, ...]:
        return (self.body,)

    @cached_property
    def _active(self) -> list[bool]:
        """Which arguments of the body a gradient flows back to: a carry may begin without one."""
        return [node.active[0] for node in self.body.inputs]

    @cached_property
    def _selection(self) -> ResidualSelection | UnsupportedPrimitive | None:
        """The two passes of a step; the error where one has no backward pass; None where none is needed."""
        if not any(self.flows):
            return None
        end = self.consts + self.carries
        return selected(self.body, self._active, range(self.consts), range(self.consts, end))

    @cached_property
    def _kept_carries(self) -> list[int]:
        """The carries whose value before each step the way back reads."""
        end = self.consts + self.carries
        read = self._selection.inputs if isinstance(self._selection, ResidualSelection) else ()
        return [i for i in read if self.consts <= i < end]

    def _parts(self, values: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        end = self.consts + self.carries
        return list(values[: self.consts]), list(values[self.consts : end]), list(values[end:])

    def forward(self, operands: Arrays) -> tuple[list[jax.Array], Any]:
        shared, start, along = self._parts(operands)
        selection = self._selection

        def step(carry: list[Any], now: list[Any]) -> tuple[list[Any], Any]:
            inputs = [*shared, *carry, *now]
            computed: list[Any] = []
            if isinstance(selection, ResidualSelection):
                results, computed = selection.forward(inputs)
            else:
                results = results_of(self.body, inputs)
            kept = [inputs[i] for i in self._kept_carries], computed
            return results[: self.carries], (results[self.carries :], kept)

        end, (out, kept) = self._scan(step, _as_arrays(start), along)
        return [*end, *out], kept

    def _scan(self, step: Callable[..., Any], start: Any, along: Any, backward: bool = False) -> Any:
        def loop(start: Any, along: Any) -> Any:
            reverse = self.reverse != backward
            return lax.scan(step, start, along, self.length, reverse=reverse, unroll=self.unroll)

        # As a function of its own an unrolled loop needs less memory at a time: it is scheduled by itself.
        return loop(start, along) if self.unroll == 1 else jax.jit(loop)(start, along)

    def backward(
        self, operands: Arrays, results: Arrays, kept: Any, dys: Gradients
    ) -> list[jax.Array | None]:
        return self._swept(operands, kept, dys)[0]

    def _swept(
        self, operands: Arrays, kept: Any, dys: Gradients, every_step: bool = False
    ) -> tuple[list[Any], Any]:
        """One gradient an operand; and, where asked for, the gradients of the carries after each step."""
        selection = self._selection
        if isinstance(selection, UnsupportedPrimitive):
            raise selection
        assert selection is not None
        shared, _, along = self._parts(operands)
        _, active_carries, active_along = self._parts(self._active)
        first = self.consts + self.carries
        read = set(selection.inputs)
        now_read = [value if first + i in read else None for i, value in enumerate(along)]
        once = selection.once([*shared, *[None] * (len(operands) - self.consts)])
        d_out = list(dys[self.carries :])
        d_end = [
            (jnp.zeros(port.shape, port.dtype) if dy is None else dy) if flows else None
            for dy, flows, port in zip(dys, active_carries, self._carried(), strict=False)
        ]
        totals = [
            jnp.zeros_like(x) if flows else None for x, flows in zip(shared, self._active, strict=False)
        ]

        def step(carry: Any, now: Any) -> tuple[Any, Any]:
            d_carry, totals = carry
            (before, computed), now_along, d_now = now
            inputs: list[Any] = [*shared, *[None] * self.carries, *now_along]
            for i, value in zip(self._kept_carries, before, strict=True):
                inputs[i] = value
            found = selection.backward(inputs, computed, [*d_carry, *d_now], once)
            d_shared, d_before, d_along = self._parts(found)
            totals = [
                t if t is None or d is None else lax.add(t, d) for t, d in zip(totals, d_shared, strict=True)
            ]
            d_before = [
                jnp.zeros_like(old) if d is None and old is not None else d
                for d, old in zip(d_before, d_carry, strict=True)
            ]
            d_along = [d if flows else None for d, flows in zip(d_along, active_along, strict=True)]
            return (d_before, totals), (d_along, d_carry if every_step else None)

        (d_start, totals), (d_along, carried) = self._scan(
            step, (d_end, totals), (kept, now_read, d_out), backward=True
        )
        found = [*totals, *d_start, *d_along]
        return [d if flows else None for d, flows in zip(found, self.flows, strict=True)], carried

    def _carried(self) -> list[jax.ShapeDtypeStruct]:
        return [node.outputs[0] for node in self.body.inputs[self.consts : self.consts + self.carries]]

    def residuals(self, operands: Arrays, results: Arrays, kept: Any, dys: Gradients) -> dict[str, jax.Array]:
        carried, computed = kept
        names = [self.body.inputs[i].name for i in self._kept_carries]
        found = {f"{name} of every step": value for name, value in zip(names, carried, strict=True)}
        found.update({f"kept {i} of every step": value for i, value in enumerate(computed)})
        return found

    def inside(self, operands: Arrays, step: int | None) -> tuple[ComputationGraph, list[jax.Array]]:
        at = self._number(step)
        shared, start, along = self._parts(operands)

        def run(carry: list[Any], now: list[Any]) -> tuple[list[Any], list[Any]]:
            return results_of(self.body, [*shared, *carry, *now])[: self.carries], carry

        _, before = self._scan(run, _as_arrays(start), along)
        return self.body, [*shared, *(x[at] for x in before), *(jnp.asarray(x)[at] for x in along)]

    def inside_upstream(
        self, operands: Arrays, kept: Any, dys: Gradients, step: int | None
    ) -> list[jax.Array | None]:
        at = self._number(step)
        _, after = self._swept(operands, kept, dys, every_step=True)
        return [None if x is None else x[at] for x in [*after, *dys[self.carries :]]]

    def _number(self, step: int | None) -> int:
        if step is None or not -self.length <= step < self.length:
            raise ValueError(f"step must be from 0 to {self.length - 1}, got {step}")
        return step % self.length


def _as_arrays(values: Sequence[Any]) -> list[Any]:
    return [jnp.asarray(value) for value in values]


def describe_scan(
    equation: Equation, flows: tuple[bool, ...], source: Source | None, build: Build
) -> Described:
    parts = scan_parts(equation)
    carries = range(parts.constants, parts.constants + parts.carried)
    flowing = list(flows)
    # A gradient flows back to a carry that begins without one, where a step lets one flow through it.
    while True:
        graph = build(parts.body, flowing)
        out = graph.active
        grown = [
            flows_in or (i in carries and out[i - parts.constants]) for i, flows_in in enumerate(flowing)
        ]
        if grown == flowing:
            break
        flowing = grown
    operation = ScanOperation(
        graph,
        consts=parts.constants,
        carries=parts.carried,
        length=parts.length,
        reverse=parts.reverse,
        unroll=parts.unroll,
        flows=flows,
    )
    active = (*flowing[carries.start : carries.stop], *out[parts.carried :])
    label, formula = f"scan × {parts.length}", "its body's gradient, from the last step back"
    return Described(label, operation, active, formula=formula, name="scan")

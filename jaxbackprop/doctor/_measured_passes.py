"""Both passes over a graph that return figures in place of values.

The figures are one number a node, or one a step inside loops. So the compiler may free each value after its
last use. Programs inside nodes are run here too. A loop runs forward; on the way back each step is computed
again from the carries before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jaxbackprop.graph import Port
from jaxbackprop.graph.passes import pull_back, taken, walk
from jaxbackprop.graph.tracing import ScanOperation

from ._dependence import uncopied
from ._figures import (
    BackwardFigures,
    CarryFigures,
    ForwardFigures,
    alive_units,
    is_float,
    is_narrow,
    norm,
    port_key,
    saturated_share,
    size,
    underflow,
)
from ._measurement_plan import InnerProgram, MeasurementPlan

T = TypeVar("T")
Arrays = Sequence[jax.Array]
Gradients = Sequence[jax.Array | None]


def measured_forward(
    plan: MeasurementPlan, inputs: Arrays
) -> tuple[Sequence[Arrays], list[Any], ForwardFigures]:
    """The forward pass: every node's results, what its operation keeps for the way back, and the figures."""
    programs = {i: _MeasuredProgram(program) for i, program in plan.inner.items()}
    values, kept = walk(plan.graph, inputs, instead=programs)
    figures = ForwardFigures(
        size={i: size(plan, values[i]) for i in plan.values if any(map(is_float, values[i]))},
        saturated={
            i: saturated_share(a, values[i][0]) for i, a in plan.activations.items() if a.kind != "relu"
        },
        alive={i: alive_units(a, values[i][0]) for i, a in plan.activations.items() if a.kind == "relu"},
        inner={i: p.forward_figures for i, p in programs.items() if p.forward_figures is not None},
    )
    return values, kept, figures


def measured_backward(
    plan: MeasurementPlan,
    values: Sequence[Arrays],
    kept: Sequence[Any],
    dys: Gradients,
    scale: jax.Array | None = None,
) -> tuple[dict[int, jax.Array], dict[Port, jax.Array], BackwardFigures]:
    """The backward pass: the gradient of each input, by its number; of each port; and the figures.

    Args:
        plan: what is measured.
        values: of the forward pass, by node.
        kept: beside them.
        dys: the gradients that it begins with.
        scale: what they were multiplied by, to measure what underflows without it; None measures none.
    """
    gradients: dict[Port, jax.Array] = {}
    programs = {i: _MeasuredProgram(program, scale) for i, program in plan.inner.items()}
    of_inputs = pull_back(plan.graph, values, kept, dys, gradients, programs)
    figures = BackwardFigures(
        gradient={port_key(port): size(plan, (gradients[port],)) for port in plan.ports if port in gradients},
        underflow={}
        if scale is None
        else {
            port_key(port): underflow(gradients[port], scale)
            for port in plan.ports
            if port in gradients and is_narrow(gradients[port].dtype)
        },
        inner={i: p.backward_figures for i, p in programs.items() if p.backward_figures is not None},
        carries={},
    )
    return of_inputs, gradients, figures


class _MeasuredProgram:
    """Replaces the operation of a node with a program inside; holds the figures of the last pass."""

    def __init__(self, program: InnerProgram, scale: jax.Array | None = None) -> None:
        self._program, self._scale = program, scale
        self.forward_figures: ForwardFigures | None = None
        self.backward_figures: BackwardFigures | None = None

    def forward(self, operands: Arrays) -> tuple[list[jax.Array], Any]:
        plan, scan = self._program.plan, self._program.scan
        if scan is None:
            values, kept, self.forward_figures = measured_forward(plan, operands)
            return taken(values, plan.graph.outputs), (values, kept)
        results, before, self.forward_figures = _loop_forward(plan, scan, operands)
        return results, before

    def backward(
        self, operands: Arrays, results: Arrays, kept: Any, dys: Gradients
    ) -> list[jax.Array | None]:
        plan, scan = self._program.plan, self._program.scan
        if scan is None:
            values, beside = kept
            of_inputs, _, self.backward_figures = measured_backward(plan, values, beside, dys, self._scale)
            return [of_inputs.get(i) for i in range(len(operands))]
        downstream, self.backward_figures = _loop_backward(
            self._program, scan, operands, kept, dys, self._scale
        )
        return downstream


def _loop_forward(
    plan: MeasurementPlan, scan: ScanOperation, operands: Arrays
) -> tuple[list[jax.Array], list[jax.Array], ForwardFigures]:
    """A loop's results, the carries before each step, and the figures of each step."""
    shared, start, along = _parts(scan, operands)

    def step(carry: list[jax.Array], now: list[jax.Array]) -> tuple[list[jax.Array], Any]:
        values, _, figures = measured_forward(plan, [*shared, *carry, *now])
        results = taken(values, plan.graph.outputs)
        return results[: scan.carries], (results[scan.carries :], carry, figures)

    start = [jnp.asarray(x) for x in start]
    end, (out, before, figures) = lax.scan(step, start, along, scan.length, reverse=scan.reverse)
    return [*end, *out], before, figures


def _loop_backward(
    program: InnerProgram,
    scan: ScanOperation,
    operands: Arrays,
    carries: Arrays,
    dys: Gradients,
    scale: jax.Array | None,
) -> tuple[list[jax.Array | None], BackwardFigures]:
    """One gradient an operand, and the figures of each step; `carries` are those before each step."""
    plan = program.plan
    graph = plan.graph
    shared, _, along = _parts(scan, operands)
    active_shared, active_carries, active_along = _parts(scan, [node.active[0] for node in graph.inputs])
    d_end = [
        _or_zeros(dy, node.outputs[0]) if flows else None
        for dy, flows, node in zip(dys, active_carries, graph.inputs[scan.consts :], strict=False)
    ]
    totals = [jnp.zeros_like(x) if flows else None for x, flows in zip(shared, active_shared, strict=True)]

    def step(carry: Any, now: Any) -> tuple[Any, Any]:
        d_after, totals = carry
        before, now_along, d_now = now
        values, kept, _ = measured_forward(plan, [*shared, *before, *now_along])
        of_inputs, gradients, figures = measured_backward(plan, values, kept, [*d_after, *d_now], scale)
        d_shared, d_before, d_along = _parts(scan, [of_inputs.get(i) for i in range(len(operands))])
        d_before = [
            None if old is None else _or_zeros(new, old) for new, old in zip(d_before, d_after, strict=True)
        ]
        totals = [t if t is None or d is None else t + d for t, d in zip(totals, d_shared, strict=True)]
        d_along = [
            _or_zeros(d, x) if flows else None
            for d, flows, x in zip(d_along, active_along, now_along, strict=True)
        ]
        if not plan.exhaustive:
            figures = figures._replace(carries=_carry_figures(program, d_before, d_after, gradients))
        return (d_before, totals), (d_along, figures)

    along_and_dys = (carries, along, list(dys[scan.carries :]))
    (d_start, totals), (d_along, figures) = lax.scan(
        step, (d_end, totals), along_and_dys, scan.length, reverse=not scan.reverse
    )
    found = [*totals, *d_start, *d_along]
    return [d if flows else None for d, flows in zip(found, scan.flows, strict=True)], figures


def _carry_figures(
    program: InnerProgram,
    d_before: Gradients,
    d_after: Gradients,
    gradients: Mapping[Port, jax.Array],
) -> dict[int, CarryFigures]:
    graph = program.plan.graph
    found = {}
    for i in program.carries():
        before, after = d_before[i], d_after[i]
        assert before is not None
        assert after is not None
        total = gradients.get(uncopied(graph, graph.outputs[i]))
        total = after if total is None or total.shape != after.shape else total
        found[i] = CarryFigures(norm(before), norm(total), norm(total - after))
    return found


def _parts(scan: ScanOperation, values: Sequence[T]) -> tuple[list[T], list[T], list[T]]:
    """What all steps share, what is carried, and what comes in with each step."""
    end = scan.consts + scan.carries
    return list(values[: scan.consts]), list(values[scan.consts : end]), list(values[end:])


def _or_zeros(dy: jax.Array | None, like: jax.Array | jax.ShapeDtypeStruct) -> jax.Array:
    return jnp.zeros(like.shape, like.dtype) if dy is None else dy

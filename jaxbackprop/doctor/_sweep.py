"""Both passes over a graph, with figures taken on the way instead of values kept.

What comes out is a number a node (a number a step inside loops), so that the compiler may let go of a value
as soon as the last who needs it is done. Programs inside nodes are walked here too: a loop forward, then
backward with each step computed again from the state before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxbackprop._precision import accumulator
from jaxbackprop.graph._graph import Port
from jaxbackprop.graph.passes import _sweep as sweep
from jaxbackprop.graph.passes._sweep import taken
from jaxbackprop.graph.tracing.operations import ScanOperation

from ._activations import Activation
from ._structure import uncopied
from ._thresholds import threshold
from ._wanted import Inside, Wanted

Figures = dict[str, Any]


def walk(wanted: Wanted, inputs: Sequence[Any]) -> tuple[list[Any], list[Any], Figures]:
    """The forward pass: every node's results, what its operation keeps beside, and the figures."""
    insides = {i: _Measured(program) for i, program in wanted.inside.items()}
    values, kept = sweep.walk(wanted.graph, inputs, instead=insides)
    figures: Figures = {
        "size": {i: _size(wanted, values[i]) for i in wanted.values if any(map(_is_float, values[i]))},
        "saturated": {},
        "alive": {},
        "inside": _figures_of(insides),
    }
    for i, activation in wanted.activations.items():
        if activation.kind == "relu":
            figures["alive"][i] = _alive(activation, values[i][0])
        else:
            figures["saturated"][i] = _saturated(activation, values[i][0])
    return values, kept, figures


def pull_back(
    wanted: Wanted, values: Sequence[Any], kept: Sequence[Any], dys: Sequence[Any]
) -> tuple[dict[int, Any], dict[Port, Any], Figures]:
    """The backward pass: the gradient of each argument, of every port, and the figures."""
    gradients: dict[Port, Any] = {}
    insides = {i: _Measured(program) for i, program in wanted.inside.items()}
    arrived = sweep.pull_back(wanted.graph, values, kept, dys, gradients, insides)
    figures: Figures = {
        "gradient": {
            key(port): _size(wanted, (gradients[port],)) for port in wanted.ports if port in gradients
        },
        "inside": _figures_of(insides),
    }
    return arrived, gradients, figures


class _Measured:
    """Stands in for the operation of a node that has a program inside; notes the figures of the last pass."""

    def __init__(self, program: Inside):
        self._program = program
        self.figures: Figures | None = None

    def forward(self, operands: Sequence[Any]) -> tuple[list[Any], Any]:
        results, beside, self.figures = _walk_inside(self._program, operands)
        return results, beside

    def backward(
        self, operands: Sequence[Any], results: Sequence[Any], kept: Any, dys: Sequence[Any]
    ) -> list[Any]:
        downstream, self.figures = _pull_inside(self._program, operands, kept, dys)
        return downstream


def _figures_of(insides: dict[int, _Measured]) -> Figures:
    """By the node's index, as text; nodes that the pass did not come to have none."""
    return {str(i): inside.figures for i, inside in insides.items() if inside.figures is not None}


def _walk_inside(program: Inside, operands: Sequence[Any]) -> tuple[list[Any], Any, Figures]:
    graph = program.wanted.graph
    if program.kind == "once":
        values, kept, figures = walk(program.wanted, operands)
        return taken(values, graph.outputs), (values, kept), figures
    scan = program.scan
    assert scan is not None
    shared, start, along = _parts(scan, operands)

    def step(carry: list[Any], now: list[Any]) -> tuple[list[Any], Any]:
        values, _, figures = walk(program.wanted, [*shared, *carry, *now])
        results = taken(values, graph.outputs)
        return results[: scan.carries], (results[scan.carries :], carry, figures)

    start = [jnp.asarray(x) for x in start]
    end, (out, before, figures) = lax.scan(step, start, along, scan.length, reverse=scan.reverse)
    return [*end, *out], before, figures


def _pull_inside(
    program: Inside, operands: Sequence[Any], kept: Any, dys: Sequence[Any]
) -> tuple[list[Any], Figures]:
    graph = program.wanted.graph
    if program.kind == "once":
        values, beside = kept
        arrived, _, figures = pull_back(program.wanted, values, beside, dys)
        return [arrived.get(i) for i in range(len(operands))], figures
    scan = program.scan
    assert scan is not None
    shared, _, along = _parts(scan, operands)
    active = [node.active[0] for node in graph.inputs]
    active_shared, active_carries, active_along = _parts(scan, active)
    d_end = [
        (jnp.zeros(node.shape, node.dtype) if dy is None else dy) if flows else None
        for dy, flows, node in zip(dys, active_carries, graph.inputs[scan.consts :], strict=False)
    ]
    totals = [jnp.zeros_like(x) if flows else None for x, flows in zip(shared, active_shared, strict=True)]

    def step(carry: Any, now: Any) -> tuple[Any, Any]:
        d_after, totals = carry
        before, now_along, d_now = now
        values, beside, _ = walk(program.wanted, [*shared, *before, *now_along])
        arrived, ports, figures = pull_back(program.wanted, values, beside, [*d_after, *d_now])
        found = [arrived.get(i) for i in range(len(operands))]
        d_shared, d_before, d_along = _parts(scan, found)
        d_before = [
            jnp.zeros_like(old) if new is None and old is not None else new if old is not None else None
            for new, old in zip(d_before, d_after, strict=True)
        ]
        totals = [t if t is None or d is None else t + d for t, d in zip(totals, d_shared, strict=True)]
        d_along = [
            (jnp.zeros_like(x) if d is None else d) if flows else None
            for d, flows, x in zip(d_along, active_along, now_along, strict=True)
        ]
        if not program.wanted.every:
            figures["flow"] = _flow(program, d_before, d_after, ports)
        return (d_before, totals), (d_along, figures)

    (d_start, totals), (d_along, figures) = lax.scan(
        step, (d_end, totals), (kept, along, list(dys[scan.carries :])), scan.length, reverse=not scan.reverse
    )
    found = [*totals, *d_start, *d_along]
    return [d if flows else None for d, flows in zip(found, scan.flows, strict=True)], figures


def _flow(program: Inside, before: Any, after: Any, ports: dict[Port, Any]) -> Figures:
    """Of every carry the gradient before the step, behind it, and what the step's own result adds to it."""
    graph = program.wanted.graph
    found: Figures = {}
    for i in program.carries:
        total = ports.get(uncopied(graph, graph.outputs[i]))
        total = after[i] if total is None or total.shape != after[i].shape else total
        found[str(i)] = {
            "before": norm(before[i]),
            "total": norm(total),
            "added": norm(total - after[i]),
        }
    return found


def _parts(scan: ScanOperation, values: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    end = scan.consts + scan.carries
    return list(values[: scan.consts]), list(values[scan.consts : end]), list(values[end:])


# ---- figures ----------------------------------------------------------------------------------------------


def norm(x: Any) -> Any:
    """The Euclidean norm in float32 at least, also where the squares leave the range of the numbers."""
    x = jnp.asarray(x)
    if x.size == 0:
        return jnp.zeros((), jnp.float32)
    x = jnp.abs(x)
    x = x.astype(accumulator(x.dtype))
    largest = jnp.max(x)
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, jnp.ones_like(largest))
    return largest * jnp.sqrt(jnp.sum(jnp.square(x / scale))) if x.ndim else largest


def key(port: Port) -> str:
    """What a port's figures are called."""
    return f"{port.node}.{port.output}"


def _size(wanted: Wanted, results: Sequence[Any]) -> Any:
    """The norm of the first result; where all is measured, the largest size in any, nan where one is nan."""
    floats = [jnp.asarray(x) for x in results if _is_float(x)]
    if not wanted.every:
        return norm(floats[0])
    largest = jnp.zeros((), jnp.float32)
    for x in floats:
        largest = jnp.maximum(largest, jnp.max(jnp.abs(x), initial=0).astype(jnp.float32))
    return largest


def _is_float(x: Any) -> bool:
    return jnp.issubdtype(jnp.asarray(x).dtype, jnp.inexact)


def _saturated(activation: Activation, y: Any) -> Any:
    """The share of saturated entries."""
    y = jnp.asarray(y).astype(jnp.float32)
    if activation.kind == "hardtanh":
        stuck = jnp.abs(y) >= activation.bound
    else:
        # The slope, in parts of the largest: y (1 - y) of 1/4, and 1 - y² of 1.
        slope = 4 * y * (1 - y) if activation.kind == "sigmoid" else 1 - y * y
        stuck = slope < threshold("saturated slope")
    return jnp.mean(stuck.astype(jnp.float32))


def _alive(activation: Activation, y: Any) -> Any:
    """Which units are active on some example: of both ways to read the axes where it is not known."""
    axes = tuple(range(y.ndim))
    on = y > 0
    found = {"units": jnp.any(on, tuple(a for a in axes if a not in activation.units))}
    if not activation.sure:
        found["examples"] = jnp.any(on, activation.units)
    return found

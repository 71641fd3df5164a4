"""Forward in topological order, backward in the reverse, adding where a value was copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from .._graph import Arrays, ComputationGraph, Gradients, Port

Values = list[tuple[jax.Array, ...]]


def walk(
    graph: ComputationGraph,
    inputs: Arrays,
    known: Mapping[int, tuple[jax.Array, ...]] | None = None,
    instead: Mapping[int, Any] | None = None,
) -> tuple[Values, list[Any]]:
    """The forward pass: every node's results, and what its operation keeps beside.

    Args:
        graph: what to walk.
        inputs: its arguments, flat.
        known: results of nodes that need not be computed, by the node's index.
        instead: operations that stand in for nodes' own, by the node's index.
    """
    known, instead = known or {}, instead or {}
    values: Values = []
    kept: list[Any] = []
    given = iter(inputs)
    for node in graph.nodes:
        beside = None
        if node.kind == "input":
            results: Arrays = (next(given),)
        elif node.kind == "constant":
            results = (node.value,)
        elif node.index in known:
            results = known[node.index]
        else:
            operands = taken(values, node.inputs)
            if node.kind == "copy":
                results = (operands[0],) * len(node.outputs)
            else:
                operation = instead.get(node.index, node.operation)
                assert operation is not None
                results, beside = operation.forward(operands)
        values.append(tuple(results))
        kept.append(beside)
    return values, kept


def results_of(graph: ComputationGraph, inputs: Arrays) -> list[jax.Array]:
    """A graph's results, flat."""
    values, _ = walk(graph, inputs)
    return taken(values, graph.outputs)


def taken(values: Sequence[Arrays], ports: Sequence[Port]) -> list[jax.Array]:
    """The values of ports."""
    return [values[port.node][port.output] for port in ports]


def pull_back(
    graph: ComputationGraph,
    values: Sequence[Arrays],
    kept: Sequence[Any],
    dys: Gradients,
    record: dict[Port, jax.Array] | None = None,
    instead: Mapping[int, Any] | None = None,
) -> dict[int, jax.Array]:
    """The backward pass: the gradient of each argument that one flows back to, by its number.

    Args:
        graph: what was walked.
        values: of `walk`.
        kept: of `walk`.
        dys: one upstream gradient a result of the graph; None where none comes.
        record: where to note the gradient that flows back through each port.
        instead: of `walk`.
    """
    instead = instead or {}
    # Every port through which a gradient flows is used once: nothing is added up but at copies.
    gradients: dict[Port, jax.Array] = {} if record is None else record
    for port, active, dy in zip(graph.outputs, graph.active, dys, strict=True):
        if dy is not None and active:
            gradients[port] = dy
    for node in reversed(graph.nodes):
        if not any(node.active_inputs):
            continue
        upstream = [gradients.get(Port(node.index, k)) for k in range(len(node.outputs))]
        if all(dy is None for dy in upstream):
            continue
        if node.kind == "copy":
            downstream = [added(upstream)]
        else:
            operation = instead.get(node.index, node.operation)
            assert operation is not None
            operands = taken(values, node.inputs)
            downstream = operation.backward(operands, values[node.index], kept[node.index], upstream)
        for port, flows, gradient in zip(node.inputs, node.active_inputs, downstream, strict=True):
            if flows and gradient is not None:
                gradients[port] = gradient
    return {
        i: gradients[Port(node.index, 0)]
        for i, node in enumerate(graph.inputs)
        if Port(node.index, 0) in gradients
    }


def added(gradients: Gradients) -> jax.Array | None:
    """The sum of what came back from each use of a copied value; the last use came back first."""
    total = None
    for gradient in reversed(gradients):
        if gradient is not None:
            total = gradient if total is None else jax.lax.add(total, gradient)
    return total

"""What the two passes cost, in multiplications."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax

from .._graph import ComputationGraph, Node
from ._count import multiplications


@dataclasses.dataclass(frozen=True)
class NodeCost:
    """A node's multiplications.

    Attributes:
        node: which.
        forward: to compute its results.
        backward: to compute the gradients that it passes on.
    """

    node: Node
    forward: int
    backward: int


@dataclasses.dataclass(frozen=True)
class Cost:
    """Multiplications of a graph; `_count.multiplications` says what counts as how many.

    Attributes:
        nodes: one entry a node, in order.
    """

    nodes: tuple[NodeCost, ...]

    @property
    def forward(self) -> int:
        """Of the whole forward pass."""
        return sum(node.forward for node in self.nodes)

    @property
    def backward(self) -> int:
        """Of the whole backward pass."""
        return sum(node.backward for node in self.nodes)

    @property
    def ratio(self) -> float:
        """Backward over forward; nan where neither multiplies, inf where the forward pass alone does not."""
        if self.forward:
            return self.backward / self.forward
        return math.inf if self.backward else math.nan


def cost(graph: ComputationGraph) -> Cost:
    """Counts the multiplications of both passes; see `Graph.cost`.

    Raises:
        UnsupportedPrimitive: where a gradient must pass what has no rule.
    """
    return Cost(tuple(_of(graph, node) for node in graph.nodes))


def _of(graph: ComputationGraph, node: Node) -> NodeCost:
    operation = node.operation
    if operation is None:
        return NodeCost(node, 0, 0)
    operands = [graph.nodes[port.node].outputs[port.output] for port in node.inputs]

    def ahead(*operands: Any) -> list[Any]:
        return list(operation.forward(operands)[0])

    forward = multiplications(jax.make_jaxpr(ahead)(*operands), live=True)
    if not any(node.active_inputs):
        return NodeCost(node, forward, 0)

    def both(operands: Sequence[Any], dys: Sequence[Any]) -> tuple[Any, Any]:
        results, kept = operation.forward(operands)
        return list(results), operation.backward(operands, results, kept, dys)

    dys = [shape if flows else None for shape, flows in zip(node.outputs, node.active, strict=True)]
    everything = multiplications(jax.make_jaxpr(both)(operands, dys), live=True)
    return NodeCost(node, forward, everything - forward)

"""The nodes of a graph that apply weights."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Sequence

from jaxbackprop.graph import ComputationGraph, Node
from jaxbackprop.graph.tracing import PrimitiveOperation
from jaxbackprop.ops.catalogue import CATALOGUE

from ._dependence import origin


@dataclasses.dataclass(frozen=True)
class Layer:
    """A node that applies weights.

    Attributes:
        node: the node.
        weight: position of the operand that holds the weights.
        state: position of the operand that they are applied to.
        sure: whether it is known which operand is which.
    """

    node: Node
    weight: int
    state: int
    sure: bool = True


def layers_of(graph: ComputationGraph, depends_on: Sequence[int], parameters: int) -> dict[int, Layer]:
    """The layers, by the node's index.

    Args:
        graph: the whole graph, or that of a program inside it.
        depends_on: for each node the set of arguments that it depends on; see `dependencies`.
        parameters: the set of arguments that are parameters.
    """
    found = {}
    for node in graph.nodes:
        layer = None
        if node.primitive in ("dot_general", "conv_general_dilated"):
            layer = _product(graph, node, depends_on, parameters)
        elif node.operator in _operators():
            layer = Layer(node, _operators()[node.operator], 0)
        if layer is not None:
            found[node.index] = layer
    # An operand that holds weights in one product holds them in all.
    weights = {origin(graph, layer.node.inputs[layer.weight]) for layer in found.values() if layer.sure}
    for i, layer in found.items():
        if not layer.sure:
            known = [origin(graph, port) in weights for port in layer.node.inputs[:2]]
            found[i] = _told_apart(layer.node, known) or layer
    return found


@functools.cache
def _operators() -> dict[str, int]:
    """This package's operators that apply weights W to x, with the position of W."""
    return {
        row.name: list(inspect.signature(row.op).parameters).index("W")
        for row in CATALOGUE
        if row.kind == "layer"
    }


def _product(graph: ComputationGraph, node: Node, depends_on: Sequence[int], parameters: int) -> Layer | None:
    """The layer that a product is, if one operand depends on parameters alone."""
    ports = node.inputs[:2]
    able = [not depends_on[port.node] & ~parameters for port in ports]
    if able == [False, False]:
        return None
    if node.primitive == "conv_general_dilated":
        return Layer(node, 1, 0)
    if able == [True, True]:
        # Of two that do, the weights are the one that nothing but moves was done to.
        able = [graph.nodes[origin(graph, port).node].kind != "operation" for port in ports]
        if able == [False, False]:
            return None
    return _told_apart(node, able) or Layer(node, 1, 0, sure=False)


def _told_apart(node: Node, able: Sequence[bool]) -> Layer | None:
    """The layer where just one of the two operands can be the weights."""
    if able[0] == able[1]:
        return None
    weight = 0 if able[0] else 1
    return Layer(node, weight, 1 - weight)


def fan_out(layer: Layer) -> tuple[int, ...]:
    """The axes of a layer's result that are its units."""
    rank = len(layer.node.shape)
    operation = layer.node.operation
    if not isinstance(operation, PrimitiveOperation):
        return (rank - 1,)
    numbers = operation.params["dimension_numbers"]
    if layer.node.primitive == "conv_general_dilated":
        return (int(numbers.out_spec[1]),)
    # The axes of a dot_general's result: batch, then the rest of the left operand, then that of the right.
    (contracted, _), (batch, _) = numbers
    split = len(operation.operands[0].shape) - len(contracted)
    return tuple(range(split, rank)) if layer.weight == 1 else tuple(range(len(batch), split))

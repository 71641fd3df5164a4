"""Where a value was made, and which inputs and nodes it depends on."""

from __future__ import annotations

from collections.abc import Sequence

from jaxbackprop.graph import ComputationGraph, Port

# Primitives that leave the numbers as they are, elsewhere or in another shape or dtype.
_MOVES = frozenset(
    "broadcast_in_dim convert_element_type copy copy_p expand_dims reduce_precision reshape squeeze "
    "transpose".split()
)


def uncopied(graph: ComputationGraph, port: Port) -> Port:
    """Where a value was made, before the copy node that hands it on."""
    node = graph.nodes[port.node]
    return node.inputs[0] if node.kind == "copy" else port


def origin(graph: ComputationGraph, port: Port) -> Port:
    """Where a value was made, before it was copied, moved or reshaped."""
    while True:
        node = graph.nodes[port.node]
        if node.kind == "copy" or (node.kind == "operation" and node.primitive in _MOVES):
            port = node.inputs[0]
        else:
            return port


def dependencies(graph: ComputationGraph, inputs: Sequence[int] | None = None) -> list[int]:
    """For each node the set of arguments that it depends on: bit i of a number stands for argument i.

    Args:
        graph: the whole graph, or that of a program inside it.
        inputs: the sets of the graph's own inputs; None for the whole graph, whose inputs are the arguments.
    """
    sets = iter([1 << i for i in range(len(graph.inputs))] if inputs is None else inputs)
    found: list[int] = []
    for node in graph.nodes:
        joined = next(sets) if node.kind == "input" else 0
        for port in node.inputs:
            joined |= found[port.node]
        found.append(joined)
    return found


def needed(graph: ComputationGraph) -> set[int]:
    """The nodes that the results depend on."""
    found = {port.node for port in graph.outputs}
    for node in reversed(graph.nodes):
        if node.index in found:
            found.update(port.node for port in node.inputs)
    return found

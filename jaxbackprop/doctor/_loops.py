"""The recurrences of loops: what a scan carries from step to step."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from jaxbackprop.graph import ComputationGraph, Node, Port
from jaxbackprop.graph.tracing import ScanOperation

from ._dependence import origin
from ._findings import path
from ._measured_graph import MeasuredGraph
from ._node_health import has_own_rule
from ._recurrence import Recurrence, growth, is_fed

# What may stand between a sigmoid and the product that it gates, such as 1 - y or a slice.
_FOLLOWED = frozenset(
    "add add_any sub slice dynamic_slice squeeze reshape transpose broadcast_in_dim "
    "convert_element_type copy split mul neg concatenate".split()
)
_FOLLOWED_AT_MOST = 30


def loop_recurrences(body: MeasuredGraph) -> list[Recurrence]:
    """The recurrences of a loop, one a carry that a gradient flows through.

    Args:
        body: the measured body of the loop, or another measured graph, which has none.
    """
    if body.backward is None or not body.backward.carries:
        return []
    scan = body.inside[-1].operation
    assert isinstance(scan, ScanOperation)
    opened = next((i for i, node in enumerate(body.inside) if has_own_rule(node)), len(body.inside) - 1)
    node, inside = body.inside[opened], body.inside[:opened]
    gated, layered = _is_gated(body, scan), _is_layered(body, scan)
    found = []
    for carry, figures in body.backward.carries.items():
        if _is_store(body.graph, scan, carry):
            continue
        before, total, added = (np.asarray(body.by_step(np.asarray(x, np.float64))) for x in figures)
        grown = growth(before, total)
        if grown:
            name = body.graph.inputs[scan.consts + carry].name
            # The last step's gradient always comes from its own result.
            fed = is_fed(added[:-1], total[:-1])
            norms = tuple(total.tolist())
            found.append(
                Recurrence(node, path(node, inside), name, grown, norms, fed, gated, layered, body.inside[0])
            )
    return found


def _is_layered(body: MeasuredGraph, scan: ScanOperation) -> bool:
    """Whether weights come in with every step."""
    graph = body.graph
    along = {node.index for node in graph.inputs[scan.consts + scan.carries :]}
    return any(
        origin(graph, layer.node.inputs[layer.weight]).node in along for layer in body.plan.layers.values()
    )


def _is_store(graph: ComputationGraph, scan: ScanOperation, carry: int) -> bool:
    """Whether each step only writes its part into what is carried, so that no step reads another's."""
    port = graph.outputs[carry]
    while True:
        port = origin(graph, port)
        node = graph.nodes[port.node]
        if not (node.primitive or "").startswith(("dynamic_update_slice", "scatter")):
            return node is graph.inputs[scan.consts + carry]
        port = node.inputs[0]


def _is_gated(body: MeasuredGraph, scan: ScanOperation) -> bool:
    """Whether something carried is multiplied by a sigmoid, whose bias may learn to keep it."""
    graph = body.graph
    carried = {node.index for node in graph.inputs[scan.consts : scan.consts + scan.carries]}
    sigmoids = {i for i, a in body.plan.activations.items() if a.kind == "sigmoid"}
    return any(_multiplies(graph, node, carried, sigmoids) for node in graph.nodes)


def _multiplies(
    graph: ComputationGraph, node: Node, carried: Collection[int], sigmoids: Collection[int]
) -> bool:
    """Whether a node is a product of something carried and a sigmoid."""
    if node.primitive != "mul" and node.operator != "multiply":
        return False
    x, y = node.inputs[:2]
    return any(
        origin(graph, port).node in carried and _is_made_of(graph, other, sigmoids)
        for port, other in ((x, y), (y, x))
    )


def _is_made_of(graph: ComputationGraph, port: Port, sigmoids: Collection[int]) -> bool:
    """Whether a value is a sigmoid's, perhaps 1 minus it, or a part of it."""
    pending, seen = [port], 0
    while pending and seen < _FOLLOWED_AT_MOST:
        seen += 1
        node = graph.nodes[pending.pop().node]
        if node.index in sigmoids:
            return True
        if node.kind == "copy" or node.primitive in _FOLLOWED:
            pending += node.inputs
    return False

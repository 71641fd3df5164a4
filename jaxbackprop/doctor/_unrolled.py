"""The recurrences of unrolled loops: the same weights applied again and again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxbackprop.graph import Port

from ._dependence import origin, uncopied
from ._findings import path
from ._layers import Layer
from ._measured_graph import MeasuredGraph
from ._recurrence import Recurrence, growth, is_fed
from ._thresholds import threshold


def unrolled_recurrences(of: MeasuredGraph) -> list[Recurrence]:
    """The recurrences of the unrolled loops in a graph that stands in no loop."""
    if of.in_loop:
        return []
    return [found for layers in unrolled_sequences(of) if (found := _recurrence(of, layers)) is not None]


def unrolled_sequences(of: MeasuredGraph) -> list[list[Layer]]:
    """Layers that apply the same weights, each to a value that depends on the one before."""
    graph, layers = of.graph, of.plan.layers
    # For each node the layers that it depends on, itself included: bit i stands for the i-th layer.
    behind: list[int] = []
    bits = {index: i for i, index in enumerate(layers)}
    for node in graph.nodes:
        joined = 0
        for port in node.inputs:
            joined |= behind[port.node]
        behind.append(joined | (1 << bits[node.index] if node.index in bits else 0))
    by_weight: dict[Port, list[Layer]] = {}
    for layer in layers.values():
        if layer.sure:
            by_weight.setdefault(origin(graph, layer.node.inputs[layer.weight]), []).append(layer)
    return [
        group
        for group in by_weight.values()
        if len(group) > threshold("steps")
        and all(
            behind[after.node.inputs[after.state].node] >> bits[before.node.index] & 1
            for before, after in zip(group, group[1:], strict=False)
        )
    ]


def _recurrence(of: MeasuredGraph, layers: Sequence[Layer]) -> Recurrence | None:
    before, total, added = [], [], []
    for step, after in zip(layers, layers[1:], strict=False):
        own = of.total_gradient(step.node.inputs[step.state])
        taken = of.total_gradient(after.node.inputs[after.state])
        whole = of.total_gradient(uncopied(of.graph, after.node.inputs[after.state]))
        if own is None or whole is None or taken is None:
            return None
        before.append(own)
        total.append(whole)
        added.append(abs(whole - taken))
    grown = growth(np.array(before), np.array(total))
    if not grown:
        return None
    first = layers[0]
    return Recurrence(
        node=first.node,
        name=path(first.node, of.inside),
        carry=of.graph.nodes[origin(of.graph, first.node.inputs[first.state]).node].name,
        growth=grown,
        norms=tuple(total),
        fed=is_fed(np.array(added), np.array(total)),
        gated=any(a.kind == "sigmoid" and a.gate for a in of.plan.activations.values()),
        layered=False,
        outer=of.inside[0] if of.inside else first.node,
    )

"""Weights that multiply the size of what passes them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ._by_depth import EXPLODING_REMEDY
from ._dependence import uncopied
from ._findings import Finding, finding_at, likewise, number
from ._layers import Layer, fan_out
from ._measured_graph import MeasuredGraph
from ._thresholds import threshold


def too_large(measured: Sequence[MeasuredGraph]) -> list[Finding]:
    """The layer with the largest gain, if that is too large and its result shows it."""
    found = [
        (gain, of, layer)
        for of in measured
        for layer in of.plan.layers.values()
        if (gain := _gain(of, layer)) is not None and gain >= threshold("weight gain")
    ]
    shown = [each for each in found if _amplifies(each[1], each[2])]
    if not shown:
        return []
    gain, of, layer = max(shown, key=lambda each: each[0])
    weight = of.graph.nodes[layer.node.inputs[layer.weight].node]
    said = f" ({weight.name})" if weight.kind == "input" else ""
    others = [each[2].node for each in found if each[2] is not layer]
    message = (
        f"its weights{said} are too large: they multiply the size of what passes by {number(gain)}, forward "
        "and backward alike, so that values and gradients explode from layer to layer"
    ) + likewise([node.name for node in others])
    unit = "gain of the weights"
    return [finding_at(layer.node, of.inside, "exploding", gain, unit, message, EXPLODING_REMEDY, others)]


def _gain(of: MeasuredGraph, layer: Layer) -> float | None:
    """How much larger than its inputs a layer's results are, if the inputs are independent of one another."""
    if not layer.sure:
        return None
    norm = of.weight(layer)
    port = layer.node.inputs[layer.weight]
    rank = len(of.graph.nodes[port.node].outputs[port.output].shape)
    units = math.prod(layer.node.shape[a] for a in fan_out(layer))
    return norm / math.sqrt(units) if norm is not None and rank >= 2 and units else None


def _amplifies(of: MeasuredGraph, layer: Layer) -> bool:
    """Whether a layer's result on this batch is that much larger than its input.

    Only inputs that another node computed count: data come in any unit.
    """
    state = uncopied(of.graph, layer.node.inputs[layer.state])
    made_by = of.graph.nodes[state.node]
    if made_by.kind == "constant" or (made_by.kind == "input" and not of.in_loop):
        return False
    before, after = of.total_value(state.node), of.total_value(layer.node.index)
    if not before or after is None:
        return False
    entries = math.prod(made_by.outputs[state.output].shape)
    gain = threshold("layer gain")
    return after / math.sqrt(math.prod(layer.node.shape)) >= gain * before / math.sqrt(entries)

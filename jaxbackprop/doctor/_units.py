"""Units that do not take part: saturated ones and dead ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ._findings import Finding, number, percent
from ._measures import NodeHealth, Place
from ._thresholds import threshold

_SATURATED = {
    "sigmoid": "beyond 6 or -6, where the slope is below a hundredth of its largest",
    "tanh": "beyond 3 or -3, where the slope is below a hundredth of its largest",
    "hardtanh": "at its bounds, where the slope is 0",
}


def dead(healths: Sequence[NodeHealth]) -> list[Finding]:
    """The relu layer with most dead units, if that is too many."""
    ill = [h for h in healths if h.dead is not None and h.dead >= _most(h)]
    if not ill:
        return []
    ill.sort(key=lambda h: -(h.dead or 0.0))
    worst = ill[0]
    assert worst.dead is not None
    count = round(worst.dead * worst.units)
    message = (
        f"{percent(worst.dead)} of its units ({count} of {worst.units}) are 0 for every example of the "
        "batch: no gradient reaches their weights, no step will wake them"
    )
    remedy = (
        "a lower learning rate (ten times), warm-up or gradient clipping, and a fresh start; He "
        "initialisation "
        "with biases of 0; an activation with a slope on the left (leaky_relu, elu, gelu)"
    )
    return [_finding("dead", ill, worst.dead, "share of dead units", message, remedy)]


def _most(health: NodeHealth) -> float:
    """From which share of dead units on a layer is ill."""
    if health.depth is not None and health.depth <= 1:
        return threshold("dead share, first layer")
    by_chance = 0.5 + threshold("dead share, deviations") * 0.5 / math.sqrt(max(health.units, 1))
    return min(max(threshold("dead share"), by_chance), 1.0)


def saturated(found: Sequence[Place], healths: Sequence[NodeHealth]) -> list[Finding]:
    """The most saturated hidden layer, if it is too much."""
    hidden = {
        (id(place.graph), i)
        for place in found
        for i in place.wanted.activations
        if place.inside or _feeds_a_layer(place, i)
    }
    gates = {
        id(activation.node)
        for place in found
        for activation in place.wanted.activations.values()
        if activation.gate
    }
    graphs = {id(node): id(place.graph) for place in found for node in place.graph.nodes}

    def is_ill(h: NodeHealth) -> bool:
        if h.saturated is None or (graphs[id(h.node)], h.node.index) not in hidden:
            return False
        # A sigmoid is a tanh of half its argument.
        far = threshold("saturated input") * (2 if h.kind == "sigmoid" else 1)
        share = threshold("saturated gates" if id(h.node) in gates else "saturated share")
        return h.saturated > share and (h.input_size is None or h.input_size > far)

    ill = [h for h in healths if is_ill(h)]
    if not ill:
        return []
    ill.sort(key=lambda h: -(h.saturated or 0.0))
    worst = ill[0]
    assert worst.saturated is not None
    assert worst.kind is not None
    message = f"{percent(worst.saturated)} of its {worst.kind} units are saturated: {_SATURATED[worst.kind]}"
    if worst.input_size is not None:
        message += f"; what goes in has size {number(worst.input_size)}"
    remedy = (
        "smaller initial weights (Xavier), inputs scaled to mean 0 and variance 1, normalisation before the "
        "activation, a lower learning rate; relu or gelu"
    )
    return [_finding("saturated", ill, worst.saturated, "share of saturated units", message, remedy)]


def _feeds_a_layer(place: Place, node: int) -> bool:
    """Whether a layer comes behind it: the last activation of a model may well be saturated."""
    reached = {node}
    for other in place.graph.nodes:
        if any(port.node in reached for port in other.inputs):
            if other.index in place.wanted.layers or other.index in place.wanted.inside:
                return True
            reached.add(other.index)
    return False


def _finding(
    kind: str, ill: Sequence[NodeHealth], figure: float, unit: str, message: str, remedy: str
) -> Finding:
    worst = ill[0]
    others = [h.name for h in ill[1:]]
    if others:
        shown = ", ".join(others[:4]) + (", …" if len(others) > 4 else "")
        message += f"; likewise {shown}"
    return Finding(
        kind,
        worst.node,
        worst.name,
        worst.source,
        figure,
        unit,
        message,
        remedy,
        tuple(h.node for h in ill),
        tuple(h.inside[0] if h.inside else h.node for h in ill),
    )

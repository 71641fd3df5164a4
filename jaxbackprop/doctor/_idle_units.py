"""Units that do not learn: saturated ones and dead ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ._findings import Finding, likewise, number, percent
from ._measured_graph import MeasuredGraph
from ._node_health import NodeHealth
from ._thresholds import threshold

_SATURATED = {
    "sigmoid": "beyond 6 or -6, where the slope is below a hundredth of its largest",
    "tanh": "beyond 3 or -3, where the slope is below a hundredth of its largest",
    "hardtanh": "at its bounds, where the slope is 0",
}
_DEAD_REMEDY = (
    "a lower learning rate (ten times), warm-up or gradient clipping, and a fresh start; He initialisation "
    "with biases of 0; an activation with a slope on the left (leaky_relu, elu, gelu)"
)
_SATURATED_REMEDY = (
    "smaller initial weights (Xavier), inputs scaled to mean 0 and variance 1, normalisation before the "
    "activation, a lower learning rate; relu or gelu"
)


def dead(healths: Sequence[NodeHealth]) -> list[Finding]:
    """The relu layer with the largest share of dead units, if that is too many."""
    found = [(h.dead, h) for h in healths if h.dead is not None and h.dead >= _dead_share_allowed(h)]
    if not found:
        return []
    found.sort(key=lambda each: -each[0])
    share, worst = found[0]
    message = (
        f"{percent(share)} of its units ({round(share * worst.units)} of {worst.units}) are 0 for every "
        "example of the batch: no gradient reaches their weights; only other inputs can wake them, from new "
        "examples or from layers below that still learn"
    )
    healths = [h for _, h in found]
    return [_finding("dead", healths, share, "share of dead units", message, _DEAD_REMEDY)]


def _dead_share_allowed(health: NodeHealth) -> float:
    """The share of dead units from which on a layer is a finding."""
    if health.depth is not None and health.depth <= 1:
        return threshold("dead share, first layer")
    by_chance = 0.5 + threshold("dead share, deviations") * 0.5 / math.sqrt(max(health.units, 1))
    return min(max(threshold("dead share"), by_chance), 1.0)


def saturated(measured: Sequence[MeasuredGraph], healths: Sequence[NodeHealth]) -> list[Finding]:
    """The hidden layer with the largest share of saturated units, if that is too many."""
    hidden, gates = set(), set()
    for of in measured:
        for i, activation in of.plan.activations.items():
            if of.inside or _is_before_a_layer(of, i):
                hidden.add(id(activation.node))
            if activation.gate:
                gates.add(id(activation.node))

    def is_ill(h: NodeHealth) -> bool:
        if h.saturated is None or id(h.node) not in hidden:
            return False
        # sigmoid(x) = (1 + tanh(x / 2)) / 2: it saturates at twice the argument of tanh.
        far = threshold("saturated input") * (2 if h.kind == "sigmoid" else 1)
        share = threshold("saturated gates" if id(h.node) in gates else "saturated share")
        return h.saturated > share and (h.input_size is None or h.input_size > far)

    found = [(h.saturated, h) for h in healths if h.saturated is not None and is_ill(h)]
    if not found:
        return []
    found.sort(key=lambda each: -each[0])
    share, worst = found[0]
    assert worst.kind is not None
    message = f"{percent(share)} of its {worst.kind} units are saturated: {_SATURATED[worst.kind]}"
    if worst.input_size is not None:
        message += f"; what goes in has size {number(worst.input_size)}"
    healths = [h for _, h in found]
    return [_finding("saturated", healths, share, "share of saturated units", message, _SATURATED_REMEDY)]


def _is_before_a_layer(of: MeasuredGraph, node: int) -> bool:
    """Whether a layer uses a node's result. The last activation of a model may well be saturated."""
    reached = {node}
    for other in of.graph.nodes:
        if any(port.node in reached for port in other.inputs):
            if other.index in of.plan.layers or other.index in of.plan.inner:
                return True
            reached.add(other.index)
    return False


def _finding(
    kind: str, found: Sequence[NodeHealth], figure: float, unit: str, message: str, remedy: str
) -> Finding:
    worst = found[0]
    return Finding(
        kind,
        worst.node,
        worst.name,
        worst.source,
        figure,
        unit,
        message + likewise([h.name for h in found[1:]]),
        remedy,
        tuple(h.node for h in found),
        tuple(h.inside[0] if h.inside else h.node for h in found),
    )

"""Signals that vanish or explode from layer to layer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from jaxbackprop.graph._graph import Node, Port

from ._findings import Finding, number
from ._measures import Place, state_of
from ._sequences import sequences
from ._structure import Layer, fan_out
from ._thresholds import threshold

_VANISHING = (
    "an activation whose slope does not fall below 1 everywhere (relu, gelu) or tanh with Xavier "
    "initialisation in place of the sigmoid; normalisation between layers; residual connections"
)
_EXPLODING = (
    "smaller initial weights (Xavier for tanh, He for relu), normalisation between layers, gradient clipping "
    "(optax.clip_by_global_norm), a lower learning rate"
)


@dataclasses.dataclass(frozen=True, eq=False)
class _Signal:
    """What passes a layer.

    Attributes:
        place: where the layer stands.
        layer: which.
        level: how many layers there are on the longest way to it.
        value: root mean square of its result.
        gradient: norm of the gradient of its result.
        effect: norm of its result times that gradient: how much the loss feels a relative change of it. It
            stays the same where a layer's weights grow and the next one's shrink.
    """

    place: Place
    layer: Layer
    level: int
    value: float
    gradient: float
    effect: float


def by_depth(found: Sequence[Place]) -> list[Finding]:
    """What vanishes or explodes on the way from the last layer to the first."""
    signals = _signals(found)
    findings = []
    vanished = _fallen(signals, lambda s: s.effect) or _both_fallen(signals)
    if vanished is not None:
        findings.append(_vanishing(*vanished))
    exploded = _risen(signals)
    if exploded is not None:
        findings.append(_exploding(*exploded))
    return findings


def _signals(found: Sequence[Place]) -> list[_Signal]:
    signals = []
    for place in found:
        if place.in_loop:
            continue
        unrolled = {layer.node.index for sequence in sequences(place) for layer in sequence}
        for layer in place.wanted.layers.values():
            node = layer.node
            value = place.total_value(node.index)
            gradient = place.total_gradient(Port(node.index, 0))
            if value is None or gradient is None or node.index in unrolled:
                continue
            size = math.sqrt(max(1, math.prod(node.shape)))
            level = place.levels[node.index]
            signals.append(_Signal(place, layer, level, value / size, gradient, value * gradient))
    return signals


def _profile(signals: Sequence[_Signal], of: Callable[[_Signal], float]) -> list[tuple[float, _Signal]]:
    """The strongest signal at each level: where there is a way around, the gradient takes it."""
    best: dict[int, tuple[float, _Signal]] = {}
    for signal in signals:
        value = of(signal)
        if math.isfinite(value) and (signal.level not in best or value > best[signal.level][0]):
            best[signal.level] = value, signal
    return [best[level] for level in sorted(best)]


def _compounds(logs: Sequence[float]) -> bool:
    """Whether a change is that of many layers, and not one factor."""
    steps = np.abs(np.diff(logs))
    return len(steps) >= threshold("levels") and steps.max() <= threshold("one step") * abs(
        logs[-1] - logs[0]
    )


def _fallen(
    signals: Sequence[_Signal], of: Callable[[_Signal], float]
) -> tuple[float, int, _Signal, _Signal] | None:
    """How far the signal has fallen, over how many layers, from which to which."""
    profile = [(value, signal) for value, signal in _profile(signals, of) if value > 0]
    # What has vanished has vanished in all that comes before, too: a weak branch is no weak model.
    for low in range(len(profile)):
        if low and profile[low][0] > profile[0][0] * 1e3:
            break
        high = max(range(low, len(profile)), key=lambda i: profile[i][0])
        ratio = profile[low][0] / profile[high][0]
        logs = [math.log10(value) for value, _ in profile[low : high + 1]]
        if ratio <= threshold("vanishing by depth") and _compounds(logs):
            return ratio, high - low, profile[high][1], profile[low][1]
    return None


def _both_fallen(signals: Sequence[_Signal]) -> tuple[float, int, _Signal, _Signal] | None:
    """Where weights are far too small, results fall from layer to layer, and gradients on the way back."""
    back = _fallen(signals, lambda s: s.gradient)
    if back is None:
        return None
    ahead = [value for value, _ in _profile(signals, lambda s: s.value) if value > 0]
    logs = [math.log10(value) for value in ahead]
    if ahead[-1] / max(ahead) > threshold("vanishing by depth"):
        return None
    return back if _compounds(logs[int(np.argmax(logs)) :]) else None


def _risen(signals: Sequence[_Signal]) -> tuple[float, int, _Signal, _Signal] | None:
    """How far the gradient has risen on the way back, over how many layers, from which to which."""
    profile = [(value, signal) for value, signal in _profile(signals, lambda s: s.gradient) if value > 0]
    if not profile:
        return None
    high = max(range(len(profile)), key=lambda i: profile[i][0])
    ratio = profile[high][0] / profile[-1][0]
    logs = [math.log10(value) for value, _ in profile[high:]]
    if ratio < threshold("exploding by depth") or not _compounds(logs):
        return None
    return ratio, len(profile) - 1 - high, profile[-1][1], profile[high][1]


def _vanishing(ratio: float, layers: int, last: _Signal, first: _Signal) -> Finding:
    at, end = _activation_behind(first), _activation_behind(last)
    kind = first.place.wanted.activations.get(at.index)
    what = f"{kind.kind} layers" if kind is not None else "layers"
    message = (
        f"the gradient vanishes: through {layers} {what}, from {end.name} back to here, it falls to "
        f"{number(ratio)} of what it was in proportion to the values, by "
        f"{number(ratio ** (1 / layers))} a layer"
    )
    return _finding("vanishing", first, at, ratio, "gradient by that of the last layer", message, _VANISHING)


def _exploding(ratio: float, layers: int, last: _Signal, first: _Signal) -> Finding:
    message = (
        f"the gradient explodes: over {layers} layers, from {last.layer.node.name} back to here, it grows "
        f"{number(ratio)}-fold, {number(ratio ** (1 / layers))}-fold a layer"
    )
    at = first.layer.node
    return _finding("exploding", first, at, ratio, "gradient by that of the last layer", message, _EXPLODING)


def _activation_behind(signal: _Signal) -> Node:
    """The activation that takes a layer's result; where there is none, the layer."""
    place, start = signal.place, signal.layer.node
    reached = {start.index}
    for node in place.graph.nodes[start.index + 1 :]:
        if reached.intersection(port.node for port in node.inputs):
            if node.index in place.wanted.activations:
                return node
            if node.index in place.wanted.layers:
                break
            reached.add(node.index)
    return start


def too_large(found: Sequence[Place]) -> list[Finding]:
    """Weights that multiply the size of what passes them."""
    ill: list[tuple[float, Place, Layer]] = []
    hidden = False
    for place in found:
        for layer in place.wanted.layers.values():
            gain = _weight_gain(place, layer)
            if gain is None or gain < threshold("weight gain"):
                continue
            ill.append((gain, place, layer))
            hidden = hidden or _amplifies(place, layer)
    if not ill or not hidden:
        return []
    shown = [entry for entry in ill if _amplifies(entry[1], entry[2])]
    gain, place, layer = max(shown, key=lambda entry: entry[0])
    node = layer.node
    weight = place.graph.nodes[node.inputs[layer.weight].node]
    said = f" ({weight.name})" if weight.kind == "input" else ""
    message = (
        f"its weights{said} are too large: they multiply the size of what passes by {number(gain)}, forward "
        "and backward alike, so that values and gradients explode from layer to layer"
    )
    others = [entry[2].node.name for entry in ill if entry[2] is not layer]
    if others:
        message += f"; likewise {', '.join(others[:4])}" + (", …" if len(others) > 4 else "")
    outer = place.inside[0] if place.inside else node
    name = "/".join([*(n.name for n in place.inside), node.name])
    nodes = (node, *(entry[2].node for entry in ill if entry[2] is not layer))
    return [
        Finding(
            "exploding",
            node,
            name,
            node.source,
            gain,
            "gain of the weights",
            message,
            _EXPLODING,
            nodes,
            (outer,),
        )
    ]


def _weight_gain(place: Place, layer: Layer) -> float | None:
    """How much larger than its inputs a layer's results are, where those do not depend on one another."""
    if not layer.sure:
        return None
    port = layer.node.inputs[layer.weight]
    value = place.weight(port)
    if value is None:
        return None
    shape = place.graph.nodes[port.node].outputs[port.output].shape
    units = math.prod(layer.node.shape[a] for a in fan_out(layer))
    return value / math.sqrt(units) if len(shape) >= 2 and units else None


def _amplifies(place: Place, layer: Layer) -> bool:
    """Whether it did so here, to what another node computed: data come in any unit."""
    state = state_of(place, layer)
    if state is None or place.graph.nodes[state.node].kind == "constant":
        return False
    if place.graph.nodes[state.node].kind == "input" and not place.in_loop:
        return False
    ahead, behind = place.total_value(state.node), place.total_value(layer.node.index)
    if not ahead or behind is None:
        return False
    size = math.prod(place.graph.nodes[state.node].outputs[state.output].shape)
    return behind / math.sqrt(math.prod(layer.node.shape)) >= threshold("layer gain") * ahead / math.sqrt(
        size
    )


def _finding(
    kind: str, signal: _Signal, node: Node, figure: float, unit: str, message: str, remedy: str
) -> Finding:
    inside = signal.place.inside
    name = "/".join([*(n.name for n in inside), node.name])
    outer = inside[0] if inside else node
    return Finding(kind, node, name, node.source, figure, unit, message, remedy, (node,), (outer,))

"""Gradients that vanish or explode from layer to layer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxbackprop.graph import Node, Port

from ._findings import Finding, finding_at, number
from ._layers import Layer
from ._measured_graph import MeasuredGraph
from ._thresholds import threshold
from ._unrolled import unrolled_sequences

_UNIT = "gradient by that of the last layer"
_VANISHING = (
    "an activation whose slope does not fall below 1 everywhere (relu, gelu) or tanh with Xavier "
    "initialisation in place of the sigmoid; normalisation between layers; residual connections"
)
EXPLODING_REMEDY = (
    "smaller initial weights (Xavier for tanh, He for relu), normalisation between layers, gradient clipping "
    "(optax.clip_by_global_norm), a lower learning rate"
)
_WEAK_BRANCH = 1e3


@dataclasses.dataclass(frozen=True, eq=False)
class _Signal:
    """The sizes of a layer's result and of its gradient.

    Attributes:
        of: the graph that the layer stands in.
        layer: the layer.
        level: the number of layers on the longest way to it.
        value: root mean square of its result.
        gradient: norm of the gradient of its result.
        effect: norm of its result times that gradient: how much the loss changes by a relative change of the
            result. It stays the same where a layer's weights grow and the next one's shrink.
    """

    of: MeasuredGraph
    layer: Layer
    level: int
    value: float
    gradient: float
    effect: float


class _Change(NamedTuple):
    """How a signal changes on the way back from layer `last` to layer `first`."""

    ratio: float
    layers: int
    last: _Signal
    first: _Signal


def by_depth(measured: Sequence[MeasuredGraph]) -> list[Finding]:
    """The gradient that vanishes, and the one that explodes, from the last layer to the first."""
    signals = _signals(measured)
    findings = []
    vanished = _fallen(signals, lambda s: s.effect) or _both_fallen(signals)
    if vanished is not None:
        findings.append(_vanishing(vanished))
    exploded = _risen(signals)
    if exploded is not None:
        findings.append(_exploding(exploded))
    return findings


def _signals(measured: Sequence[MeasuredGraph]) -> list[_Signal]:
    """Of all layers outside loops; the steps of an unrolled loop are a sequence and not layers."""
    signals = []
    for of in measured:
        if of.in_loop:
            continue
        unrolled = {layer.node.index for sequence in unrolled_sequences(of) for layer in sequence}
        for layer in of.plan.layers.values():
            node = layer.node
            value, gradient = of.total_value(node.index), of.total_gradient(Port(node.index, 0))
            if value is None or gradient is None or node.index in unrolled:
                continue
            root = math.sqrt(max(1, math.prod(node.shape)))
            signals.append(
                _Signal(of, layer, of.levels[node.index], value / root, gradient, value * gradient)
            )
    return signals


def _profile(signals: Sequence[_Signal], of: Callable[[_Signal], float]) -> list[tuple[float, _Signal]]:
    """The strongest positive signal at each level: of several ways the gradient takes the strongest."""
    best: dict[int, tuple[float, _Signal]] = {}
    for signal in signals:
        value = of(signal)
        if math.isfinite(value) and (signal.level not in best or value > best[signal.level][0]):
            best[signal.level] = value, signal
    return [best[level] for level in sorted(best) if best[level][0] > 0]


def _compounds(values: Sequence[float]) -> bool:
    """Whether a change is made by many layers and not by one factor."""
    logs = np.log10(values)
    steps = np.abs(np.diff(logs))
    return bool(
        len(steps) >= threshold("levels") and steps.max() <= threshold("one step") * abs(logs[-1] - logs[0])
    )


def _fallen(signals: Sequence[_Signal], of: Callable[[_Signal], float]) -> _Change | None:
    """The fall of a signal on the way back, if it vanishes."""
    profile = _profile(signals, of)
    values = [value for value, _ in profile]
    for low in range(len(profile)):
        # A gradient that depth makes vanish is about as small in all earlier layers. Where it is far smaller
        # at the first, that is a weak branch of the model.
        if low and values[low] > values[0] * _WEAK_BRANCH:
            break
        high = max(range(low, len(profile)), key=lambda i: values[i])
        ratio = values[low] / values[high]
        if ratio <= threshold("vanishing by depth") and _compounds(values[low : high + 1]):
            return _Change(ratio, high - low, profile[high][1], profile[low][1])
    return None


def _both_fallen(signals: Sequence[_Signal]) -> _Change | None:
    """The fall of the gradient on the way back, if results fall on the way forward too.

    So it is where weights are far too small.
    """
    back = _fallen(signals, lambda s: s.gradient)
    if back is None:
        return None
    values = [value for value, _ in _profile(signals, lambda s: s.value)]
    if not values or values[-1] / max(values) > threshold("vanishing by depth"):
        return None
    return back if _compounds(values[int(np.argmax(values)) :]) else None


def _risen(signals: Sequence[_Signal]) -> _Change | None:
    """The rise of the gradient on the way back, if it explodes."""
    profile = _profile(signals, lambda s: s.gradient)
    if not profile:
        return None
    values = [value for value, _ in profile]
    high = int(np.argmax(values))
    ratio = values[high] / values[-1]
    if ratio < threshold("exploding by depth") or not _compounds(values[high:]):
        return None
    return _Change(ratio, len(profile) - 1 - high, profile[-1][1], profile[high][1])


def _vanishing(change: _Change) -> Finding:
    at, end = _activation_after(change.first), _activation_after(change.last)
    activation = change.first.of.plan.activations.get(at.index)
    what = f"{activation.kind} layers" if activation is not None else "layers"
    message = (
        f"the gradient vanishes: through {change.layers} {what}, from {end.name} back to here, it falls to "
        f"{number(change.ratio)} of what it was in proportion to the values, by "
        f"{number(change.ratio ** (1 / change.layers))} a layer"
    )
    return finding_at(at, change.first.of.inside, "vanishing", change.ratio, _UNIT, message, _VANISHING)


def _exploding(change: _Change) -> Finding:
    message = (
        f"the gradient explodes: over {change.layers} layers, from {change.last.layer.node.name} back to "
        f"here, it grows {number(change.ratio)}-fold, {number(change.ratio ** (1 / change.layers))}-fold a "
        "layer"
    )
    at, inside = change.first.layer.node, change.first.of.inside
    return finding_at(at, inside, "exploding", change.ratio, _UNIT, message, EXPLODING_REMEDY)


def _activation_after(signal: _Signal) -> Node:
    """The activation that takes a layer's result; where there is none, the layer."""
    of, start = signal.of, signal.layer.node
    reached = {start.index}
    for node in of.graph.nodes[start.index + 1 :]:
        if reached.intersection(port.node for port in node.inputs):
            if node.index in of.plan.activations:
                return node
            if node.index in of.plan.layers:
                break
            reached.add(node.index)
    return start

"""The gradient along a sequence: how it grows a step, in loops and in loops that were written out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from jaxbackprop.graph._graph import Graph, Node, Port

from ._findings import Finding, number
from ._measures import Place, is_own_rule
from ._structure import Layer, origin, uncopied
from ._thresholds import threshold

_VANISHING = (
    "recurrent weights whose largest eigenvalue has modulus 1 (orthogonal or identity "
    "initialisation); a gated "
    "cell (LSTM, GRU); normalisation inside the cell; shorter sequences, or attention over them"
)
_EXPLODING = (
    "gradient clipping (optax.clip_by_global_norm(1.0)); recurrent weights whose largest eigenvalue "
    "has modulus "
    "1 (orthogonal initialisation); a lower learning rate"
)
_FOLLOWED = (
    "add add_any sub slice dynamic_slice squeeze reshape transpose broadcast_in_dim "
    "convert_element_type copy "
    "split mul neg concatenate"
).split()


@dataclasses.dataclass(frozen=True, eq=False)
class Recurrence:
    """A sequence that a gradient went back along.

    Attributes:
        node: the loop, the operator, or the first product of a loop that was written out.
        name: the node's; inside others after theirs.
        carry: what is carried, as the loop's body calls it.
        growth: for each step, in the order that they are taken, how much larger the gradient is before the
            step than behind it.
        norms: of the gradient that came to the carried state, behind each step.
        fed: whether the loss looks at every step.
        gated: whether what is carried is multiplied by a sigmoid.
        layered: whether each step has weights of its own: then the steps are a deep network's layers.
        outer: the node of the whole graph.
    """

    node: Node
    name: str
    carry: str
    growth: tuple[float, ...]
    norms: tuple[float, ...]
    fed: bool
    gated: bool
    layered: bool
    outer: Node

    @property
    def total(self) -> float:
        """Growth over all steps."""
        return math.exp(self.log_total)

    @property
    def log_total(self) -> float:
        """Its natural logarithm."""
        return sum(math.log(g) if g > 0 else -math.inf for g in self.growth)

    @property
    def rate(self) -> float:
        """Growth a step: the geometric mean."""
        return math.exp(self.log_total / len(self.growth)) if self.growth else 1.0

    def to_dict(self) -> dict[str, object]:
        """As JSON holds it."""
        return {
            "name": self.name,
            "carry": self.carry,
            "steps": len(self.growth),
            "rate": self.rate,
            "total": self.total,
            "growth_by_step": list(self.growth),
            "gradient_norm_by_step": list(self.norms),
        }


def along(found: Sequence[Place]) -> list[Recurrence]:
    """The sequences of all measured graphs."""
    result = []
    for place in found:
        if place.in_loop and place.back is not None and "flow" in place.back:
            result += _loop(place)
        elif not place.in_loop:
            result += [s for layers in sequences(place) if (s := _written_out(place, layers)) is not None]
    return result


def over_time(found: Sequence[Recurrence]) -> list[Finding]:
    """The sequence along which the gradient explodes most, and the one along which it vanishes most."""
    findings = []
    enough = [s for s in found if len(s.growth) >= threshold("steps")]
    up = [s for s in enough if s.log_total >= math.log(threshold("exploding over time"))]
    down = [s for s in enough if _vanishes(s)]
    if up:
        worst = max(up, key=lambda s: s.log_total)
        findings.append(_finding("exploding", "explodes", "grows", worst, _EXPLODING))
    if down:
        worst = min(down, key=lambda s: s.log_total)
        findings.append(_finding("vanishing", "vanishes", "shrinks", worst, _VANISHING))
    return findings


def _vanishes(sequence: Recurrence) -> bool:
    most = threshold("vanishing by depth" if sequence.layered else "vanishing over time")
    if sequence.gated or sequence.log_total > math.log(most):
        return False
    # Where every step has a gradient of its own, it is the states themselves that must have faded.
    return not sequence.fed or min(sequence.norms) <= threshold("vanishing over time") * max(sequence.norms)


def _finding(kind: str, verb: str, grows: str, sequence: Recurrence, remedy: str) -> Finding:
    steps = len(sequence.growth)
    where = "through the layers of the loop" if sequence.layered else "along the sequence"
    message = (
        f"the gradient {verb} {where}: it {grows} by a factor of {number(sequence.rate)} a step, "
        f"{number(sequence.total)} over {steps} steps"
    )
    return Finding(
        kind,
        sequence.node,
        sequence.name,
        sequence.node.source,
        sequence.rate,
        "growth of the gradient a step",
        message,
        remedy,
        (sequence.node,),
        (sequence.outer,),
    )


# ---- loops ------------------------------------------------------------------------------------------------


def _loop(place: Place) -> list[Recurrence]:
    assert place.back is not None
    found = []
    gated = _is_gated(place)
    opened = next((n for n in place.inside if is_own_rule(n)), None)
    node = opened or place.inside[-1]
    names = [n.name for n in place.inside]
    name = "/".join(names[: names.index(node.name) + 1])
    scan = place.inside[-1].operation
    for carry, flow in place.back["flow"].items():
        if _is_store(place, int(carry)):
            continue
        before, total, added = (_by_step(place, flow[what]) for what in ("before", "total", "added"))
        growth = _growth(before, total)
        if growth:
            inner = place.graph.inputs[getattr(scan, "consts", 0) + int(carry)].name
            fed = np.mean(added[:-1] > threshold("fed") * total[:-1]) > 0.5 if len(total) > 1 else False
            found.append(
                Recurrence(
                    node,
                    name,
                    inner,
                    growth,
                    tuple(total.tolist()),
                    bool(fed),
                    gated,
                    _is_layered(place),
                    place.inside[0],
                )
            )
    return found


def _is_layered(place: Place) -> bool:
    """Whether weights come in with every step."""
    scan, inputs = place.inside[-1].operation, place.graph.inputs
    along = {node.index for node in inputs[getattr(scan, "consts", 0) + getattr(scan, "carries", 0) :]}
    return any(
        origin(place.graph, layer.node.inputs[layer.weight]).node in along
        for layer in place.wanted.layers.values()
    )


def _is_store(place: Place, carry: int) -> bool:
    """Whether each step only writes its part into what is carried: then no step reads another's."""
    graph, first = place.graph, getattr(place.inside[-1].operation, "consts", 0)
    port = graph.outputs[carry]
    while True:
        port = origin(graph, port)
        node = graph.nodes[port.node]
        if not (node.primitive or "").startswith(("dynamic_update_slice", "scatter")):
            return node is graph.inputs[first + carry]
        port = node.inputs[0]


def _by_step(place: Place, values: object) -> np.ndarray:
    array = np.asarray(values, np.float64)
    return np.asarray(place.by_step(array), np.float64)


def _growth(before: np.ndarray, total: np.ndarray) -> tuple[float, ...]:
    """Gradient before a step by that behind it, up to the last step that one came to."""
    came = np.flatnonzero(total > 0)
    if not len(came) or not np.any(before > 0) or not np.all(np.isfinite(total) & np.isfinite(before)):
        return ()
    first, last = came[0], came[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(total > 0, before / total, 1.0)[first : last + 1]
    return tuple(float(x) for x in found)


def _is_gated(place: Place) -> bool:
    """Whether something carried is multiplied by a sigmoid, whose bias may learn to keep it."""
    graph = place.graph
    scan = place.inside[-1].operation
    first = getattr(scan, "consts", 0)
    carried = {node.index for node in graph.inputs[first : first + getattr(scan, "carries", 0)]}
    sigmoids = {i for i, a in place.wanted.activations.items() if a.kind == "sigmoid"}
    return any(_multiplies(graph, node, carried, sigmoids) for node in graph.nodes)


def _multiplies(graph: Graph, node: Node, carried: set[int], sigmoids: set[int]) -> bool:
    if node.primitive != "mul" and node.label != "multiply":
        return False
    for i, port in enumerate(node.inputs[:2]):
        other = node.inputs[1 - i]
        if origin(graph, port).node in carried and _made_of(graph, other, sigmoids):
            return True
    return False


def _made_of(graph: Graph, port: Port, sigmoids: set[int]) -> bool:
    """Whether a value is a sigmoid's, perhaps 1 minus it, or a part of it."""
    pending, seen = [port], 0
    while pending and seen < 30:
        seen += 1
        at = graph.nodes[pending.pop().node]
        if at.index in sigmoids:
            return True
        if at.kind == "copy" or at.primitive in _FOLLOWED:
            pending += at.inputs
    return False


# ---- loops that were written out --------------------------------------------------------------------------


def sequences(place: Place) -> list[list[Layer]]:
    """Layers that apply the same weights again and again, each to what became of the one before."""
    graph, layers = place.graph, place.wanted.layers
    behind: list[int] = []
    places = {i: k for k, i in enumerate(layers)}
    for node in graph.nodes:
        joined = 0
        for port in node.inputs:
            joined |= behind[port.node]
        behind.append(joined | (1 << places[node.index] if node.index in places else 0))
    by_weight: dict[Port, list[Layer]] = {}
    for layer in layers.values():
        if layer.state is not None and layer.sure:
            by_weight.setdefault(origin(graph, layer.node.inputs[layer.weight]), []).append(layer)
    found = []
    for group in by_weight.values():
        chained = all(
            behind[after.node.inputs[after.state].node] >> places[before.node.index] & 1
            for before, after in zip(group, group[1:], strict=False)
            if after.state is not None
        )
        if len(group) > threshold("steps") and chained:
            found.append(group)
    return found


def _written_out(place: Place, layers: Sequence[Layer]) -> Recurrence | None:
    graph = place.graph
    before, total, added = [], [], []
    for step, after in zip(layers, layers[1:], strict=False):
        assert step.state is not None
        assert after.state is not None
        own = place.total_gradient(step.node.inputs[step.state])
        taken = place.total_gradient(after.node.inputs[after.state])
        whole = place.total_gradient(uncopied(graph, after.node.inputs[after.state]))
        if own is None or whole is None or taken is None:
            return None
        before.append(own)
        total.append(whole)
        added.append(abs(whole - taken))
    growth = _growth(np.array(before), np.array(total))
    if not growth:
        return None
    fed = np.mean(np.array(added) > threshold("fed") * np.array(total)) > 0.5
    gated = any(a.kind == "sigmoid" and a.gate for a in place.wanted.activations.values())
    node = layers[0].node
    name = "/".join([*(n.name for n in place.inside), node.name])
    carry = graph.nodes[origin(graph, node.inputs[layers[0].state or 0]).node].name
    outer = place.inside[0] if place.inside else node
    return Recurrence(node, name, carry, growth, tuple(total), bool(fed), gated, False, outer)

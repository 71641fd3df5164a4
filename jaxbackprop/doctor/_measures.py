"""What was measured, node by node, in the order of the computation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jaxbackprop.graph._graph import Graph, Node, Port

from ._activations import Activation
from ._structure import Layer, origin, uncopied
from ._sweep import Figures, key
from ._wanted import Inside, Wanted

Role = Literal["parameter", "layer", "activation", "loop", "function"]


@dataclasses.dataclass(frozen=True, eq=False)
class NodeHealth:
    """What was measured of a node.

    Attributes:
        node: which.
        inside: the nodes of the whole graph and of programs in it that it stands in, outermost first.
        role: "layer" (applies weights), "activation", "parameter", "loop" or "function" (with its own rule).
        kind: of an activation: "sigmoid", "tanh", "hardtanh" or "relu".
        depth: how many layers there are on the longest way to it, itself counted; None inside loops and for
            parameters.
        activation_norm: Euclidean norm of its result over the whole batch (and all steps).
        gradient_norm: of the gradient that came to its results; None where none came.
        size: entries of its result (of one step).
        saturated: share of saturated entries; None where that does not apply.
        input_size: of an activation: root mean square of what it is taken of.
        dead: share of units that no example activates; None where that does not apply, or there are too few
            examples to tell.
        units: how many units there are; 0 where that does not apply.
        update_ratio: of a parameter: norm of the optimizer's update by that of the value.
        activation_norm_by_step: inside a loop, for each step in the order that they are taken.
        gradient_norm_by_step: likewise.
    """

    node: Node
    inside: tuple[Node, ...]
    role: Role
    kind: str | None = None
    depth: int | None = None
    activation_norm: float | None = None
    gradient_norm: float | None = None
    size: int = 0
    saturated: float | None = None
    input_size: float | None = None
    dead: float | None = None
    units: int = 0
    update_ratio: float | None = None
    activation_norm_by_step: tuple[float, ...] | None = None
    gradient_norm_by_step: tuple[float, ...] | None = None

    @property
    def name(self) -> str:
        """Its name; inside others after theirs: "scan/tanh"."""
        return "/".join([*(node.name for node in self.inside), self.node.name])

    @property
    def source(self) -> Any:
        """The line of the user's code; of the innermost node around it that has one that is the user's."""
        opened = next((n for n in self.inside if is_own_rule(n)), None)
        return (opened or self.node).source

    @property
    def root_mean_square(self) -> float | None:
        """Of its result."""
        if self.activation_norm is None or not self.size:
            return None
        steps = len(self.activation_norm_by_step) if self.activation_norm_by_step else 1
        return self.activation_norm / math.sqrt(self.size * steps)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "name": self.name,
            "role": self.role,
            "kind": self.kind,
            "depth": self.depth,
            "source": None if self.source is None else str(self.source),
            "activation_norm": self.activation_norm,
            "gradient_norm": self.gradient_norm,
            "saturated": self.saturated,
            "input_size": self.input_size,
            "dead": self.dead,
            "update_ratio": self.update_ratio,
            "activation_norm_by_step": _listed(self.activation_norm_by_step),
            "gradient_norm_by_step": _listed(self.gradient_norm_by_step),
        }


def _listed(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else list(values)


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """A graph that was measured: the whole one, or a program inside it.

    Attributes:
        wanted: what was measured.
        inside: the nodes that it stands in, outermost first.
        ahead: figures of the forward pass.
        back: figures of the backward pass; None where no gradient came.
        loops: how many loops it stands in: so many axes its figures have.
        reverse: for each of them whether it runs from the last step to the first.
        levels: for each node how many layers there are on the longest way to it.
    """

    wanted: Wanted
    inside: tuple[Node, ...]
    ahead: Figures
    back: Figures | None
    reverse: tuple[bool, ...] = ()
    levels: Mapping[int, int] = dataclasses.field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        """Which."""
        return self.wanted.graph

    @property
    def in_loop(self) -> bool:
        """Whether it stands in a loop."""
        return bool(self.reverse)

    def value(self, node: int) -> np.ndarray | None:
        """Norm of a node's result, a number a step."""
        return _array(self.ahead["size"].get(node))

    def gradient(self, port: Port) -> np.ndarray | None:
        """Norm of the gradient of a result, a number a step."""
        return None if self.back is None else _array(self.back["gradient"].get(key(port)))

    def total_value(self, node: int) -> float | None:
        """Norm of a node's result over all steps."""
        return _total(self.value(node))

    def weight(self, port: Port) -> float | None:
        """Norm of an operand that holds weights, which may be a parameter that was moved or reshaped."""
        values = self.value(uncopied(self.graph, port).node)
        if values is None:
            values = self.value(origin(self.graph, port).node)
        return None if values is None else float(np.sqrt(np.mean(np.square(values))))

    def total_gradient(self, port: Port) -> float | None:
        """Norm of the gradient of a result over all steps."""
        return _total(self.gradient(port))

    def by_step(self, values: np.ndarray | None) -> tuple[float, ...] | None:
        """Norms for each step of the innermost loop, in the order that they are taken."""
        if values is None or not self.in_loop:
            return None
        found = np.sqrt(np.sum(np.square(values), axis=tuple(range(values.ndim - 1))))
        return tuple(float(x) for x in (found[::-1] if self.reverse[-1] else found))


def _array(value: Any) -> np.ndarray | None:
    return None if value is None else np.asarray(value, np.float64)


def _total(values: np.ndarray | None) -> float | None:
    return None if values is None else float(np.sqrt(np.sum(np.square(values))))


def places(
    wanted: Wanted,
    ahead: Figures,
    back: Figures | None,
    inside: tuple[Node, ...] = (),
    reverse: tuple[bool, ...] = (),
    given: Sequence[int] | None = None,
) -> list[Place]:
    """A graph and all measured programs inside it, each after the one that it stands in."""
    levels: dict[int, int] = {}
    found: list[Place] = []
    numbers = iter(given or [0] * len(wanted.graph.inputs))
    for node in wanted.graph.nodes:
        if node.kind == "input":
            levels[node.index] = next(numbers)
            continue
        below = [levels[port.node] for port in node.inputs]
        level = max(below, default=0)
        program = wanted.inside.get(node.index)
        if program is not None:
            inner = places(
                program.wanted,
                ahead["inside"][str(node.index)],
                None if back is None else back["inside"].get(str(node.index)),
                (*inside, node),
                (*reverse, program.scan.reverse) if program.scan is not None else reverse,
                below,
            )
            found += inner
            level = max(level, _deepest(program, inner[0]))
        elif node.index in wanted.layers:
            level += 1
        levels[node.index] = level
    return [Place(wanted, inside, ahead, back, reverse, levels), *found]


def _deepest(program: Inside, place: Place) -> int:
    return max((place.levels[port.node] for port in place.graph.outputs), default=0)


def healths(found: Sequence[Place], examples: float, updates: Mapping[int, float]) -> list[NodeHealth]:
    """What was measured, node by node.

    Args:
        found: of `places`.
        examples: how many are needed to call a unit dead.
        updates: for nodes of the whole graph, update by weight.
    """
    return [
        _health(place, node, examples, {} if place.inside else updates)
        for place in found
        for node in place.graph.nodes
        if _role(place, node) is not None
    ]


def _role(place: Place, node: Node) -> Role | None:
    wanted = place.wanted
    if node.index in wanted.activations:
        return "activation"
    if node.index in wanted.layers:
        return "layer"
    if node.kind == "input" and not place.inside and any(node.active):
        return "parameter"
    if node.index in wanted.inside and any(node.active):
        return "loop" if wanted.inside[node.index].kind == "loop" else "function"
    return "function" if node.primitive == "custom_vjp_call" and any(node.active) else None


def is_own_rule(node: Node) -> bool:
    """Whether a node is a function with its own rule."""
    return node.primitive in ("custom_vjp_call", "custom_jvp_call")


def _health(place: Place, node: Node, examples: float, updates: Mapping[int, float]) -> NodeHealth:
    role = _role(place, node)
    assert role is not None
    activation = place.wanted.activations.get(node.index)
    saturated = place.ahead["saturated"].get(node.index)
    dead, units = _dead(place, node, examples)
    came = [g for k in range(len(node.outputs)) if (g := place.gradient(Port(node.index, k))) is not None]
    gradient = np.sqrt(sum(np.square(g) for g in came)) if came else None
    return NodeHealth(
        node=node,
        inside=place.inside,
        role=role,
        kind=None if activation is None else activation.kind,
        depth=None if place.in_loop or role == "parameter" else place.levels[node.index],
        activation_norm=place.total_value(node.index),
        gradient_norm=_total(gradient),
        size=math.prod(node.shape),
        saturated=None if saturated is None else float(np.mean(np.asarray(saturated, np.float64))),
        input_size=None if activation is None else _input_size(place, activation),
        dead=dead,
        units=units,
        update_ratio=updates.get(node.index),
        activation_norm_by_step=place.by_step(place.value(node.index)),
        gradient_norm_by_step=place.by_step(gradient),
    )


def _input_size(place: Place, activation: Activation) -> float | None:
    port = activation.operand
    values = None if port is None else place.value(port.node)
    if values is None or port is None:
        return None
    size = math.prod(place.graph.nodes[port.node].outputs[port.output].shape)
    return float(np.sqrt(np.mean(np.square(values)) / max(size, 1)))


def _dead(place: Place, node: Node, examples: float) -> tuple[float | None, int]:
    alive = place.ahead["alive"].get(node.index)
    if alive is None:
        return None, 0
    loops = len(place.reverse)
    # A loop's units are the same in every step.
    by_reading = {name: np.any(np.asarray(on), axis=tuple(range(loops))) for name, on in alive.items()}
    units = by_reading["units"].size
    steps = math.prod(np.shape(alive["units"])[:loops])
    seen = steps * math.prod(node.shape) // max(1, units)
    if seen < examples:
        return None, units
    return float(min(1 - np.mean(on) for on in by_reading.values())), units


def state_of(place: Place, layer: Layer) -> Port | None:
    """Where a layer's input was made."""
    return None if layer.state is None else uncopied(place.graph, layer.node.inputs[layer.state])

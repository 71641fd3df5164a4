"""What was measured, node by node, in the order of the computation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jaxbackprop.graph import Node, Port, Source

from ._figures import UpdateFigures
from ._findings import path
from ._measured_graph import MeasuredGraph, total
from ._thresholds import threshold

Role = Literal["parameter", "layer", "activation", "loop", "function"]


@dataclasses.dataclass(frozen=True, eq=False)
class NodeHealth:
    """What was measured of a node.

    Attributes:
        node: the node.
        inside: the nodes of the whole graph and of programs in it that it stands in, outermost first.
        role: "layer" (applies weights), "activation", "parameter", "loop" or "function" (with its own rule).
        kind: of an activation: "sigmoid", "tanh", "hardtanh" or "relu".
        depth: the number of layers on the longest way to it, itself included; None inside loops and for
            parameters.
        activation_norm: Euclidean norm of its result over the whole batch (and all steps).
        gradient_norm: of the gradient that came to its results; None where none came.
        size: entries of its result (of one step).
        saturated: share of saturated entries; None where that does not apply.
        input_size: of an activation: root mean square of its argument.
        dead: share of units that no example activates; None where that does not apply, or there are too few
            examples to tell.
        units: the number of units; 0 where that does not apply.
        update_ratio: of a parameter: norm of the optimizer's update by that of the value.
        update_lost: of a parameter in 16 bits: share of its updated entries that stay as they were.
        activation_norm_by_step: inside a loop, for each step in the order that they are run.
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
    update_lost: float | None = None
    activation_norm_by_step: tuple[float, ...] | None = None
    gradient_norm_by_step: tuple[float, ...] | None = None

    @property
    def name(self) -> str:
        """Its name; inside others after theirs: "scan/tanh"."""
        return path(self.node, self.inside)

    @property
    def source(self) -> Source | None:
        """The line of the user's code; of a function with its own rule that it stands in, if there is one."""
        opened = next((node for node in self.inside if has_own_rule(node)), None)
        return (opened or self.node).source

    @property
    def root_mean_square(self) -> float | None:
        """Of its result."""
        if self.activation_norm is None or not self.size:
            return None
        steps = len(self.activation_norm_by_step) if self.activation_norm_by_step else 1
        return self.activation_norm / math.sqrt(self.size * steps)

    def to_dict(self) -> dict[str, Any]:
        """The measurements as JSON holds them."""
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
            "update_lost": self.update_lost,
            "activation_norm_by_step": _listed(self.activation_norm_by_step),
            "gradient_norm_by_step": _listed(self.gradient_norm_by_step),
        }


def _listed(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else list(values)


def has_own_rule(node: Node) -> bool:
    """Whether a node is a function with its own rule."""
    return node.primitive in ("custom_vjp_call", "custom_jvp_call")


def node_healths(measured: Sequence[MeasuredGraph], updates: Mapping[int, UpdateFigures]) -> list[NodeHealth]:
    """What was measured, node by node.

    Args:
        measured: the whole graph and the programs inside it.
        updates: of parameters of the whole graph, by node.
    """
    return [
        _node_health(of, node, role, {} if of.inside else updates)
        for of in measured
        for node in of.graph.nodes
        if (role := _role(of, node)) is not None
    ]


def _role(of: MeasuredGraph, node: Node) -> Role | None:
    plan = of.plan
    if node.index in plan.activations:
        return "activation"
    if node.index in plan.layers:
        return "layer"
    if not any(node.active):
        return None
    if node.kind == "input":
        return None if of.inside else "parameter"
    if node.index in plan.inner:
        return "function" if plan.inner[node.index].scan is None else "loop"
    return "function" if node.primitive == "custom_vjp_call" else None


def _node_health(
    of: MeasuredGraph, node: Node, role: Role, updates: Mapping[int, UpdateFigures]
) -> NodeHealth:
    activation = of.plan.activations.get(node.index)
    saturated = of.forward.saturated.get(node.index)
    update = updates.get(node.index)
    dead, units = _dead(of, node)
    came = [g for k in range(len(node.outputs)) if (g := of.gradient(Port(node.index, k))) is not None]
    gradient = np.sqrt(sum(np.square(g) for g in came)) if came else None
    return NodeHealth(
        node=node,
        inside=of.inside,
        role=role,
        kind=None if activation is None else activation.kind,
        depth=None if of.in_loop or role == "parameter" else of.levels[node.index],
        activation_norm=of.total_value(node.index),
        gradient_norm=total(gradient),
        size=math.prod(node.shape),
        saturated=None if saturated is None else float(np.mean(np.asarray(saturated, np.float64))),
        input_size=None if activation is None else of.root_mean_square(activation.operand),
        dead=dead,
        units=units,
        update_ratio=None if update is None else update.ratio,
        update_lost=None if update is None or update.lost is None else float(update.lost),
        activation_norm_by_step=of.by_step(of.value(node.index)),
        gradient_norm_by_step=of.by_step(gradient),
    )


def _dead(of: MeasuredGraph, node: Node) -> tuple[float | None, int]:
    """The share of dead units, None where there are too few examples to tell; and the number of units."""
    alive = of.forward.alive.get(node.index)
    if alive is None:
        return None, 0
    loops = len(of.reverse)
    # A loop's units are the same in every step: one that is alive in any step is alive.
    by_reading = {name: np.any(np.asarray(on), axis=tuple(range(loops))) for name, on in alive.items()}
    units = by_reading["units"].size
    steps = math.prod(np.shape(alive["units"])[:loops])
    examples = steps * math.prod(node.shape) // max(1, units)
    if examples < threshold("examples"):
        return None, units
    return float(min(1 - np.mean(on) for on in by_reading.values())), units

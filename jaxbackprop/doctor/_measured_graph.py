"""A graph or inner program with its figures, as NumPy arrays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from jaxbackprop.graph import ComputationGraph, Node, Port

from ._dependence import origin, uncopied
from ._figures import BackwardFigures, ForwardFigures, PortKey, UnderflowFigures, port_key
from ._layers import Layer
from ._measurement_plan import MeasurementPlan


@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredGraph:
    """A graph that was measured: the whole one, or that of a program inside it.

    Attributes:
        plan: what was measured.
        inside: the nodes that it stands in, outermost first.
        forward: figures of the forward pass.
        backward: figures of the backward pass; None where no gradient came.
        reverse: for each loop that it stands in, whether it runs from the last step to the first. Its figures
            have one axis for each.
        levels: for each node the number of layers on the longest way to it.
    """

    plan: MeasurementPlan
    inside: tuple[Node, ...]
    forward: ForwardFigures
    backward: BackwardFigures | None
    reverse: tuple[bool, ...]
    levels: Mapping[int, int]

    @property
    def graph(self) -> ComputationGraph:
        """The graph."""
        return self.plan.graph

    @property
    def in_loop(self) -> bool:
        """Whether it stands in a loop."""
        return bool(self.reverse)

    def value(self, node: int) -> np.ndarray | None:
        """Norm of a node's result, a number a step."""
        return _array(self.forward.size.get(node))

    def gradient(self, port: Port) -> np.ndarray | None:
        """Norm of the gradient of a result, a number a step."""
        return None if self.backward is None else _array(self.backward.gradient.get(port_key(port)))

    @property
    def underflow(self) -> Mapping[PortKey, UnderflowFigures]:
        """What was measured of gradients in 16 bits; empty where no gradient came."""
        return {} if self.backward is None else self.backward.underflow

    def total_value(self, node: int) -> float | None:
        """Norm of a node's result over all steps."""
        return total(self.value(node))

    def total_gradient(self, port: Port) -> float | None:
        """Norm of the gradient of a result over all steps."""
        return total(self.gradient(port))

    def root_mean_square(self, port: Port) -> float | None:
        """Of the entries of a node's first result, over all steps; None where it was not measured."""
        values = self.value(port.node)
        if values is None:
            return None
        entries = math.prod(self.graph.nodes[port.node].outputs[port.output].shape)
        return float(np.sqrt(np.mean(np.square(values)) / max(entries, 1)))

    def weight(self, layer: Layer) -> float | None:
        """Norm of a layer's weights, which may be a parameter that was moved or reshaped."""
        port = layer.node.inputs[layer.weight]
        values = self.value(uncopied(self.graph, port).node)
        if values is None:
            values = self.value(origin(self.graph, port).node)
        return None if values is None else float(np.sqrt(np.mean(np.square(values))))

    def by_step(self, values: np.ndarray | None) -> tuple[float, ...] | None:
        """Norms for each step of the innermost loop, in the order that they are run; None outside loops."""
        if values is None or not self.in_loop:
            return None
        found = np.sqrt(np.sum(np.square(values), axis=tuple(range(values.ndim - 1))))
        return tuple(float(x) for x in (found[::-1] if self.reverse[-1] else found))


def total(values: np.ndarray | None) -> float | None:
    """The norm over all steps of norms that are one a step."""
    return None if values is None else float(np.sqrt(np.sum(np.square(values))))


def measured_graphs(
    plan: MeasurementPlan, forward: ForwardFigures, backward: BackwardFigures
) -> list[MeasuredGraph]:
    """The whole graph and all measured programs inside it, each after the one that it stands in."""
    return _measured_graphs(plan, forward, backward, (), (), [0] * len(plan.graph.inputs))


def _measured_graphs(
    plan: MeasurementPlan,
    forward: ForwardFigures,
    backward: BackwardFigures | None,
    inside: tuple[Node, ...],
    reverse: tuple[bool, ...],
    input_levels: Sequence[int],
) -> list[MeasuredGraph]:
    levels: dict[int, int] = {}
    found: list[MeasuredGraph] = []
    of_inputs = iter(input_levels)
    for node in plan.graph.nodes:
        if node.kind == "input":
            levels[node.index] = next(of_inputs)
            continue
        below = [levels[port.node] for port in node.inputs]
        level = max(below, default=0)
        program = plan.inner.get(node.index)
        if program is not None:
            inner = _measured_graphs(
                program.plan,
                forward.inner[node.index],
                None if backward is None else backward.inner.get(node.index),
                (*inside, node),
                reverse if program.scan is None else (*reverse, program.scan.reverse),
                below,
            )
            found += inner
            deepest = max((inner[0].levels[port.node] for port in program.plan.graph.outputs), default=0)
            level = max(level, deepest)
        elif node.index in plan.layers:
            level += 1
        levels[node.index] = level
    return [MeasuredGraph(plan, inside, forward, backward, reverse, levels), *found]


def _array(value: jax.Array | np.ndarray | None) -> np.ndarray | None:
    return None if value is None else np.asarray(value, np.float64)

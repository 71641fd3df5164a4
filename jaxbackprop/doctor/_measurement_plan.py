"""What is measured in a graph and in the programs inside it; decided before anything is computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from jaxbackprop.graph import ComputationGraph, Node, Port
from jaxbackprop.graph.tracing import (
    CustomJvpOperation,
    CustomVjpOperation,
    RematOperation,
    ScanOperation,
)

from ._activations import Activation, activations_of
from ._dependence import dependencies, origin, uncopied
from ._layers import Layer, layers_of
from ._opened_rule import opened_rule

_WITH_PROGRAMS = ("custom_vjp_call", "scan", "cond", "checkpoint", "remat2")


@dataclasses.dataclass(frozen=True, eq=False)
class InnerProgram:
    """A program inside a node that is measured too.

    Attributes:
        plan: what is measured in it.
        scan: the loop whose body it is; None for a program that runs once.
    """

    plan: MeasurementPlan
    scan: ScanOperation | None = None

    def carries(self) -> list[int]:
        """The carries of the loop that a gradient flows through."""
        assert self.scan is not None
        graph, first = self.plan.graph, self.scan.consts
        return [i for i in range(self.scan.carries) if graph.inputs[first + i].active[0] and graph.active[i]]


@dataclasses.dataclass(frozen=True, eq=False)
class MeasurementPlan:
    """What is measured in a graph.

    Attributes:
        graph: the graph.
        layers: nodes that apply weights, by index.
        activations: nonlinearities that may saturate or die, by index.
        values: nodes whose result is measured.
        ports: results whose gradient is measured.
        inner: programs inside nodes, by the node's index.
        exhaustive: whether every value and gradient is measured, by its largest magnitude. Otherwise values
            and ports are a selection, measured by their norms.
    """

    graph: ComputationGraph
    layers: Mapping[int, Layer]
    activations: Mapping[int, Activation]
    values: frozenset[int]
    ports: frozenset[Port]
    inner: Mapping[int, InnerProgram]
    exhaustive: bool = False


def plan_measurements(
    graph: ComputationGraph, parameters: int, inputs: Sequence[int] | None = None, exhaustive: bool = False
) -> MeasurementPlan:
    """What to measure in a graph.

    Args:
        graph: the whole graph, or that of a program inside it.
        parameters: the set of arguments that are parameters, as bits; see `dependencies`.
        inputs: for each input of the graph the set of arguments that it depends on; None for the whole graph.
        exhaustive: measure every value and gradient.
    """
    depends_on = dependencies(graph, inputs)
    inner: dict[int, InnerProgram] = {}
    for node in graph.nodes:
        operands = [depends_on[port.node] for port in node.inputs]
        program = _inner_program(node, parameters, operands, exhaustive)
        if program is not None:
            inner[node.index] = program
    if exhaustive:
        return MeasurementPlan(graph, {}, {}, _all_values(graph), _all_ports(graph), inner, exhaustive=True)
    layers = layers_of(graph, depends_on, parameters)
    activations = activations_of(graph, layers)
    values, ports = set(), set()
    for node in graph.nodes:
        if node.kind == "input" and _is_floating(node):
            values.add(node.index)
            ports.add(Port(node.index, 0))
        elif node.index in layers or node.index in activations or _has_program(node):
            values.add(node.index)
            ports.update(Port(node.index, k) for k in range(len(node.outputs)) if node.active[k])
    for layer in layers.values():
        values.add(origin(graph, layer.node.inputs[layer.weight]).node)
        state = layer.node.inputs[layer.state]
        values.add(uncopied(graph, state).node)
        ports.update({state, uncopied(graph, state)})
    values.update(activation.operand.node for activation in activations.values())
    values.update(port.node for port in graph.outputs)
    values = {index for index in values if graph.nodes[index].kind != "copy"}
    return MeasurementPlan(graph, layers, activations, frozenset(values), frozenset(ports), inner)


def _all_values(graph: ComputationGraph) -> frozenset[int]:
    nodes = (node for node in graph.nodes if node.kind != "copy")
    return frozenset(node.index for node in nodes if any(map(_is_floating, node.outputs)))


def _all_ports(graph: ComputationGraph) -> frozenset[Port]:
    return frozenset(
        Port(node.index, k) for node in graph.nodes for k, active in enumerate(node.active) if active
    )


def _is_floating(what: Node | jax.ShapeDtypeStruct) -> bool:
    return jnp.issubdtype(what.dtype, jnp.floating)


def _has_program(node: Node) -> bool:
    """Whether a gradient flows through a program inside the node, or through a rule in its place."""
    return any(node.active) and node.primitive in _WITH_PROGRAMS


def _inner_program(
    node: Node, parameters: int, operands: Sequence[int], exhaustive: bool
) -> InnerProgram | None:
    """The program inside a node, if it is measured; `operands` are what its operands depend on."""
    operation = node.operation
    if isinstance(operation, ScanOperation):
        inputs = _loop_inputs(operation, operands)
        return InnerProgram(plan_measurements(operation.body, parameters, inputs, exhaustive), operation)
    if isinstance(operation, RematOperation):
        return InnerProgram(plan_measurements(operation.body, parameters, operands, exhaustive))
    if isinstance(operation, CustomVjpOperation | CustomJvpOperation):
        opened = opened_rule(operation, node.label)
        if opened is not None:
            return InnerProgram(plan_measurements(opened, parameters, operands, exhaustive))
    return None


def _loop_inputs(scan: ScanOperation, operands: Sequence[int]) -> list[int]:
    """What the inputs of a loop's body depend on: a carry also on all that earlier steps add to it."""
    inputs = list(operands)
    while True:
        found = dependencies(scan.body, inputs)
        grown = list(inputs)
        for i in range(scan.carries):
            grown[scan.consts + i] |= found[scan.body.outputs[i].node]
        if grown == inputs:
            return inputs
        inputs = grown

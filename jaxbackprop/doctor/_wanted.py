"""What is to be measured in a graph and in the programs inside it; decided before anything is computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxbackprop.graph._graph import Graph, Node, Port
from jaxbackprop.graph.passes import results_of
from jaxbackprop.graph.tracing.operations import (
    CustomJvpOperation,
    CustomVjpOperation,
    RematOperation,
    ScanOperation,
)

from ._activations import Activation, activations_of
from ._structure import Layer, layers_of, origin, roots_of, uncopied


@dataclasses.dataclass(frozen=True, eq=False)
class Inside:
    """A program inside a node that is measured too.

    Attributes:
        kind: "loop" or "once".
        wanted: what to measure in it.
        scan: of a loop.
    """

    kind: Literal["loop", "once"]
    wanted: Wanted
    scan: ScanOperation | None = None

    @property
    def carries(self) -> list[int]:
        """The carries of a loop that a gradient flows through."""
        assert self.scan is not None
        inputs = self.wanted.graph.inputs
        end = self.scan.consts + self.scan.carries
        return [
            i - self.scan.consts
            for i in range(self.scan.consts, end)
            if inputs[i].active[0] and self.wanted.graph.active[i - self.scan.consts]
        ]


@dataclasses.dataclass(frozen=True, eq=False)
class Wanted:
    """What is to be measured in a graph.

    Attributes:
        graph: which.
        layers: nodes that apply weights.
        activations: nonlinearities whose ailment is known.
        values: nodes whose result is measured.
        ports: results whose gradient is measured.
        inside: programs inside nodes.
        roots: for each node the inputs of the whole function that it depends on.
        every: whether it is the largest size of everything that is measured, not the norm of what matters.
    """

    graph: Graph
    layers: Mapping[int, Layer]
    activations: Mapping[int, Activation]
    values: frozenset[int]
    ports: frozenset[Port]
    inside: Mapping[int, Inside]
    roots: Sequence[int]
    every: bool = False


def wanted_of(
    graph: Graph, parameters: int, given: Sequence[int] | None = None, every: bool = False
) -> Wanted:
    """What is to be measured in a graph.

    Args:
        graph: which.
        parameters: inputs of the whole function that are parameters, as bits.
        given: for each input of the graph the inputs of the whole function that it depends on, as bits; None
            where they are the same.
        every: measure the largest size of every value and gradient instead.
    """
    roots = roots_of(graph, given)
    layers = layers_of(graph, roots, parameters)
    activations = activations_of(graph, layers)
    inside: dict[int, Inside] = {}
    for node in graph.nodes:
        if node.operation is not None:
            found = _inside(node, parameters, [roots[port.node] for port in node.inputs], every)
            if found is not None:
                inside[node.index] = found
    if every:
        moved = (node for node in graph.nodes if node.kind != "copy")
        all_values = frozenset(node.index for node in moved if any(map(_floating, node.outputs)))
        flowing = frozenset(
            Port(node.index, k) for node in graph.nodes for k, flows in enumerate(node.active) if flows
        )
        return Wanted(graph, {}, {}, all_values, flowing, inside, roots, every)
    values, ports = set(), set()
    for node in graph.nodes:
        if node.kind == "input" and _floating(node):
            values.add(node.index)
            ports.add(Port(node.index, 0))
        elif node.index in layers or node.index in activations or _is_block(node):
            values.add(node.index)
            ports.update(Port(node.index, k) for k in range(len(node.outputs)) if node.active[k])
    for layer in layers.values():
        values.add(origin(graph, layer.node.inputs[layer.weight]).node)
        if layer.state is not None:
            port = layer.node.inputs[layer.state]
            made = uncopied(graph, port)
            values.add(made.node)
            ports.update({port, made})
    values.update(a.operand.node for a in activations.values() if a.operand is not None)
    values.update(port.node for port in graph.outputs if graph.nodes[port.node].kind != "copy")
    return Wanted(
        graph,
        layers,
        activations,
        frozenset(i for i in values if graph.nodes[i].kind != "copy"),
        frozenset(ports),
        inside,
        roots,
    )


def _floating(what: Node | jax.ShapeDtypeStruct) -> bool:
    return jnp.issubdtype(what.dtype, jnp.floating)


def _is_block(node: Node) -> bool:
    """Whether a node is a layer for what is inside it or behind it."""
    return any(node.active) and node.primitive in ("custom_vjp_call", "scan", "cond", "checkpoint", "remat2")


def _inside(node: Node, parameters: int, roots: Sequence[int], every: bool) -> Inside | None:
    operation = node.operation
    if isinstance(operation, ScanOperation):
        body = operation.body
        return Inside("loop", wanted_of(body, parameters, _loop_roots(operation, roots), every), operation)
    if isinstance(operation, RematOperation):
        return Inside("once", wanted_of(operation.body, parameters, roots, every))
    if not isinstance(operation, CustomVjpOperation | CustomJvpOperation):
        return None
    if not any(operation.flows) or not _has_loop(operation.plain):
        return None
    opened = _differentiable(operation, node)
    return None if opened is None else Inside("once", wanted_of(opened, parameters, roots, every))


def _loop_roots(scan: ScanOperation, roots: Sequence[int]) -> list[int]:
    """What the inputs of a loop's body depend on: a carry on all that comes to it from the steps before."""
    given = list(roots)
    while True:
        found = roots_of(scan.body, given)
        grown = list(given)
        for i in range(scan.carries):
            grown[scan.consts + i] |= found[scan.body.outputs[i].node]
        if grown == given:
            return given
        given = grown


def _has_loop(graph: Graph) -> bool:
    """Whether there is a loop in it, or in a function with its own rule in it."""
    return any(
        isinstance(node.operation, ScanOperation) or _has_loop(node.operation.plain)
        for node in graph.nodes
        if isinstance(node.operation, ScanOperation | CustomVjpOperation | CustomJvpOperation)
    )


def _differentiable(operation: CustomVjpOperation | CustomJvpOperation, node: Node) -> Graph | None:
    """The forward program of a function with its own rule, as a graph that gradients flow through.

    Its own rule knows the gradients at its ends alone. Step by step they come from the rules of what it is
    made of.
    """
    from jaxbackprop.graph.tracing import build

    shapes = [made.outputs[0] for made in operation.plain.inputs]
    run: Callable[..., Any] = lambda *operands: results_of(operation.plain, operands)  # noqa: E731
    graph = build(Graph, jax.make_jaxpr(run)(*shapes), operation.flows, name=node.label)
    return graph if _walkable(graph) else None


def _walkable(graph: Graph) -> bool:
    """Whether there is a rule for all that a gradient passes."""
    from jaxbackprop.graph.rules import RULES
    from jaxbackprop.graph.tracing.operations import PrimitiveOperation

    return all(
        (not isinstance(node.operation, PrimitiveOperation) or node.operation.name in RULES)
        and (not isinstance(node.operation, ScanOperation) or _walkable(node.operation.body))
        for node in graph.nodes
        if any(node.active_inputs)
    )

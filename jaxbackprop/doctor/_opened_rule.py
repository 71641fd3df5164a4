"""The loops behind hand-written rules, opened so that gradients flow through them step by step."""

from __future__ import annotations

import jax

from jaxbackprop.graph import ComputationGraph
from jaxbackprop.graph.passes import results_of
from jaxbackprop.graph.rules import RULES
from jaxbackprop.graph.tracing import (
    CustomJvpOperation,
    CustomVjpOperation,
    PrimitiveOperation,
    ScanOperation,
    build,
)


def opened_rule(operation: CustomVjpOperation | CustomJvpOperation, name: str) -> ComputationGraph | None:
    """The forward program of a function with its own rule, as a graph that gradients flow through.

    The rule gives gradients only at the program's ends. In the opened graph they come from the rules of the
    operations in it.

    Args:
        operation: the function.
        name: of the graph.

    Returns:
        None where no gradient flows, there is no loop in the program, or an operation in it has no rule.
    """
    if not any(operation.flows) or not _has_loop(operation.plain):
        return None

    def run(*operands: jax.Array) -> list[jax.Array]:
        return results_of(operation.plain, operands)

    shapes = [node.outputs[0] for node in operation.plain.inputs]
    graph = build(ComputationGraph, jax.make_jaxpr(run)(*shapes), operation.flows, name=name)
    return graph if _has_every_rule(graph) else None


def _has_loop(graph: ComputationGraph) -> bool:
    """Whether there is a loop in a graph, or in a function with its own rule in it."""
    return any(
        isinstance(node.operation, ScanOperation) or _has_loop(node.operation.plain)
        for node in graph.nodes
        if isinstance(node.operation, ScanOperation | CustomVjpOperation | CustomJvpOperation)
    )


def _has_every_rule(graph: ComputationGraph) -> bool:
    """Whether every operation that a gradient passes has a rule."""
    return all(
        (not isinstance(node.operation, PrimitiveOperation) or node.operation.name in RULES)
        and (not isinstance(node.operation, ScanOperation) or _has_every_rule(node.operation.body))
        for node in graph.nodes
        if any(node.active_inputs)
    )

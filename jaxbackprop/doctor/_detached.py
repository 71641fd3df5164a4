"""Parameters that the result depends on and that get no gradient."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp

from jaxbackprop.graph import ComputationGraph, Node, Port

from ._dependence import dependencies, needed
from ._findings import Finding, names_of
from ._measured_graph import MeasuredGraph

_CUTS = frozenset({"stop_gradient", "sign", "round", "floor", "ceil"})
_REMEDY = (
    "without it, if this part is to be trained; else the parameters out of those that are differentiated, "
    "or pass argnums, so that their absence is meant; for rounding, a straight-through estimator"
)


def detached(whole: MeasuredGraph, parameters: Sequence[int], sure: bool) -> list[Finding]:
    """The first node that lets no gradient through to parameters, if there is one.

    Args:
        whole: the whole graph.
        parameters: nodes of the inputs that are parameters.
        sure: whether they are known to be parameters. If not, a comparison is no finding, since data are
            compared.
    """
    graph = whole.graph
    used = needed(graph)
    cut_off = [
        graph.nodes[i]
        for i in parameters
        if i in used and graph.nodes[i].active[0] and whole.gradient(Port(i, 0)) is None
    ]
    depends_on = dependencies(graph)
    bits = {node.index: 1 << k for k, node in enumerate(graph.inputs)}
    lost = sum(bits[node.index] for node in cut_off)
    cuts = (node for node in graph.nodes if node.index in used and _cuts(graph, node, depends_on, lost, sure))
    node = next(cuts, None)
    if node is None:
        return []
    names = [each.name for each in cut_off if depends_on[node.index] & bits[each.index]]
    message = (
        f"it lets no gradient through, and on every way to the result it, or its like, stands before "
        f"{names_of(names, 6)}: "
        f"{len(names)} parameter{'s get' if len(names) != 1 else ' gets'} no gradient and will not be trained"
    )
    unit = "parameters without a gradient"
    nodes = (node, *cut_off)
    count = float(len(names))
    return [Finding("detached", node, node.name, node.source, count, unit, message, _REMEDY, nodes, nodes)]


def _cuts(graph: ComputationGraph, node: Node, depends_on: Sequence[int], lost: int, sure: bool) -> bool:
    """Whether a gradient would flow on from an operand to lost parameters, and stops at the node."""
    if node.kind != "operation" or any(node.active):
        return False
    if not any(graph.nodes[p.node].active[p.output] and depends_on[p.node] & lost for p in node.inputs):
        return False
    makes_integers = not any(jnp.issubdtype(made.dtype, jnp.inexact) for made in node.outputs)
    return node.label in _CUTS or (sure and makes_integers)

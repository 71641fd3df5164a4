"""Parameters that the result depends on, and that get no gradient."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp

from jaxbackprop.graph._graph import Graph, Node, Port

from ._findings import Finding
from ._measures import Place
from ._structure import reaching, roots_of

_CUTS = frozenset({"stop_gradient", "sign", "round", "floor", "ceil"})


def detached(whole: Place, found: Sequence[Place], parameters: Sequence[int], sure: bool) -> list[Finding]:
    """The node that cuts parameters off, if one does.

    Args:
        whole: the whole graph.
        found: it and all programs in it.
        parameters: nodes of the inputs that are parameters.
        sure: whether it is known that they are; else a comparison is no cut, for data are compared.
    """
    graph = whole.graph
    needed = reaching(graph)
    cut = [
        graph.nodes[i]
        for i in parameters
        if i in needed and graph.nodes[i].active[0] and whole.gradient(Port(i, 0)) is None
    ]
    if not cut:
        return []
    roots = roots_of(graph)
    numbers = {node.index: 1 << k for k, node in enumerate(graph.inputs)}
    lost = sum(numbers[node.index] for node in cut)
    blame = [node for node in graph.nodes if node.index in needed and _cuts(graph, node, roots, lost, sure)]
    if not blame:
        return []
    node = blame[0]
    names = [each.name for each in cut if roots[node.index] & numbers[each.index]] or [n.name for n in cut]
    shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    message = (
        f"it lets no gradient through, and on every way to the result it, or its like, stands before "
        f"{shown}: "
        f"{len(names)} parameter{'s get' if len(names) != 1 else ' gets'} no gradient and will not be trained"
    )
    remedy = (
        "without it, if this part is to be trained; else the parameters out of those that are "
        "differentiated, "
        "or pass argnums, so that their absence is meant; for rounding, a straight-through estimator"
    )
    return [
        Finding(
            "detached",
            node,
            node.name,
            node.source,
            float(len(names)),
            "parameters without a gradient",
            message,
            remedy,
            (node, *cut),
            (node, *cut),
        )
    ]


def _cuts(graph: Graph, node: Node, roots: Sequence[int], lost: int, sure: bool) -> bool:
    if node.kind != "operation" or any(node.active) or not roots[node.index] & lost:
        return False
    takes_one = any(graph.nodes[p.node].active[p.output] and roots[p.node] & lost for p in node.inputs)
    if not takes_one:
        return False
    makes_integers = not any(jnp.issubdtype(made.dtype, jnp.inexact) for made in node.outputs)
    return node.label in _CUTS or (sure and makes_integers)

"""A program of JAX, as a computation graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from jaxbackprop._jaxpr import Program, function_name, opened

from .._graph import ComputationGraph
from ._builder import Builder
from ._names import numbered_names

G = TypeVar("G", bound=ComputationGraph)


def build(
    kind: type[G],
    jaxpr: Program,
    active: Sequence[bool],
    *,
    names: Sequence[str] | None = None,
    name: str = "",
    keep_all: bool = False,
) -> G:
    """The graph of a jaxpr.

    Args:
        kind: the class of the graph, and of the graphs inside its nodes.
        jaxpr: closed or not.
        active: which of its arguments a gradient flows back to.
        names: of its arguments.
        name: of the graph.
        keep_all: keeps nodes that no result depends on.
    """
    builder = Builder(lambda jaxpr, active: build(kind, jaxpr, active))
    inner, consts = opened(jaxpr)
    named = names or numbered_names(len(inner.invars))
    args = [
        builder.input(name, var, flows) for name, var, flows in zip(named, inner.invars, active, strict=True)
    ]
    nodes, ends = builder.finished(builder.inline(inner, consts, args, ()), keep_all)
    return kind(name or function_name(inner) or "f", nodes, ends)

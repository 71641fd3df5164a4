"""What users hold of a graph: the structure, with its two passes, its cost and its pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from . import passes, render, tracing
from ._graph import ComputationGraph
from .passes import Backward, Cost, Run
from .render import HealthReport


class Graph(ComputationGraph):
    """The computation graph of a function, as `trace` gives it; so are the graphs inside its nodes.

    Every value goes along one edge only: what is used several times goes through a copy node. So every edge
    has one value on the way forward and one gradient on the way back.

    Attributes:
        name: the function's.
        nodes: in a topological order: operands stand before what uses them.
        outputs: where the results come from, flat.
        arguments: the arguments that were traced: a tuple of pytrees; leaves may be `jax.ShapeDtypeStruct`.
        structure: pytree structure of the results; None where tracing failed before there was one.
        error: what the function raised while it was traced, if it did; then the graph holds what came before.
    """

    def forward(self, *args: Any) -> Run:
        """Walks the nodes in topological order.

        Args:
            args: of the structure, shapes and dtypes that were traced; none at all: those that were traced.

        Returns:
            Every intermediate value.

        Raises:
            TypeError: where an argument differs in structure, shape or dtype from what was traced, or where
                shapes alone were traced and no arguments came.
        """
        return passes.forward(self, args or self.arguments)

    def cost(self) -> Cost:
        """Multiplications of the forward and the backward pass, a node and in all.

        Raises:
            UnsupportedPrimitive: where a gradient must pass what has no rule.
        """
        return passes.cost(self)

    def to_svg(self, run: Run | Backward | None = None) -> str:
        """A picture; see `jaxbackprop.graph.render.to_svg`.

        Args:
            run: None for shapes alone, a `Run` for values, a `Backward` for values and gradients.

        Returns:
            An SVG document, without script, fonts or links; light or dark as the reader prefers.

        Raises:
            TypeError: where run is none of these.
            ValueError: where run is of another graph.
        """
        return render.to_svg(self, run)

    def to_dot(self, run: Run | Backward | None = None) -> str:
        """The graph in Graphviz's language, of a run as `to_svg`; see `jaxbackprop.graph.render.to_dot`."""
        return render.to_dot(self, run)

    def to_json(self, run: Run | Backward | None = None) -> str:
        """The graph and its numbers, of a run as `to_svg`; see `jaxbackprop.graph.render.to_json`."""
        return render.to_json(self, run)

    def to_html(
        self,
        path: str | os.PathLike[str] | None = None,
        run: Run | Backward | None = None,
        *,
        check: bool = True,
        health: HealthReport | None = None,
    ) -> str | None:
        """The graph as one HTML page that steps forward and backward through it.

        The page needs nothing beside it and opens no connection.

        Args:
            path: the file to write; None returns the page.
            run: a `Backward`, or a `Run`. What is missing is computed where the graph was traced with
                arguments: the forward pass, and the backward pass, beginning with ones.
            check: whether to ask the harness about hand-written VJPs that are not this package's own, about a
                second each. Where one is wrong the page opens at the step that meets it first.
            health: the doctor's report of this graph, or of another trace of the same function at the same
                shapes. The page lists its findings, marks their nodes, and opens at the most serious one; a
                backward pass that is missing begins as the doctor's does.

        Returns:
            The document where path is None.

        Raises:
            TypeError: where path is no file's name, run is no run, or health is no report.
            ValueError: where run or health is of another graph.
            OSError: where the file cannot be written; an older file of that name is then as it was.
        """
        return render.to_html(self, path, run, check=check, health=health)

    def _repr_html_(self) -> str | None:
        return render.in_notebook(self)

    def _repr_svg_(self) -> str:
        return self.to_svg()


def trace(f: Callable[..., Any], *args: Any) -> Graph:
    """The computation graph of a function.

    Args:
        f: any function of JAX arrays.
        args: its arguments: pytrees of arrays, numbers or `jax.ShapeDtypeStruct`. Leaves of other types
            (strings, functions) are handed on to f as they are. Gradients flow to floating-point leaves.

    Returns:
        The graph, of all that the results depend on. Where f raises, the graph of what it did until then,
        with what it raised in `error`.

    Raises:
        TypeError: where f is not callable, or returns what is no array.
    """
    if not callable(f):
        raise TypeError(f"f must be a function, got {type(f).__name__}")
    return tracing.trace(Graph, f, args, names=tracing.argument_names(f, args))

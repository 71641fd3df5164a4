"""The graph as a table: one row a node, in topological order."""

from __future__ import annotations

import os
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from jaxbackprop.graph import Cost, Graph, Node, Port
from jaxbackprop.graph.render import Passes, numbers_text, shape_text, symbol


def print_table(graph: Graph, passes: Passes, console: Console) -> None:
    """Prints the nodes: what each is, where it stands in the code, its value, the gradient that came to it.

    Args:
        graph: which.
        passes: the forward and the backward pass, as far as they were made.
        console: where to print.
    """
    ruled = console.is_terminal
    table = Table(box=box.SIMPLE_HEAD if ruled else None, pad_edge=False, show_edge=False)
    for title in ("node", "operation", "where", "shape", "value", "gradient", "formula"):
        table.add_column(title, overflow="fold")
    gradients = _gradients(graph, passes)
    for node in graph.nodes:
        table.add_row(
            node.name,
            node.kind if node.kind in ("input", "constant") else symbol(node),
            _where(node),
            ", ".join(shape_text(tuple(made.shape), made.dtype) for made in node.outputs[: _results(node)]),
            ", ".join(_values(node, passes)),
            # A copy's gradients are added up.
            (" + " if node.kind == "copy" else ", ").join(
                gradients[Port(node.index, k)]
                for k in range(len(node.outputs))
                if Port(node.index, k) in gradients
            ),
            node.formula or "",
        )
    console.print(table)


def print_cost(cost: Cost, console: Console) -> None:
    """Prints how many multiplications both passes take."""
    ratio = f" ({cost.ratio:.3g} times the forward pass)" if cost.forward else ""
    console.print(f"multiplications: {cost.forward:,} forward, {cost.backward:,} backward{ratio}")


def _results(node: Node) -> int:
    """How many of its results differ: a copy's do not."""
    return 1 if node.kind == "copy" else len(node.outputs)


def _values(node: Node, passes: Passes) -> Iterator[str]:
    if passes.run is not None:
        for value in passes.run.of(node).outputs[: _results(node)]:
            yield numbers_text(value)
    elif node.kind == "constant":
        yield numbers_text(node.value)


def _gradients(graph: Graph, passes: Passes) -> dict[Port, str]:
    """What flowed back to each result."""
    found = {Port(edge.source, edge.output): passes.gradient(edge) for edge in graph.edges if edge.active}
    found |= {port: passes.upstream(k) for k, port in enumerate(graph.outputs) if port not in found}
    return {port: numbers_text(gradient) for port, gradient in found.items() if gradient is not None}


def _where(node: Node) -> str:
    """File and line; the file as it is named from here, if it lies here."""
    if node.source is None:
        return ""
    here = os.getcwd() + os.sep
    return f"{node.source.file.removeprefix(here)}:{node.source.line}"

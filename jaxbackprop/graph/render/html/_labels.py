"""The page's names of nodes, values and lines of code; text escaped for HTML."""

from __future__ import annotations

import os
from functools import cached_property

from ..._graph import ComputationGraph, Node, Port, Source
from .._node_text import output_names, symbol
from .._text import shortened, xml_text

_NAME_LENGTH, _SOURCE_LENGTH = 80, 100


def html_text(text: str) -> str:
    """Text escaped for HTML, between tags and in quoted attributes."""
    return xml_text(text).replace('"', "&quot;").replace("'", "&#39;")


def code(text: str) -> str:
    """A name of the user's code."""
    return f"<code>{html_text(shortened(text, _NAME_LENGTH))}</code>"


def where(source: Source | None) -> str:
    """File and line; the path is relative if it is below the working directory, else folder and file name."""
    if source is None:
        return ""
    here = os.getcwd() + os.sep
    if source.file.startswith(here):
        file = source.file.removeprefix(here)
    else:
        file = "/".join(source.file.replace(os.sep, "/").split("/")[-2:])
    return shortened(f"{file}:{source.line}", _SOURCE_LENGTH)


class Labels:
    """The names of a graph's nodes, results and values.

    Attributes:
        graph: the graph.
        results: a name for each of its results.
    """

    def __init__(self, graph: ComputationGraph) -> None:
        self.graph = graph
        self.results = output_names(graph)

    def name(self, node: Node) -> str:
        """A node's name; a constant's is its value."""
        return symbol(node) if node.kind == "constant" else node.name

    def origin(self, port: Port) -> str:
        """The name of the node that made a value, before it was copied."""
        node = self.graph.nodes[port.node]
        while node.kind == "copy":
            node = self.graph.nodes[node.inputs[0].node]
        return self.name(node)

    def target(self, index: int) -> str:
        """The name of a node by its index; -1, -2, ... are the results."""
        return self.results[-1 - index] if index < 0 else self.name(self.graph.nodes[index])

    @cached_property
    def takers(self) -> dict[Port, list[int]]:
        """The indices of the nodes that take each value; -1, -2, ... are the results."""
        found: dict[Port, list[int]] = {}
        for edge in self.graph.edges:
            found.setdefault(Port(edge.source, edge.output), []).append(edge.target)
        for k, port in enumerate(self.graph.outputs):
            found.setdefault(port, []).append(-1 - k)
        return found

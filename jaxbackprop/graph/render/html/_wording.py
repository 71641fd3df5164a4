"""What the page calls nodes, values and lines of code; and text as HTML holds it."""

from __future__ import annotations

import os
from functools import cached_property

from ..._graph import Graph, Node, Port, Source
from .._lettering import xml_text
from .._names import output_names, shortened, symbol

_NAME_LENGTH, _SOURCE_LENGTH = 80, 100


def html_text(text: str) -> str:
    """Text as HTML holds it, between tags and in quoted attributes."""
    return xml_text(text).replace('"', "&quot;").replace("'", "&#39;")


def code(text: str) -> str:
    """A name of the user's code."""
    return f"<code>{html_text(shortened(text, _NAME_LENGTH))}</code>"


def where(source: Source | None) -> str:
    """File and line: the file as it is named from here if it lies here, else its name and its folder's."""
    if source is None:
        return ""
    here = os.getcwd() + os.sep
    if source.file.startswith(here):
        file = source.file.removeprefix(here)
    else:
        file = "/".join(source.file.replace(os.sep, "/").split("/")[-2:])
    return shortened(f"{file}:{source.line}", _SOURCE_LENGTH)


class Wording:
    """The names of a graph's nodes, results and values.

    Attributes:
        graph: whose.
        results: a name for each of its results.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.results = output_names(graph)

    def name(self, node: Node) -> str:
        """What a node is called; a constant is called by its value."""
        return symbol(node) if node.kind == "constant" else node.name

    def origin(self, port: Port) -> str:
        """The node that made a value, before it was copied."""
        node = self.graph.nodes[port.node]
        while node.kind == "copy":
            node = self.graph.nodes[node.inputs[0].node]
        return self.name(node)

    def target(self, index: int) -> str:
        """The node of an index, or the result of an index below 0, from -1."""
        return self.results[-1 - index] if index < 0 else self.name(self.graph.nodes[index])

    @cached_property
    def takers(self) -> dict[Port, list[int]]:
        """Who takes each value: indices of nodes; from -1 downward, of results."""
        found: dict[Port, list[int]] = {}
        for edge in self.graph.edges:
            found.setdefault(Port(edge.source, edge.output), []).append(edge.target)
        for k, port in enumerate(self.graph.outputs):
            found.setdefault(port, []).append(-1 - k)
        return found

"""An ailment, its place, and its remedy."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from jaxbackprop.graph._graph import Node, Source

# The most serious first: what follows further down the list may be a consequence of what stands above it.
KINDS = ("nonfinite", "detached", "dead", "saturated", "exploding", "vanishing", "update")


@dataclasses.dataclass(frozen=True, eq=False)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: "nonfinite", "detached", "dead", "saturated", "exploding", "vanishing" or "update".
        node: where: a node of the graph, or of a program inside it.
        name: the node's; inside others after theirs: "scan/tanh".
        source: the line of the user's code.
        figure: what was measured there.
        unit: what the figure is.
        message: the ailment in a sentence.
        remedy: what may help.
        nodes: all nodes that it was found at, the worst first.
        outer: the node of the whole graph that these stand in, or are.
    """

    kind: str
    node: Node
    name: str
    source: Source | None
    figure: float
    unit: str
    message: str
    remedy: str
    nodes: tuple[Node, ...] = ()
    outer: tuple[Node, ...] = ()

    def lines(self) -> list[str]:
        """The finding to be read."""
        where = "" if self.source is None else f" ({_from_here(self.source)})"
        return [f"{self.kind}: {self.name}{where}: {self.message}", f"  try: {self.remedy}"]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        source = self.source
        return {
            "kind": self.kind,
            "node": self.name,
            "index": self.outer[0].index if self.outer else self.node.index,
            "source": None
            if source is None
            else {"file": source.file, "line": source.line, "function": source.function},
            "figure": self.figure,
            "unit": self.unit,
            "message": self.message,
            "remedy": self.remedy,
            "nodes": [node.name for node in self.nodes],
        }


def ranked(findings: list[Finding]) -> tuple[Finding, ...]:
    """The most serious first; among alike, as they were found."""
    return tuple(sorted(findings, key=lambda finding: KINDS.index(finding.kind)))


def number(value: float) -> str:
    """A figure with two digits."""
    from jaxbackprop.graph.render import number_text

    return number_text(float(value), 2)


def percent(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:.0f}%"


def _from_here(source: Source) -> str:
    return f"{source.file.removeprefix(os.getcwd() + os.sep)}:{source.line}"

"""A finding: what is wrong, at which node, and what may help."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from jaxbackprop.graph import Node, Source
from jaxbackprop.graph.render import number_text

# The most serious first: a later kind may be a consequence of an earlier one.
KINDS = ("nonfinite", "detached", "dead", "saturated", "exploding", "vanishing", "underflow", "update")


@dataclasses.dataclass(frozen=True, eq=False)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: "nonfinite", "detached", "dead", "saturated", "exploding", "vanishing", "underflow" or "update".
        node: where: a node of the graph, or of a program inside it.
        name: the node's; inside others after theirs: "scan/tanh".
        source: the line of the user's code.
        figure: what was measured there.
        unit: what the figure is.
        message: what is wrong, in a sentence.
        remedy: what may help.
        nodes: all nodes where it was found, the worst first.
        outer: the nodes of the whole graph that these stand in, or are.
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
        """The finding as two lines of text."""
        where = "" if self.source is None else f" ({_relative(self.source)})"
        return [f"{self.kind}: {self.name}{where}: {self.message}", f"  try: {self.remedy}"]

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON holds it."""
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


def finding_at(
    node: Node,
    inside: Sequence[Node],
    kind: str,
    figure: float,
    unit: str,
    message: str,
    remedy: str,
    others: Sequence[Node] = (),
) -> Finding:
    """A finding at a node.

    Args:
        node: where.
        inside: the nodes that it stands in, outermost first.
        kind: as in `Finding`; so are figure, unit, message and remedy.
        figure: what was measured.
        unit: what the figure is.
        message: what is wrong.
        remedy: what may help.
        others: further nodes where it was found.
    """
    return Finding(
        kind,
        node,
        path(node, inside),
        node.source,
        figure,
        unit,
        message,
        remedy,
        (node, *others),
        (inside[0] if inside else node,),
    )


def path(node: Node, inside: Sequence[Node]) -> str:
    """A node's name after those of the nodes that it stands in: "scan/tanh"."""
    return "/".join([*(each.name for each in inside), node.name])


def ranked(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The most serious first; findings of one kind keep their order."""
    return tuple(sorted(findings, key=lambda finding: KINDS.index(finding.kind)))


def number(value: float) -> str:
    """A figure with two significant digits."""
    return number_text(float(value), 2)


def percent(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:.0f}%"


def names_of(names: Sequence[str], most: int) -> str:
    """The first names, and "…" where there are more."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def likewise(names: Sequence[str]) -> str:
    """What a message adds about further nodes; empty where there are none."""
    return f"; likewise {names_of(names, 4)}" if names else ""


def _relative(source: Source) -> str:
    return f"{source.file.removeprefix(os.getcwd() + os.sep)}:{source.line}"

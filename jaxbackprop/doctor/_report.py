"""The report: findings and measurements, as text and as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from typing import TYPE_CHECKING, Any, Literal

import jax

from jaxbackprop._output import write_whole
from jaxbackprop.graph import Graph, Node

from ._findings import Finding
from ._measurement_lines import measurement_lines
from ._node_health import NodeHealth
from ._recurrence import Recurrence
from ._thresholds import THRESHOLDS
from ._upstream import upstream

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType

Severity = Literal["healthy", "finding"]


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """The findings and measurements of a node.

    Attributes:
        node: the node.
        severity: "finding" where a finding names it or a node inside it; else "healthy".
        findings: of the node and of what is inside it.
        measures: of the node and of what is inside it; empty where nothing was measured.
    """

    node: Node
    severity: Severity
    findings: tuple[Finding, ...]
    measures: tuple[NodeHealth, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """The health of a model's gradient, at one point and on one batch.

    Attributes:
        name: the function's.
        graph: its computation graph.
        findings: what is wrong, most serious first; empty where nothing is.
        nodes: what was measured of every parameter, layer and activation, in the order of the computation.
        sequences: the growth of the gradient along each recurrent sequence.
        notes: observations that need not be faults.
        value: the function's result, where it is one number.
    """

    name: str
    graph: Graph = dataclasses.field(repr=False)
    findings: tuple[Finding, ...]
    nodes: tuple[NodeHealth, ...] = dataclasses.field(repr=False)
    sequences: tuple[Recurrence, ...] = dataclasses.field(repr=False)
    notes: tuple[str, ...] = ()
    value: float | None = None

    def upstream(self) -> list[jax.Array | None]:
        """The gradients that the backward pass began with, one a result; None where none came."""
        return upstream(self.graph)

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def of(self, node: Node | int | str) -> Diagnosis:
        """The findings and measurements of a node.

        Args:
            node: a node of the graph or of another trace of the function, or its index or name.

        Raises:
            KeyError: where the graph has no such node.
        """
        at = self.graph.nodes[node.index] if isinstance(node, Node) else self.graph.node(node)
        if isinstance(node, Node) and at.name != node.name:
            raise KeyError(f"{node.name} is a node of another graph than {self.name}")
        findings = tuple(f for f in self.findings if any(at is each for each in (*f.nodes, *f.outer)))
        measures = tuple(h for h in self.nodes if (h.inside[0] if h.inside else h.node) is at)
        return Diagnosis(at, "finding" if findings else "healthy", findings, measures)

    @property
    def severities(self) -> dict[str, Severity]:
        """By the name of every node of the graph, whether there is a finding at it."""
        return {node.name: self.of(node).severity for node in self.graph.nodes}

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON holds it, nan and infinities as text."""
        found: dict[str, Any] = _plain(
            {
                "name": self.name,
                "healthy": self.healthy,
                "value": self.value,
                "findings": [finding.to_dict() for finding in self.findings],
                "notes": list(self.notes),
                "nodes": [health.to_dict() for health in self.nodes],
                "sequences": [sequence.to_dict() for sequence in self.sequences],
                "thresholds": {n: {"value": t.value, "reason": t.reason} for n, t in THRESHOLDS.items()},
            }
        )
        return found

    def to_json(self) -> str:
        """The report as strict JSON."""
        return json.dumps(self.to_dict(), allow_nan=False) + "\n"

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Plots norms by depth and by time step, and shares of saturated and dead units.

        Nodes that a finding names are red. Plots for which nothing was measured are left out.

        Args:
            path: file to write, in the format of its ending (png, svg, pdf); None writes none.

        Returns:
            The figure.

        Raises:
            ValueError: where matplotlib knows no format of that ending.
            OSError: where the file cannot be written.
        """
        from ._plot import draw

        figure = draw(self.name, self.findings, self.nodes, self.sequences)
        if path is not None:
            write_whole(os.fspath(path), figure.savefig, "path")
        return figure

    @property
    def _verdict(self) -> str:
        if self.healthy:
            return "healthy"
        count = len(self.findings)
        return f"{count} finding{'s' * (count != 1)}"

    def __str__(self) -> str:
        lines = [f"{self.name}: {self._verdict}"]
        lines += [f"  {line}" for finding in self.findings for line in finding.lines()]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join([*lines, *measurement_lines(self.nodes, self.sequences)])

    def __rich__(self) -> RenderableType:
        from rich.text import Text

        style = "green" if self.healthy else "bold red"
        text = Text.assemble((self.name, "bold"), ": ", (self._verdict, style))
        for finding in self.findings:
            first, *rest = finding.lines()
            text.append(f"\n  {finding.kind}", "bold red").append(first[len(finding.kind) :])
            for line in rest:
                text.append(f"\n  {line}", "yellow")
        for note in self.notes:
            text.append(f"\n  note: {note}", "dim")
        for i, line in enumerate(measurement_lines(self.nodes, self.sequences)):
            text.append(f"\n{line}", "dim" if i else "bold")
        return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value

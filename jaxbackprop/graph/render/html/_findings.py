"""The findings of a health report on the page: the marks of their nodes, and the list at the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..._graph import ComputationGraph, Node
from .._text import shortened
from ._health import HealthFinding, HealthReport
from ._labels import code, html_text, where
from ._narration import Step

# Kinds that leave no gradient, or none that is finite. The others leave a gradient that trains badly.
_GRAVE = ("nonfinite", "detached", "dead")
# Kinds that show in the backward pass. The others show as soon as the node has a value.
_SEEN_BACKWARD = ("exploding", "vanishing", "underflow", "update")
_TEXT_LENGTH, _NAME_LENGTH = 600, 80
_LISTED, _ALSO_AT_MOST = 3, 6


def fitting(graph: ComputationGraph, health: HealthReport | None) -> HealthReport | None:
    """The report, if it is of this graph or of another trace of the same function at the same shapes.

    Raises:
        TypeError: where health is neither a report nor None.
        ValueError: where it is of a graph with other nodes.
    """
    if health is None:
        return None
    if not isinstance(health, HealthReport):
        raise TypeError(f"health must be a Report of the doctor or None, got {type(health).__name__}")
    other = health.graph
    if other.outputs != graph.outputs or [*map(_identity, other.nodes)] != [*map(_identity, graph.nodes)]:
        raise ValueError(
            f"health is of a graph of {other.name} with {len(other.nodes):,} nodes, which is not that of "
            f"{graph.name} with {len(graph.nodes):,}: trace the same function at the same shapes, or take "
            "health.graph"
        )
    return health


def _identity(node: Node) -> tuple[Any, ...]:
    """What is equal in two traces of the same function."""
    made = tuple((tuple(each.shape), str(each.dtype)) for each in node.outputs)
    return node.name, node.kind, node.inputs, made


def marks(report: HealthReport | None) -> dict[int, list[int]]:
    """By a node's index, the positions in the report of the findings on it, the most serious first."""
    found: dict[int, list[int]] = {}
    if report is not None:
        for position, finding in enumerate(report.findings):
            for index in _marked_nodes(report, finding):
                found.setdefault(index, []).append(position)
    return found


def _marked_nodes(report: HealthReport, finding: HealthFinding) -> list[int]:
    """The nodes of the whole graph that a finding is about, the worst first."""
    nodes = report.graph.nodes
    concerned = (*finding.outer, *finding.nodes)
    return list(dict.fromkeys(n.index for n in concerned if n.index < len(nodes) and nodes[n.index] is n))


def finding_records(report: HealthReport | None) -> list[dict[str, str]]:
    """Every finding as the page's script reads it, the most serious first."""
    return [
        {
            "kind": finding.kind,
            "look": _look(finding),
            "name": shortened(finding.name, _NAME_LENGTH),
            "message": shortened(finding.message, _TEXT_LENGTH),
            "remedy": shortened(finding.remedy, _TEXT_LENGTH),
        }
        for finding in (report.findings if report else ())
    ]


def _look(finding: HealthFinding) -> str:
    """The CSS class of its mark."""
    return "grave" if finding.kind in _GRAVE else "mild"


def first_step(report: HealthReport | None, steps: Sequence[Step]) -> int:
    """The step, from 1, at which the most serious finding shows; 0 where there is none."""
    if report is None or not report.findings:
        return 0
    worst = report.findings[0]
    marked = _marked_nodes(report, worst)
    return _step(worst, marked[0], _step_numbers(steps)) if marked else 0


def finding_list(report: HealthReport | None, graph: ComputationGraph, steps: Sequence[Step]) -> str:
    """The findings as HTML, most serious first, each with links to the steps of its nodes."""
    if report is None:
        return ""
    if not report.findings:
        return '<p class="remark">The doctor finds nothing wrong here.</p>'
    numbers = _step_numbers(steps)
    items = [
        _item(n, finding, _marked_nodes(report, finding), graph, numbers)
        for n, finding in enumerate(report.findings, start=1)
    ]
    count = len(items)
    shown = f"<ol>{''.join(items[:_LISTED])}</ol>"
    if count > _LISTED:
        rest = f"<ol>{''.join(items[_LISTED:])}</ol>"
        shown += f"<details><summary>{count - _LISTED:,} more</summary>{rest}</details>"
    return (
        '<section class="findings" aria-labelledby="findings-title"><h2 id="findings-title">'
        f"The doctor: {count:,} finding{'s' * (count != 1)}</h2>{shown}</section>"
    )


def legend(report: HealthReport | None) -> str:
    """The meaning of the marks that the picture has."""
    meanings = (
        ("grave", "octagon, solid border", "no usable gradient"),
        ("mild", "triangle, dashed border", "a gradient that trains badly"),
    )
    looks = {_look(finding) for finding in (report.findings if report else ())}
    return "".join(
        f'<span><b class="{look}">{shape}</b>: a finding, {meaning}</span>'
        for look, shape, meaning in meanings
        if look in looks
    )


_StepNumbers = Mapping[tuple[bool, int], int]
"""By pass (whether backward) and node, the number of a step."""


def _step_numbers(steps: Sequence[Step]) -> _StepNumbers:
    return {(step.backward, step.node): n for n, step in enumerate(steps, start=1)}


def _step(finding: HealthFinding, index: int, numbers: _StepNumbers) -> int:
    backward = finding.kind in _SEEN_BACKWARD
    return numbers.get((backward, index)) or numbers[False, index]


def _item(
    n: int, finding: HealthFinding, marked: Sequence[int], graph: ComputationGraph, numbers: _StepNumbers
) -> str:
    look = _look(finding)
    place = where(finding.source)
    at = f' <span class="where">{html_text(place)}</span>' if place else ""
    parts = [
        f'<p><strong class="{look}">{html_text(finding.kind)}</strong> at {code(finding.name)}{at}: '
        f"{html_text(shortened(finding.message, _TEXT_LENGTH))}.</p>",
        f"<p><b>Try</b> {html_text(shortened(finding.remedy, _TEXT_LENGTH))}.</p>",
    ]
    if marked:
        worst, *rest = marked
        both = [("forward", numbers.get((False, worst))), ("backward", numbers.get((True, worst)))]
        # Each link's text says by itself where it leads.
        links = [f'<a href="#step-{step}">{name} step {step}</a>' for name, step in both if step]
        see = f"See {code(graph.nodes[worst].name)} at {' and '.join(links)}"
        others = [
            f'<a href="#step-{_step(finding, i, numbers)}">{code(graph.nodes[i].name)}</a>'
            for i in rest[:_ALSO_AT_MOST]
        ]
        left = len(rest) - len(others)
        others += [f"{left:,} more"] if left > 0 else []
        parts.append(f'<p class="at">{see}{"; also " if others else ""}{", ".join(others)}.</p>')
    return f'<li class="{look}" value="{n}">{"".join(parts)}</li>'

"""The doctor's findings on the page: which nodes bear a mark, and the list at the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxbackprop.doctor import Finding, Report
from jaxbackprop.doctor._examine import upstream

from ..._graph import Graph, Node
from .._names import shortened
from ._story import Step
from ._wording import code, html_text, where

# No gradient, or none that is a number. The others leave one, of a size that does not train.
_GRAVE = ("nonfinite", "detached", "dead")
# What is wrong with the gradient shows in the backward pass; the rest is seen as soon as there is a value.
_SEEN_BACKWARD = ("exploding", "vanishing", "update")
_TEXT_LENGTH, _NAME_LENGTH = 600, 80
_LISTED, _ALSO_AT_MOST = 3, 6


def fitting(graph: Graph, health: Any) -> Report | None:
    """A report that is of this graph, or of one that was traced alike.

    Raises:
        TypeError: where health is neither a report nor None.
        ValueError: where it is of a graph of other nodes.
    """
    if health is None:
        return None
    if not isinstance(health, Report):
        raise TypeError(f"health must be a Report of the doctor or None, got {type(health).__name__}")
    other = health.graph
    if other.outputs != graph.outputs or [*map(_alike, other.nodes)] != [*map(_alike, graph.nodes)]:
        raise ValueError(
            f"health is of a graph of {other.name} with {len(other.nodes):,} nodes, which is not that of "
            f"{graph.name} with {len(graph.nodes):,}: trace the same function at the same shapes, or take "
            "health.graph"
        )
    return health


def _alike(node: Node) -> tuple[Any, ...]:
    made = tuple((tuple(each.shape), str(each.dtype)) for each in node.outputs)
    return node.name, node.kind, node.inputs, made


def upstream_of(graph: Graph, report: Report | None) -> list[Any] | None:
    """The gradients that the doctor's backward pass began with; None where there is no report."""
    return None if report is None else upstream(graph)


def marks(report: Report | None) -> dict[int, list[int]]:
    """For the index of each node that findings concern their places in the report, the most serious first."""
    found: dict[int, list[int]] = {}
    for place, finding in enumerate(report.findings if report else ()):
        for index in _places(report, finding):
            found.setdefault(index, []).append(place)
    return found


def _places(report: Report | None, finding: Finding) -> list[int]:
    """The nodes of the whole graph that a finding concerns, the worst first."""
    assert report is not None
    nodes = report.graph.nodes
    concerned = (*finding.outer, *finding.nodes)
    return list(dict.fromkeys(n.index for n in concerned if n.index < len(nodes) and nodes[n.index] is n))


def finding_records(report: Report | None) -> list[dict[str, str]]:
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


def _look(finding: Finding) -> str:
    return "grave" if finding.kind in _GRAVE else "mild"


def first_step(report: Report | None, steps: Sequence[Step]) -> int:
    """The step, from 1, at which the most serious finding shows; 0 where there is none."""
    if report is None or report.healthy:
        return 0
    places = _places(report, report.findings[0])
    return _step(report.findings[0], places[0], _times(steps)) if places else 0


def finding_list(report: Report | None, graph: Graph, steps: Sequence[Step]) -> str:
    """The findings as HTML, most serious first, each with links to the steps of its nodes."""
    if report is None:
        return ""
    if report.healthy:
        return '<p class="remark">The doctor finds nothing wrong here.</p>'
    times = _times(steps)
    items = [
        _item(n, finding, _places(report, finding), graph, times)
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


def legend(report: Report | None) -> str:
    """What the marks in the picture mean, those that there are."""
    meant = (
        ("grave", "octagon, solid border", "no usable gradient"),
        ("mild", "triangle, dashed border", "a gradient that trains badly"),
    )
    looks = {_look(finding) for finding in (report.findings if report else ())}
    return "".join(
        f'<span><b class="{look}">{shape}</b>: a finding, {said}</span>'
        for look, shape, said in meant
        if look in looks
    )


_Times = Mapping[tuple[bool, int], int]


def _times(steps: Sequence[Step]) -> _Times:
    return {(step.backward, step.node): n for n, step in enumerate(steps, start=1)}


def _step(finding: Finding, index: int, times: _Times) -> int:
    backward = finding.kind in _SEEN_BACKWARD
    return times.get((backward, index)) or times[False, index]


def _item(n: int, finding: Finding, places: Sequence[int], graph: Graph, times: _Times) -> str:
    look = _look(finding)
    place = where(finding.source)
    at = f' <span class="where">{html_text(place)}</span>' if place else ""
    parts = [
        f'<p><strong class="{look}">{html_text(finding.kind)}</strong> at {code(finding.name)}{at}: '
        f"{html_text(shortened(finding.message, _TEXT_LENGTH))}.</p>",
        f"<p><b>Try</b> {html_text(shortened(finding.remedy, _TEXT_LENGTH))}.</p>",
    ]
    if places:
        both = [("forward", times.get((False, places[0]))), ("backward", times.get((True, places[0])))]
        # A link is understood when it is read by itself.
        links = [f'<a href="#step-{step}">{name} step {step}</a>' for name, step in both if step]
        told = f"See {code(graph.nodes[places[0]].name)} at {' and '.join(links)}"
        others = [
            f'<a href="#step-{_step(finding, i, times)}">{code(graph.nodes[i].name)}</a>'
            for i in places[1 : 1 + _ALSO_AT_MOST]
        ]
        left = len(places) - 1 - len(others)
        others += [f"{left:,} more"] if left > 0 else []
        parts.append(f'<p class="at">{told}{"; also " if others else ""}{", ".join(others)}.</p>')
    return f'<li class="{look}" value="{n}">{"".join(parts)}</li>'

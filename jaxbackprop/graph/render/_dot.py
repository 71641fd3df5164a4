"""A graph in the language of Graphviz."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .._graph import ComputationGraph
from ..passes import Backward, Run
from ._drawing import Box, Line, drawing

_STYLES = {
    "input": 'shape=box, style="rounded,filled", fillcolor="#e3f1e6"',
    "constant": 'shape=box, style="rounded,filled,dashed", fillcolor="#f7f3e4"',
    "operation": 'shape=box, style="rounded,filled", fillcolor="#eef1f5"',
    "copy": "shape=point, width=0.12",
    "output": 'shape=box, style="rounded,filled", fillcolor="#e5edfb"',
    "folded": 'shape=box, style="rounded,filled", fillcolor="#f1eaf8", peripheries=2',
}


def to_dot(graph: ComputationGraph, run: Run | Backward | None = None) -> str:
    """A graph in Graphviz's language, with the labels of `to_svg`.

    Args:
        graph: what to draw; more than 300 nodes are folded by scope.
        run: None for shapes alone, a `Run` for values, a `Backward` for values and gradients (beneath the
            value, behind an arrow).

    Returns:
        A digraph, to be read by `dot`.

    Raises:
        TypeError: where run is none of these.
        ValueError: where run is of another graph.
    """
    drawn = drawing(graph, run)
    return "\n".join(
        (
            f"digraph {_quoted([drawn.name])} {{",
            '  graph [rankdir=LR, fontname="Helvetica", labelloc=b, labeljust=l, '
            f"label={_quoted([drawn.name, *drawn.notes])}];",
            '  node [fontname="Helvetica", fontsize=12, margin="0.1,0.05"];',
            '  edge [fontname="Helvetica", fontsize=10, color="#59636e", arrowsize=0.7];',
            *(f"  {index} [{', '.join(_box(box))}];" for index, box in enumerate(drawn.boxes)),
            *(f"  {line.source} -> {line.target} [{', '.join(_line(line))}];" for line in drawn.lines),
            "}",
            "",
        )
    )


def _box(box: Box) -> Iterable[str]:
    yield _STYLES[box.kind]
    if box.kind == "copy":
        yield f"xlabel={_quoted(box.captions)}"
    else:
        yield f"label={_quoted([box.label, *box.captions])}"
    if box.inside:
        yield "peripheries=2"
    yield f"tooltip={_quoted(box.details)}"


def _line(line: Line) -> Iterable[str]:
    said = [text for text in (line.shape, line.value) if text]
    if line.gradient:
        said.append(f"← {line.gradient}")
    if said:
        yield f"label={_quoted(said)}"
    if not line.active:
        yield "style=dashed"
    yield f"tooltip={_quoted(line.details)}"


def _quoted(lines: Sequence[str]) -> str:
    r"""Lines of text as a quoted string; Graphviz interprets \N, \n and &lt;, and refuses control codes."""
    escaped = []
    for line in lines:
        text = re.sub("[\x00-\x1f\x7f\ud800-\udfff]", " ", line)
        escaped.append(text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;"))
    return '"' + "\\n".join(escaped) + '"'

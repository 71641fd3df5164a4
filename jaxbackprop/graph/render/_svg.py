"""A graph as a picture: one SVG file that needs nothing beside it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from .._graph import ComputationGraph
from ..passes import Backward, Run
from ._drawing import Box, Drawing, Line, drawing
from ._layout import Layout, Point, Room, Size, layout
from ._style import LABEL, NUMBERS, SMALL, SYMBOL, TITLE, style
from ._text import shortened, text_width, xml_text

_CIRCLE, _DOT, _BOX_HEIGHT, _CORNER, _INSET = 42.0, 9.0, 30.0, 9.0, 4.0
_CAPTION_ROW, _NUMBERS_ROW = 12.0, 13.5
_MARGIN, _ARROW, _BEND = 20.0, 7.0, 6.0
_ROUND_UP_TO, _ROUND_LINES, _PORT_ROW = 36.0, 3, 12.0
_NAME_LENGTH = 80


def to_svg(graph: ComputationGraph, run: Run | Backward | None = None) -> str:
    """A picture of a graph, from left to right in topological order.

    Each operation is a circle or a rounded box with its symbol or name; its gate, which says what it does to
    the gradient, stands beneath. A double border marks a node with a program inside. The value stands above
    its line; the gradient stands below, in italics, behind an arrow. Lines without a gradient are dashed.
    Long names are shortened; tooltips hold the full text. More than 300 nodes are folded by scope.

    Args:
        graph: what to draw.
        run: None for shapes alone, a `Run` for values, a `Backward` for values and gradients.

    Returns:
        An SVG document, without script, fonts or links; light or dark as the reader prefers.

    Raises:
        TypeError: where run is none of these.
        ValueError: where run is of another graph.
    """
    drawn = drawing(graph, run)
    outlines = _outlines(drawn)
    found = layout(
        [_room(box, outline) for box, outline in zip(drawn.boxes, outlines, strict=True)],
        [(line.source, line.target) for line in drawn.lines],
        [_label_size(line) for line in drawn.lines],
    )
    return "\n".join(_document(drawn, outlines, found)) + "\n"


# ---- sizes ------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Outline:
    """The circle or rounded rectangle around a box's label."""

    width: float
    height: float
    is_round: bool = False


def _outlines(drawn: Drawing) -> list[_Outline]:
    leaving, entering = [0] * len(drawn.boxes), [0] * len(drawn.boxes)
    for line in drawn.lines:
        leaving[line.source] += 1
        entering[line.target] += 1
    return [_outline(box, max(counts)) for box, *counts in zip(drawn.boxes, leaving, entering, strict=True)]


def _outline(box: Box, lines: int) -> _Outline:
    """The outline of a box with so many lines on its busier side."""
    if box.kind == "copy":
        return _Outline(_DOT, _DOT, True)
    wide = text_width(box.label, LABEL)
    short = wide <= _ROUND_UP_TO and lines <= _ROUND_LINES
    if box.kind == "operation" and short and not box.inside:
        return _Outline(_CIRCLE, _CIRCLE, True)
    height = max(_BOX_HEIGHT, (lines + 1) * _PORT_ROW)
    frame = 2 * _INSET if box.inside or box.kind == "folded" else 0.0
    return _Outline(wide + 2 * _CORNER + frame, height + frame)


def _room(box: Box, outline: _Outline) -> Room:
    """The space that a box takes with its captions."""
    wide = max((text_width(caption, SMALL) for caption in box.captions), default=0.0)
    beneath = len(box.captions) * _CAPTION_ROW + 4 if box.captions else 0.0
    beside = max(0.0, (wide - outline.width) / 2)
    return Room(outline.width, outline.height, beside, beneath, one_port=box.kind == "copy")


def _label_size(line: Line) -> Size | None:
    """Width and height of a line's label, the line in its middle; None where it has none."""
    above = [text for text in (line.shape, line.value) if text]
    texts = [*above, _gradient_text(line)] if line.gradient else above
    if not texts:
        return None
    rows = max(len(above), bool(line.gradient))
    return max(text_width(text, NUMBERS) for text in texts) + 6, 2 * rows * _NUMBERS_ROW + 6


def _gradient_text(line: Line) -> str:
    return f"← {line.gradient}"


# ---- the document -----------------------------------------------------------------------------------------


def _document(drawn: Drawing, outlines: Sequence[_Outline], found: Layout) -> Iterable[str]:
    title = shortened(drawn.name, _NAME_LENGTH)
    legend = list(_legend(drawn))
    below = [*legend, *(("note", note) for note in drawn.notes)]
    wide = max(found.size[0], text_width(title, TITLE), *(text_width(text, SMALL) for _, text in below), 0.0)
    top = _MARGIN + TITLE + 14
    width, height = wide + 2 * _MARGIN, top + found.size[1] + 12 + len(below) * 16 + _MARGIN
    x, y = _MARGIN + (wide - found.size[0]) / 2, top
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="jaxbackprop-graph" role="img" '
        f'width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}">'
    )
    yield f"<title>Computation graph of {xml_text(drawn.name)}</title>"
    yield f"<desc>{xml_text(_description(drawn))}</desc>"
    yield f"<style>{style()}</style>"
    yield f'<rect class="paper" width="{_n(width)}" height="{_n(height)}"/>'
    yield _text("name", _MARGIN, _MARGIN + TITLE, title)
    yield f'<g transform="translate({_n(x)} {_n(y)})">'
    for line, corners in zip(drawn.lines, found.lines, strict=True):
        first = _meeting(outlines[line.source], found.boxes[line.source], corners[0], 1)
        last = _meeting(outlines[line.target], found.boxes[line.target], corners[-1], -1)
        yield from _draw_line(line, _distinct([first, *corners, last]))
    for box, outline, centre in zip(drawn.boxes, outlines, found.boxes, strict=True):
        yield from _draw_box(box, outline, centre)
    for line, label in zip(drawn.lines, found.labels, strict=True):
        if label is not None:
            yield from _draw_label(line, label)
    yield "</g>"
    for row, (kind, text) in enumerate(below):
        yield _text(f"below {kind}", _MARGIN, top + found.size[1] + 26 + 16 * row, text)
    yield "</svg>"


def _legend(drawn: Drawing) -> Iterable[tuple[str, str]]:
    if drawn.values:
        yield "value", "above a line: the value that goes forward"
    if drawn.gradients:
        yield "gradient", "← beneath it: the gradient that flows back"
    if any(not line.active for line in drawn.lines):
        yield "note", "dashed: no gradient flows"


def _description(drawn: Drawing) -> str:
    kinds = [box.kind for box in drawn.boxes]
    counted = ", ".join(f"{kinds.count(kind)} {kind}s" for kind in ("input", "operation", "output"))
    return ". ".join((f"From left to right: {counted}", *drawn.notes))


# ---- boxes and lines --------------------------------------------------------------------------------------


def _draw_box(box: Box, outline: _Outline, centre: Point) -> Iterable[str]:
    x, y = centre
    width, height = outline.width, outline.height
    yield f'<g class="{box.kind}">{_tooltip(box.details)}'
    if outline.is_round:
        yield f'<circle class="outline" cx="{_n(x)}" cy="{_n(y)}" r="{_n(width / 2)}"/>'
    else:
        yield _rectangle(x, y, width, height)
        if box.inside or box.kind == "folded":
            yield _rectangle(x, y, width - 2 * _INSET, height - 2 * _INSET)
    if box.label:
        kind, size = ("symbol", SYMBOL) if outline.is_round and len(box.label) == 1 else ("label", LABEL)
        yield _text(kind, x, y + 0.35 * size, box.label)
    for row, caption in enumerate(box.captions):
        yield _text("caption", x, y + height / 2 + 1 + (row + 1) * _CAPTION_ROW, caption)
    yield "</g>"


def _rectangle(x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect class="outline" x="{_n(x - width / 2)}" y="{_n(y - height / 2)}" '
        f'width="{_n(width)}" height="{_n(height)}" rx="{_n(min(_CORNER, height / 2))}"/>'
    )


def _draw_line(line: Line, corners: Sequence[Point]) -> Iterable[str]:
    yield f'<g class="{"active" if line.active else "passive"}">{_tooltip(line.details)}'
    (x0, y0), (x, y) = corners[-2:]
    far = math.hypot(x - x0, y - y0) or 1.0
    along, across = (x - x0) / far, (y - y0) / far
    tail = x - _ARROW / 2 * along, y - _ARROW / 2 * across
    yield f'<path class="way" d="{_path([*corners[:-1], tail])}"/>'
    back_x, back_y = x - _ARROW * along, y - _ARROW * across
    half = _ARROW * 0.45
    wings = (back_x - half * across, back_y + half * along), (back_x + half * across, back_y - half * along)
    points = " ".join(f"{_n(px)},{_n(py)}" for px, py in ((x, y), *wings))
    yield f'<polygon class="tip" points="{points}"/>'
    yield "</g>"


def _draw_label(line: Line, centre: Point) -> Iterable[str]:
    x, y = centre
    yield f"<g>{_tooltip(line.details)}"
    above = [(kind, text) for kind, text in (("value", line.value), ("shape", line.shape)) if text]
    for row, (kind, text) in enumerate(above):
        yield _text(f"on {kind}", x, y - 5 - row * _NUMBERS_ROW, text)
    if line.gradient:
        yield _text("on gradient", x, y + _NUMBERS_ROW, _gradient_text(line))
    yield "</g>"


def _meeting(outline: _Outline, centre: Point, point: Point, side: int) -> Point:
    """Where a line meets a box's outline: at the height of a point on the side of its bounding rectangle."""
    away = point[1] - centre[1]
    reach = outline.width / 2
    if outline.is_round:
        reach = math.sqrt(max(0.0, reach**2 - away**2))
    return centre[0] + side * reach, point[1]


def _distinct(points: Sequence[Point]) -> list[Point]:
    """The points without repetitions."""
    return [b for i, b in enumerate(points) if not i or math.dist(points[i - 1], b) > 0.01]


def _path(corners: Sequence[Point]) -> str:
    """A line with its corners rounded."""
    parts = [f"M{_n(corners[0][0])} {_n(corners[0][1])}"]
    for before, at, after in zip(corners, corners[1:], corners[2:], strict=False):
        bend = min(_BEND, math.dist(before, at) / 2, math.dist(at, after) / 2)
        enter, leave = _towards(at, before, bend), _towards(at, after, bend)
        parts.append(f"L{_n(enter[0])} {_n(enter[1])}Q{_n(at[0])} {_n(at[1])} {_n(leave[0])} {_n(leave[1])}")
    parts.append(f"L{_n(corners[-1][0])} {_n(corners[-1][1])}")
    return "".join(parts)


def _towards(start: Point, end: Point, far: float) -> Point:
    share = far / (math.dist(start, end) or 1.0)
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}">{xml_text(text)}</text>'


def _tooltip(lines: Sequence[str]) -> str:
    return f"<title>{xml_text(chr(10).join(lines))}</title>"


def _n(number: float) -> str:
    """A coordinate with one decimal."""
    return f"{number:.1f}".removesuffix(".0")

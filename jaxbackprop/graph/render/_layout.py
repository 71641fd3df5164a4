"""The position of every box, line and label in a picture. The only file that knows the layout library."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

Size = tuple[float, float]
Point = tuple[float, float]

# A picture wider than this many times its height is wrapped into several rows.
_ASPECT, _ROWS, _LINES_BETWEEN_ROWS = 2.5, 8, 6
_ONE_ROW_UP_TO = 16
_GAPS = {"layer_gap": 20.0, "node_gap": 18.0, "dummy_gap": 14.0, "port_gap": 12.0, "stub": 8.0}
_CLEARANCE = 4.0
_THOROUGH_UP_TO, _BALANCED_UP_TO = 200, 500


@dataclasses.dataclass(frozen=True)
class Room:
    """The space that a box takes.

    Attributes:
        width: of the box.
        height: of the box.
        beside: how far its caption extends to the left and to the right of it.
        beneath: how far its caption extends below it.
        one_port: whether all lines leave and enter at the middle of its sides; else they are spread out.
    """

    width: float
    height: float
    beside: float = 0.0
    beneath: float = 0.0
    one_port: bool = False


@dataclasses.dataclass(frozen=True)
class Layout:
    """Positions, in the units of the sizes, from (0, 0) rightward and downward.

    Attributes:
        boxes: the centre of each box.
        lines: the corners of each line, from the side of its source box to the side of its target box.
        labels: the centre of each line's label, which the line crosses horizontally; None where it has none.
        size: of the whole.
    """

    boxes: tuple[Point, ...]
    lines: tuple[tuple[Point, ...], ...]
    labels: tuple[Point | None, ...]
    size: Size


def layout(boxes: Sequence[Room], lines: Sequence[tuple[int, int]], labels: Sequence[Size | None]) -> Layout:
    """Lays out a graph without cycles, from left to right, in several rows where it is long.

    No box, caption or label covers another, and lines go around them.

    Args:
        boxes: the space that each takes.
        lines: source and target box of each line; several lines may join the same two boxes.
        labels: width and height of each line's label; None where it has none.
    """
    if not boxes:
        return Layout((), (), (), (0.0, 0.0))
    import graphlay

    # A label is laid out as a box that its line goes through, so that nothing else covers it.
    rooms = list(boxes)
    ways: list[tuple[int, ...]] = []
    for (source, target), label in zip(lines, labels, strict=True):
        if label is None:
            ways.append((source, target))
        else:
            ways.append((source, len(rooms), target))
            rooms.append(Room(*label, one_port=True))
    steps = [step for way in ways for step in zip(way, way[1:], strict=False)]
    graph = graphlay.Graph()
    for room in rooms:
        graph.node(width=room.width, height=room.height, **_margin(room))
    leaving, entering = Counter(source for source, _ in steps), Counter(target for _, target in steps)
    for source, target in steps:
        ports: dict[str, Any] = {}
        if rooms[source].one_port or leaving[source] == 1:
            ports["source_port"] = {"offset": {"side": "right", "t": 0.0}}
        if rooms[target].one_port or entering[target] == 1:
            ports["target_port"] = {"offset": {"side": "left", "t": 0.0}}
        graph.edge(source, target, **ports)
    found = graphlay.layout(graph, options=_options(len(rooms)))
    centres = [(node["center"]["x"], node["center"]["y"]) for node in found.nodes]
    drawn = iter([[(point["x"], point["y"]) for point in edge["points"]] for edge in found.edges])
    corners = [[point for _ in way[1:] for point in next(drawn)] for way in ways]
    centres, corners = _clear_of_captions(rooms, centres, corners)
    left, top, right, bottom = _bounds(rooms, centres, corners)

    def moved(points: Sequence[Point]) -> tuple[Point, ...]:
        return tuple((x - left, y - top) for x, y in points)

    return Layout(
        moved(centres[: len(boxes)]),
        tuple(map(moved, corners)),
        tuple(moved([centres[way[1]]])[0] if len(way) > 2 else None for way in ways),
        (right - left, bottom - top),
    )


def _margin(room: Room) -> dict[str, Any]:
    if not room.beneath:
        return {}
    beside, beneath = room.beside + _GAPS["layer_gap"] / 2, room.beneath + _GAPS["node_gap"] / 2
    return {"margin": {"along_neg": beside, "along_pos": beside, "cross_neg": 0.0, "cross_pos": beneath}}


def _options(boxes: int) -> dict[str, Any]:
    effort = "thorough" if boxes <= _THOROUGH_UP_TO else "balanced" if boxes <= _BALANCED_UP_TO else "fast"
    return {
        "direction": "leftright",
        "effort": effort,
        "routing": {"style": "orthogonal", "port_sides": "facing_only"},
        "spacing": _GAPS,
        # Zero never wraps.
        "wrap": {"viewport_aspect": _ASPECT if boxes > _ONE_ROW_UP_TO else 0.0},
        "tuning": {"wrap": {"max_rows": _ROWS, "max_cut_edges": _LINES_BETWEEN_ROWS}},
    }


def _clear_of_captions(
    rooms: Sequence[Room], centres: list[Point], corners: list[list[Point]]
) -> tuple[list[Point], list[list[Point]]]:
    """Moves rows apart where a line between them crosses a caption; the library does not avoid captions."""
    gaps: list[tuple[float, float]] = []

    def moved(point: Point) -> Point:
        return point[0], point[1] + sum(gap for at, gap in gaps if at <= point[1])

    level = sorted(
        (a[1], min(a[0], b[0]), max(a[0], b[0]))
        for way in corners
        for a, b in zip(way, way[1:], strict=False)
        if a[1] == b[1]
    )
    captions = [
        (x - room.width / 2 - room.beside, x + room.width / 2 + room.beside, y, room)
        for room, (x, y) in zip(rooms, centres, strict=True)
        if room.beneath
    ]
    boxes = [(y - room.height / 2, y + room.height / 2) for room, (_, y) in zip(rooms, centres, strict=True)]
    for y, start, end in level:
        if any(top < y < bottom for top, bottom in boxes):
            continue
        here = moved((start, y))[1]
        for left, right, middle, room in captions:
            above = moved((left, middle))[1] + room.height / 2
            below = above + room.beneath + _CLEARANCE
            if start < right and left < end and above < here < below:
                gaps.append((y, below - here))
                here = below
    return [moved(point) for point in centres], [[moved(point) for point in way] for way in corners]


def _bounds(
    rooms: Sequence[Room], centres: Sequence[Point], corners: Sequence[Sequence[Point]]
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the whole picture."""
    reached = [point for way in corners for point in way]
    for room, (x, y) in zip(rooms, centres, strict=True):
        far = room.width / 2 + room.beside
        reached += [(x - far, y - room.height / 2), (x + far, y + room.height / 2 + room.beneath)]
    horizontal, vertical = zip(*reached, strict=True)
    return min(horizontal), min(vertical), max(horizontal), max(vertical)

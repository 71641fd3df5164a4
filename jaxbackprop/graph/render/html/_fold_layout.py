"""The layout of each scope by itself; the page's script draws an unfolded scope in its box."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ..._graph import ComputationGraph, Node, Port
from .._layout import Room, layout
from .._node_text import symbol
from .._style import LABEL, NUMBERS, SMALL
from .._text import shortened, text_width
from .._value_text import dimensions_text, shape_text
from ._labels import Labels
from ._scopes import Scope, scopes

_HALF_HEIGHT, _PORT_ROW, _INSET, _NARROWEST = 24.0, 16.0, 10.0, 40.0
_ROW = 13.5
_LABEL_LENGTH, _SHORT_LENGTH = 24, 16
_BETWEEN_TWO_AT_MOST = 4
_STUBS_AT_MOST, _RESULTS_AT_MOST = 10, 24

NODE, SCOPE, ENTERS, LEAVES, RESULT = "node", "scope", "enters", "leaves", "result"


@dataclasses.dataclass(frozen=True)
class Strand:
    """A value from the node that made it to one that takes it.

    Attributes:
        port: where it comes from.
        target: index of the node that takes it; -1, -2, ... are the results.
        active: whether a gradient flows back.
    """

    port: Port
    target: int
    active: bool


@dataclasses.dataclass
class _Box:
    """A box before it is laid out.

    Attributes:
        kind: one of the constants above.
        ref: a node's index, a scope's level, or a result's number, by its kind.
        top: the text of the upper half.
        bottom: the text of the lower half, about the gradient; empty where there is none.
        lines: how many lines leave or enter, whichever is more.
    """

    kind: str
    ref: int
    top: str
    bottom: str = ""
    lines: int = 0

    def size(self) -> tuple[float, float]:
        wide = max(text_width(self.top, LABEL), text_width(self.bottom, SMALL)) + 2 * _INSET
        high = _HALF_HEIGHT * (2 if self.bottom else 1)
        frame = 8.0 if self.kind == SCOPE else 0.0
        return max(wide, _NARROWEST) + frame, max(high, (self.lines + 1) * _PORT_ROW) + frame


class FoldLayout:
    """The boxes and lines of every level: the graph's outermost, and the inside of each scope."""

    def __init__(self, graph: ComputationGraph, texts: dict[str, dict[Port, str]], labels: Labels) -> None:
        """Assigns nodes and scopes to levels.

        Args:
            graph: the graph.
            texts: under "value" and "gradient", each port's numbers as short text, where they are known.
            labels: the names of its nodes.
        """
        self._graph, self._texts, self._labels = graph, texts, labels
        self._results = labels.results
        self.scopes: list[Scope] = []
        self.parents: list[int] = []
        # By node: the levels that it stands in, outermost first, each with its box there.
        self._home: dict[int, list[tuple[int, int]]] = {}
        self._child: dict[tuple[int, int], int] = {}
        self._enter(scopes(graph), -1, [])

    def _enter(self, scope: Scope, parent: int, path: list[tuple[int, int]]) -> int:
        level = len(self.scopes)
        self.scopes.append(scope)
        self.parents.append(parent)
        for place, item in enumerate(scope.items):
            here = [*path, (level, place)]
            if isinstance(item, Scope):
                self._child[level, place] = self._enter(item, level, here)
            else:
                self._home[item] = here
        return level

    def records(self) -> list[dict[str, Any]]:
        """Each level as the page's script reads it; coordinates start at its upper left corner.

        A record holds "name", "parent", "nodes" (how many there are, inner scopes included), "size", "boxes"
        (each with kind, reference, centre, size, and the texts of its upper and lower half) and "lines" (each
        with source and target box, corners, the label's centre or null, its strands as node, output, target
        and whether a gradient flows, and the label of a line of several values).
        """
        boxes = [self._boxes(level) for level in range(len(self.scopes))]
        lines: list[dict[tuple[int, int], list[Strand]]] = [{} for _ in boxes]
        stubs: dict[tuple[int, str, tuple[int, ...]], int] = {}

        def stub(level: int, kind: str, key: tuple[int, ...], text: str) -> int:
            """The box that stands for the other end of a line that enters or leaves a level."""
            known = [place for (at, of, _), place in stubs.items() if (at, of) == (level, kind)]
            if (level, kind, key) not in stubs:
                if len(known) >= _STUBS_AT_MOST:
                    boxes[level][known[-1]].top = "others"
                    return known[-1]
                stubs[level, kind, key] = len(boxes[level])
                boxes[level].append(_Box(kind, key[0], text))
            return stubs[level, kind, key]

        def along(strand: Strand, begin: list[tuple[int, int]], end: list[tuple[int, int]]) -> None:
            shared = 0
            while shared < min(len(begin), len(end)) - 1 and begin[shared] == end[shared]:
                shared += 1
            level, source = begin[shared]
            _put(lines[level], source, end[shared][1], strand)
            for level, place in begin[shared + 1 :]:
                text = shortened(self._labels.target(strand.target), _SHORT_LENGTH)
                key = (strand.target, strand.port.node, strand.port.output)
                _put(lines[level], place, stub(level, LEAVES, key, text), strand)
            for level, place in end[shared + 1 :]:
                text = shortened(self._labels.origin(strand.port), _SHORT_LENGTH)
                _put(lines[level], stub(level, ENTERS, (strand.port.node,), text), place, strand)

        for strand, target in self._strands():
            along(strand, self._home[strand.port.node], target)
        return [self._record(level, boxes[level], lines[level]) for level in range(len(boxes))]

    def _boxes(self, level: int) -> list[_Box]:
        found = [self._box(item, level, place) for place, item in enumerate(self.scopes[level].items)]
        if level == 0:
            if len(self._results) > _RESULTS_AT_MOST:
                found.append(_Box(RESULT, -1, f"{len(self._results):,} outputs", "starts here"))
            else:
                for k, name in enumerate(self._results):
                    flows = "starts here" if self._graph.active[k] else ""
                    found.append(_Box(RESULT, k, shortened(name, _LABEL_LENGTH), flows))
        return found

    def _box(self, item: int | Scope, level: int, place: int) -> _Box:
        if isinstance(item, Scope):
            count = sum(1 for _ in item.nodes())
            text = shortened(item.name, _LABEL_LENGTH)
            return _Box(SCOPE, self._child[level, place], text, f"{count:,} nodes")
        node = self._graph.nodes[item]
        top = "copy" if node.kind == "copy" else shortened(symbol(node), _LABEL_LENGTH)
        return _Box(NODE, item, top, _gradient_label(node))

    def _strands(self) -> Iterator[tuple[Strand, list[tuple[int, int]]]]:
        for edge in self._graph.edges:
            yield Strand(Port(edge.source, edge.output), edge.target, edge.active), self._home[edge.target]
        first = len(self.scopes[0].items)
        for k, port in enumerate(self._graph.outputs):
            place = first if len(self._results) > _RESULTS_AT_MOST else first + k
            yield Strand(port, -1 - k, self._graph.active[k]), [(0, place)]

    # ---- the picture of one level --------------------------------------------------------------------------

    def _record(
        self, level: int, boxes: list[_Box], between: dict[tuple[int, int], list[Strand]]
    ) -> dict[str, Any]:
        lines = [
            (source, target, strands)
            for (source, target), all_of in between.items()
            for strands in self._separate_lines(boxes[source], boxes[target], all_of)
        ]
        leaving = Counter(source for source, _, _ in lines)
        entering = Counter(target for _, target, _ in lines)
        for place, box in enumerate(boxes):
            box.lines = max(leaving[place], entering[place])
        sizes = [box.size() for box in boxes]
        labels = [self._label(boxes[source], strands) for source, _, strands in lines]
        found = layout(
            [Room(*size) for size in sizes],
            [(source, target) for source, target, _ in lines],
            [size for size, _ in labels],
        )
        scope = self.scopes[level]
        return {
            "name": scope.name,
            "parent": self.parents[level],
            "nodes": sum(1 for _ in scope.nodes()),
            "size": _rounded(found.size),
            "boxes": [
                [box.kind, box.ref, *_rounded(centre), *_rounded(size), box.top, box.bottom]
                for box, centre, size in zip(boxes, found.boxes, sizes, strict=True)
            ],
            "lines": [
                [
                    source,
                    target,
                    [coordinate for point in corners for coordinate in _rounded(point)],
                    None if centre is None else _rounded(centre),
                    [[s.port.node, s.port.output, s.target, int(s.active)] for s in strands],
                    text,
                ]
                for (source, target, strands), corners, centre, (_, text) in zip(
                    lines, found.lines, found.labels, labels, strict=True
                )
            ],
        }

    def _separate_lines(self, source: _Box, target: _Box, strands: list[Strand]) -> list[list[Strand]]:
        """The strands from one box to another, grouped by the line that shows them."""
        plain = source.kind in (NODE, ENTERS) and target.kind in (NODE, RESULT)
        if plain and target.ref >= 0 and len(strands) <= _BETWEEN_TWO_AT_MOST:
            return [[strand] for strand in strands]
        return [strands]

    def _label(self, source: _Box, strands: list[Strand]) -> tuple[tuple[float, float] | None, str]:
        """The size of a line's label, None where it has none; and the text of a label for several values."""
        ports = {strand.port for strand in strands}
        if len(ports) > 1:
            text = f"{len(ports):,} values"
            return (text_width(text, NUMBERS) + 8, 2 * _ROW + 6), text
        (port,) = ports
        node = self._graph.nodes[port.node]
        made = node.outputs[port.output]
        value, gradient = (self._texts[which].get(port, "") for which in ("value", "gradient"))
        shape = ""
        # The line into a copy shows the shape already.
        if (made.shape and node.kind != "copy") or not value:
            shape = dimensions_text(made.shape) if value else shape_text(tuple(made.shape), made.dtype)
        if node.kind == "constant" and not made.shape:
            return None, ""
        gradient = gradient if any(strand.active for strand in strands) else ""
        above = [text for text in (shape, value) if text]
        wide = max(text_width(text, NUMBERS) for text in (*above, gradient))
        return (wide + 8, 2 * max(len(above), bool(gradient)) * _ROW + 12), ""


def _gradient_label(node: Node) -> str:
    """The text of a node's lower half, where its gradient is taken; empty where none flows."""
    if not any(node.active):
        return ""
    if node.gate:
        return node.gate
    return f"∂ {node.label}" if len(node.label) <= _SHORT_LENGTH else "gradient"


def _put(lines: dict[tuple[int, int], list[Strand]], source: int, target: int, strand: Strand) -> None:
    lines.setdefault((source, target), []).append(strand)


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, 1) for number in numbers]

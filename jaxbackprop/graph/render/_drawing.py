"""The boxes and lines of a graph's picture, for SVG and DOT alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax

from .._graph import ComputationGraph, Node, Port
from ..passes import Backward, Run
from ._edge_values import Passes
from ._folding import Group, fold
from ._node_text import details, output_names, symbol
from ._text import error_text, listed, shortened
from ._value_text import dimensions_text, numbers_text, shape_text

_BOXES_AT_MOST = 300
_OUTPUTS_AT_MOST = 50
_BETWEEN_TWO_AT_MOST = 8
_LABEL_LENGTH = 24
_NOTE_LENGTH = 120


@dataclasses.dataclass(frozen=True)
class Box:
    """A box of the picture.

    Attributes:
        kind: "input", "constant", "operation", "copy", "output", or "folded": several nodes.
        label: the text in it.
        captions: the small text beneath it, line by line.
        details: the text of its tooltip, line by line.
        inside: whether there is a program inside it.
    """

    kind: str
    label: str
    captions: tuple[str, ...]
    details: tuple[str, ...]
    inside: bool = False


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the picture: a value, or several between the same two boxes.

    Attributes:
        source: index of the box that it leaves.
        target: index of the box that it enters.
        shape: the value's shape or the count of values: "f32[8,16]", "[8,16]", "3 values"; may be empty.
        value: the value's numbers; empty where they are not known, or stand in the box that it leaves.
        gradient: the gradient's numbers; empty where none flowed back.
        details: the text of its tooltip, line by line.
        active: whether a gradient flows back.
    """

    source: int
    target: int
    shape: str
    value: str
    gradient: str
    details: tuple[str, ...]
    active: bool


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A graph's picture before it is laid out.

    Attributes:
        name: the function's.
        boxes: in a topological order.
        lines: between the boxes.
        notes: the text beneath the picture: what was folded, where the function failed.
        values: whether values are shown.
        gradients: whether gradients are.
    """

    name: str
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    values: bool
    gradients: bool


def drawing(graph: ComputationGraph, run: Run | Backward | None = None) -> Drawing:
    """The boxes and lines of a graph.

    Args:
        graph: what to draw; more than 300 nodes are folded by scope, or left out where that is not enough.
        run: None for shapes alone, a `Run` for values, a `Backward` for values and gradients.

    Raises:
        TypeError: where run is none of these.
        ValueError: where run is of another graph.
    """
    passes = Passes.of(graph, run)
    groups = fold(graph.nodes, _BOXES_AT_MOST)
    home = {index: g for g, group in enumerate(groups) for index in group.nodes}
    boxes = [_box(graph, group) for group in groups]
    names = output_names(graph)
    if len(names) > _OUTPUTS_AT_MOST:
        boxes.append(Box("output", f"{len(names):,} outputs", (), tuple(listed(names))))
        ends = [len(groups)] * len(names)
    else:
        boxes += [Box("output", shortened(name, _LABEL_LENGTH), (), (name,)) for name in names]
        ends = list(range(len(groups), len(boxes)))
    strands: dict[tuple[int, int], list[_Strand]] = {}
    for strand, target in (
        *(
            (strand, home[edge.target])
            for edge, strand in zip(graph.edges, _along(graph, passes), strict=True)
        ),
        *zip(_to_outputs(graph, names, passes), ends, strict=True),
    ):
        source = home[strand.port.node]
        if source != target:
            strands.setdefault((source, target), []).append(strand)
    lines = []
    for (source, target), between in strands.items():
        folded = "folded" in (boxes[source].kind, boxes[target].kind)
        if (folded and len({s.port for s in between}) > 1) or len(between) > _BETWEEN_TWO_AT_MOST:
            lines.append(_bundle(source, target, between))
        else:
            several = between[:1] if folded else between
            constant = boxes[source].kind == "constant"
            lines += [_line(source, target, strand, constant) for strand in several]
    notes = tuple(_notes(graph, groups))
    return Drawing(
        graph.name, tuple(boxes), tuple(lines), notes, passes.run is not None, passes.back is not None
    )


def _box(graph: ComputationGraph, group: Group) -> Box:
    nodes = [graph.nodes[index] for index in group.nodes]
    if len(nodes) > 1:
        count = f"{len(nodes):,} {'inputs' if all(n.kind == 'input' for n in nodes) else 'nodes'}"
        name = group.name or "…"
        captions = (count,) if group.name else (count, "left out")
        said = (group.name or "left out", count, *listed([node.name for node in nodes]))
        return Box("folded", shortened(name, _LABEL_LENGTH), captions, said)
    return _box_of(nodes[0])


def _box_of(node: Node) -> Box:
    # A node without a gradient has no gate.
    gate = tuple((node.gate or "").split()) if any(node.active) else ()
    if node.kind == "copy":
        return Box("copy", "", ("copy", *gate), details(node))
    return Box(node.kind, shortened(symbol(node), _LABEL_LENGTH), gate, details(node), bool(node.bodies))


# ---- the values along the lines ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Strand:
    """A value from the node that made it to one that takes it.

    Attributes:
        port: where it comes from.
        ends: the names of both nodes, as text.
        rank: of the value.
        shape: dtype and shape.
        dimensions: the shape alone.
        value: its numbers; empty where they are not known.
        gradient: the gradient's numbers; empty where none flowed back.
        active: whether a gradient flows back.
    """

    port: Port
    ends: str
    rank: int
    shape: str
    dimensions: str
    value: str
    gradient: str
    active: bool


def _along(graph: ComputationGraph, passes: Passes) -> list[_Strand]:
    """The value along each edge."""
    found = []
    for edge in graph.edges:
        target = graph.nodes[edge.target]
        operand = f" (operand {edge.position})" if len(target.inputs) > 1 else ""
        ends = f"{graph.nodes[edge.source].name} → {target.name}{operand}"
        port = Port(edge.source, edge.output)
        gradient = passes.gradient(edge)
        active = edge.active and (passes.back is None or gradient is not None)
        found.append(_strand(graph, port, ends, passes.value(edge), gradient, active))
    return found


def _to_outputs(graph: ComputationGraph, names: Sequence[str], passes: Passes) -> list[_Strand]:
    """The value that each result takes."""
    found = []
    for position, (port, name) in enumerate(zip(graph.outputs, names, strict=True)):
        node = graph.nodes[port.node]
        value, gradient = passes.output(position), passes.upstream(position)
        active = node.active[port.output] and (passes.back is None or gradient is not None)
        found.append(_strand(graph, port, f"{node.name} → {name}", value, gradient, active))
    return found


def _strand(
    graph: ComputationGraph,
    port: Port,
    ends: str,
    value: jax.Array | None,
    gradient: jax.Array | None,
    active: bool,
) -> _Strand:
    made = graph.nodes[port.node].outputs[port.output]
    shape = tuple(made.shape)
    return _Strand(
        port,
        ends,
        len(shape),
        shape_text(shape, made.dtype),
        dimensions_text(shape),
        numbers_text(value),
        numbers_text(gradient),
        active,
    )


def _line(source: int, target: int, strand: _Strand, constant: bool) -> Line:
    said = [strand.ends, strand.shape]
    if strand.value:
        said.append(f"value {strand.value}")
    if strand.gradient:
        said.append(f"gradient {strand.gradient}")
    elif not strand.active:
        said.append("no gradient flows back")
    shape, value = strand.shape, strand.value
    # A constant's box shows its number already.
    if constant and not strand.rank:
        shape = value = ""
    elif value:
        shape = strand.dimensions if strand.rank else ""
    return Line(source, target, shape, value, strand.gradient, tuple(said), strand.active)


def _bundle(source: int, target: int, strands: Sequence[_Strand]) -> Line:
    """One line for several values from one box to another."""
    said = listed([f"{strand.ends}: {strand.shape}" for strand in strands])
    count = len({strand.port for strand in strands})
    active = any(strand.active for strand in strands)
    return Line(source, target, f"{count:,} values", "", "", tuple(said), active)


def _notes(graph: ComputationGraph, groups: Sequence[Group]) -> list[str]:
    notes = []
    left_out = sum(len(group.nodes) for group in groups if len(group.nodes) > 1 and group.name is None)
    if left_out:
        notes.append(f"{len(graph.nodes):,} nodes; {left_out:,} between the first and the last are left out")
    elif len(groups) < len(graph.nodes):
        of_inputs = [graph.nodes[group.nodes[0]].kind == "input" for group in groups if len(group.nodes) > 1]
        shared = ["scope"] * (not all(of_inputs)) + ["argument"] * any(of_inputs)
        notes.append(f"{len(graph.nodes):,} nodes, folded by {' and '.join(shared)}")
    if graph.error is not None:
        notes.append(shortened(f"ends where it raised {error_text(graph.error)}", _NOTE_LENGTH))
    return notes

"""The two passes as text: a step a node, a short paragraph a step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from ..._graph import ComputationGraph, Node, Port
from ...passes import Backward
from .._edge_values import Passes
from .._node_text import symbol
from .._text import error_text
from .._value_text import shape_text
from ._labels import Labels, code, html_text, where
from ._value_table import ValueTable
from ._verdicts import Verdict

_LISTED = 6
_FORMULA_LENGTH = 90


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of one of the passes.

    Attributes:
        backward: of which pass.
        node: the node that is computed, or whose gradient is taken; -1 where the backward pass begins.
        text: the paragraph, as HTML.
    """

    backward: bool
    node: int
    text: str


def narrated_steps(
    graph: ComputationGraph,
    passes: Passes,
    values: ValueTable,
    labels: Labels,
    verdicts: Mapping[int, Verdict],
) -> list[Step]:
    """All steps: the forward pass in topological order, then the backward pass in the reverse."""
    paragraphs = _Paragraphs(graph, values, labels, verdicts)
    steps = [Step(False, node.index, paragraphs.forward(node)) for node in graph.nodes]
    if graph.error is not None and steps:
        failed = f" <strong>Then it failed:</strong> {html_text(error_text(graph.error))}."
        steps[-1] = dataclasses.replace(steps[-1], text=steps[-1].text + failed)
    if passes.back is not None:
        steps.append(Step(True, -1, paragraphs.first_gradients(passes.back)))
        for node in reversed(graph.nodes):
            if any(Port(node.index, k) in values.gradients for k in range(len(node.outputs))):
                steps.append(Step(True, node.index, paragraphs.backward(node)))
    return steps


class _Paragraphs:
    """Writes the paragraph of each step."""

    def __init__(
        self, graph: ComputationGraph, values: ValueTable, labels: Labels, verdicts: Mapping[int, Verdict]
    ) -> None:
        self._graph, self._values, self._labels, self._verdicts = graph, values, labels, verdicts

    # ---- forward -------------------------------------------------------------------------------------------

    def forward(self, node: Node) -> str:
        if node.kind == "input":
            return f"The argument {code(node.name)} {self._is(Port(node.index, 0))}."
        if node.kind == "constant":
            return f"A constant: {self._value(Port(node.index, 0))}."
        if node.kind == "copy":
            name = code(self._labels.origin(node.inputs[0]))
            takers = (self._takers(node, k) for k in range(len(node.outputs)))
            return f"{name} is used {_times(len(node.outputs))}: by {_joined(takers)}."
        taken = _joined(
            (f"{code(self._labels.origin(port))}{self._equals(port)}" for port in node.inputs), _LISTED
        )
        made = _joined((self._value(Port(node.index, k)) for k in range(len(node.outputs))), _LISTED)
        text = f"{self._title(node)} {f'takes {taken} and ' if taken else ''}gives {made}."
        place = where(node.source)
        return text + (f' <span class="where">{html_text(place)}</span>' if place else "")

    def _title(self, node: Node) -> str:
        sign = symbol(node)
        shown = f" ({html_text(sign)})" if sign != node.label and len(sign) <= 8 else ""
        return code(node.name) + shown

    def _takers(self, node: Node, k: int) -> str:
        takers = self._labels.takers.get(Port(node.index, k), [])
        return _joined(code(self._labels.target(index)) for index in takers)

    def _is(self, port: Port) -> str:
        made = self._graph.nodes[port.node].outputs[port.output]
        verb = "is" if not made.shape and self._text("value", port) else "comes in as"
        return f"{verb} {self._value(port)}"

    def _equals(self, port: Port) -> str:
        node = self._graph.nodes[port.node]
        made = node.outputs[port.output]
        text = self._text("value", port)
        if node.kind == "constant" and not made.shape:
            return ""
        if text and not made.shape:
            return f' = <b class="value">{html_text(text)}</b>'
        return f' <span class="shape">{html_text(shape_text(tuple(made.shape), made.dtype))}</span>'

    def _value(self, port: Port) -> str:
        """Its shape, unless it is a known number, and its numbers."""
        made = self._graph.nodes[port.node].outputs[port.output]
        text = self._text("value", port)
        shape = "" if text and not made.shape else shape_text(tuple(made.shape), made.dtype)
        parts = []
        if shape:
            parts.append(f'<span class="shape">{html_text(shape)}</span>')
        if text:
            parts.append(f'<b class="value">{html_text(text)}</b>')
        return ", ".join(parts)

    # ---- backward ------------------------------------------------------------------------------------------

    def first_gradients(self, back: Backward) -> str:
        begun = [
            f"{code(name)}: {self._gradient(port)}"
            for name, port, dy in zip(self._labels.results, self._graph.outputs, back.dys, strict=True)
            if dy is not None
        ]
        return f"The backward pass begins at the end, with the gradient of {_joined(begun, _LISTED)}."

    def backward(self, node: Node) -> str:
        verdict = self._verdicts.get(node.index)
        wrong = "" if verdict is None else " " + _wrong(verdict)
        if node.kind == "copy":
            return self._sum(node) + wrong
        came = _joined(
            (
                self._gradient(Port(node.index, k))
                for k in range(len(node.outputs))
                if Port(node.index, k) in self._values.gradients
            ),
            _LISTED,
        )
        if node.kind == "input":
            return f"The gradient of {code(node.name)} is {came}."
        article = "an" if node.gate and node.gate[0] in "aeiou" else "a"
        gate = f", {article} {html_text(node.gate)}," if node.gate else ""
        passed = [
            f"{self._gradient(port)} to {code(self._labels.origin(port))}"
            for port, flows in zip(node.inputs, node.active_inputs, strict=True)
            if flows and port in self._values.gradients
        ]
        text = f"{code(node.name)}{gate} receives {came}"
        text += f" and passes {_joined(passed, _LISTED)}" if passed else " and passes nothing on"
        formula = node.formula or ""
        if formula and len(formula) <= _FORMULA_LENGTH:
            text += f': <span class="formula">{html_text(formula)}</span>'
        return f"{text}.{wrong}"

    def _sum(self, node: Node) -> str:
        """The sum of the gradients that came back from each use."""
        terms = [
            f"{self._gradient(Port(node.index, k))} from {self._takers(node, k)}"
            for k in range(len(node.outputs))
            if Port(node.index, k) in self._values.gradients
        ]
        total = self._gradient(node.inputs[0])
        name = code(self._labels.origin(node.inputs[0]))
        if len(terms) == 1:
            return f"Of the uses of {name} one brings a gradient: {terms[0]}."
        shown = [*terms[:_LISTED], "…"] if len(terms) > _LISTED else terms
        return (
            f"{name} was used {_times(len(node.outputs))}, so its gradients add up: "
            f"{' + '.join(shown)} = {total}."
        )

    def _gradient(self, port: Port) -> str:
        made = self._graph.nodes[port.node].outputs[port.output]
        text = self._text("gradient", port) or shape_text(tuple(made.shape), made.dtype)
        return f'<i class="gradient">{html_text(text)}</i>'

    def _text(self, which: str, port: Port) -> str:
        return self._values.texts[which].get(port, "")


def _wrong(verdict: Verdict) -> str:
    inside = f" ({code(verdict.name)}, inside)" if verdict.inside else f" of {code(verdict.name)}"
    like = f" It looks like: {html_text(', '.join(verdict.mistakes[:3]))}." if verdict.mistakes else ""
    return (
        f'<strong class="wrong">The harness finds the rule{inside} wrong.</strong> '
        f"{html_text(verdict.message)}.{like}"
    )


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count:,} times"


def _joined(parts: Iterable[str], most: int = 12) -> str:
    """The parts as "a, b and c"; of too many, the last ones are counted instead."""
    said = list(parts)
    if len(said) > most:
        said = [*said[: most - 1], f"{len(said) - most + 1:,} more"]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}" if said else ""

"""The two passes told: a step a node, a short paragraph a step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from ..._graph import Graph, Node, Port
from .._names import error_text, symbol
from .._numbers import shape_text
from .._passes import Passes
from ._figures import Figures
from ._verdicts import Verdict
from ._wording import Wording, code, html_text, where

_LISTED = 6
_FORMULA_LENGTH = 90


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of one of the passes.

    Attributes:
        backward: of which.
        node: which node is computed, or has its gradient taken; -1 where the backward pass begins.
        told: the paragraph, as HTML.
    """

    backward: bool
    node: int
    told: str


def story(
    graph: Graph, passes: Passes, figures: Figures, wording: Wording, verdicts: Mapping[int, Verdict]
) -> list[Step]:
    """All steps: the forward pass in topological order, then the backward pass in the reverse."""
    teller = _Teller(graph, figures, wording, verdicts)
    steps = [Step(False, node.index, teller.ahead(node)) for node in graph.nodes]
    if graph.error is not None and steps:
        failed = f" <strong>Then it failed:</strong> {html_text(error_text(graph.error))}."
        steps[-1] = dataclasses.replace(steps[-1], told=steps[-1].told + failed)
    if passes.back is not None:
        steps.append(Step(True, -1, teller.seed(passes)))
        for node in reversed(graph.nodes):
            if any(Port(node.index, k) in figures.gradients for k in range(len(node.outputs))):
                steps.append(Step(True, node.index, teller.back(node)))
    return steps


class _Teller:
    def __init__(
        self, graph: Graph, figures: Figures, wording: Wording, verdicts: Mapping[int, Verdict]
    ) -> None:
        self._graph, self._figures, self._wording, self._verdicts = graph, figures, wording, verdicts

    # ---- forward -------------------------------------------------------------------------------------------

    def ahead(self, node: Node) -> str:
        if node.kind == "input":
            return f"The argument {code(node.name)} {self._is(Port(node.index, 0), 'comes in as')}."
        if node.kind == "constant":
            return f"A constant: {self._value(Port(node.index, 0))}."
        if node.kind == "copy":
            name = code(self._wording.origin(node.inputs[0]))
            takers = (self._takers(node, k) for k in range(len(node.outputs)))
            return f"{name} is used {_times(len(node.outputs))}: by {_joined(takers)}."
        taken = _joined(
            (f"{code(self._wording.origin(port))}{self._equals(port)}" for port in node.inputs), _LISTED
        )
        made = _joined((self._value(Port(node.index, k)) for k in range(len(node.outputs))), _LISTED)
        told = f"{self._called(node)} {f'takes {taken} and ' if taken else ''}gives {made}."
        place = where(node.source)
        return told + (f' <span class="where">{html_text(place)}</span>' if place else "")

    def _called(self, node: Node) -> str:
        sign = symbol(node)
        shown = f" ({html_text(sign)})" if sign != node.label and len(sign) <= 8 else ""
        return code(node.name) + shown

    def _takers(self, node: Node, k: int) -> str:
        takers = self._wording.takers.get(Port(node.index, k), [])
        return _joined(code(self._wording.target(index)) for index in takers)

    def _is(self, port: Port, before: str) -> str:
        made = self._graph.nodes[port.node].outputs[port.output]
        return (
            f"is {self._value(port)}"
            if not made.shape and self._text("value", port)
            else (f"{before} {self._value(port)}")
        )

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
        """Shape, if there is one, and numbers."""
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

    def seed(self, passes: Passes) -> str:
        assert passes.back is not None
        begun = [
            f"{code(name)}: {self._gradient(port)}"
            for name, port, dy in zip(
                self._wording.results, self._graph.outputs, passes.back.dys, strict=True
            )
            if dy is not None
        ]
        return f"The backward pass begins at the end, with the gradient of {_joined(begun, _LISTED)}."

    def back(self, node: Node) -> str:
        verdict = self._verdicts.get(node.index)
        wrong = "" if verdict is None else " " + _told_wrong(verdict)
        if node.kind == "copy":
            return self._sum(node) + wrong
        came = _joined(
            (
                self._gradient(Port(node.index, k))
                for k in range(len(node.outputs))
                if Port(node.index, k) in self._figures.gradients
            ),
            _LISTED,
        )
        if node.kind == "input":
            return f"The gradient of {code(node.name)} is {came}."
        article = "an" if node.gate and node.gate[0] in "aeiou" else "a"
        gate = f", {article} {html_text(node.gate)}," if node.gate else ""
        passed = [
            f"{self._gradient(port)} to {code(self._wording.origin(port))}"
            for port, flows in zip(node.inputs, node.active_inputs, strict=True)
            if flows and port in self._figures.gradients
        ]
        told = f"{code(node.name)}{gate} receives {came}"
        told += f" and passes {_joined(passed, _LISTED)}" if passed else " and passes nothing on"
        formula = node.formula or ""
        if formula and len(formula) <= _FORMULA_LENGTH:
            told += f': <span class="formula">{html_text(formula)}</span>'
        return f"{told}.{wrong}"

    def _sum(self, node: Node) -> str:
        """What came back along every use, added up."""
        terms = [
            f"{self._gradient(Port(node.index, k))} from {self._takers(node, k)}"
            for k in range(len(node.outputs))
            if Port(node.index, k) in self._figures.gradients
        ]
        total = self._gradient(node.inputs[0])
        name = code(self._wording.origin(node.inputs[0]))
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
        return self._figures.texts[which].get(port, "")


def _told_wrong(verdict: Verdict) -> str:
    inside = f" ({code(verdict.name)}, inside)" if verdict.inside else f" of {code(verdict.name)}"
    like = f" It looks like: {html_text(', '.join(verdict.mistakes[:3]))}." if verdict.mistakes else ""
    return (
        f'<strong class="wrong">The harness finds the rule{inside} wrong.</strong> '
        f"{html_text(verdict.said)}.{like}"
    )


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count:,} times"


def _joined(parts: Iterable[str], most: int = 12) -> str:
    """A, b and c; what is too many is not listed."""
    said = list(parts)
    if len(said) > most:
        said = [*said[: most - 1], f"{len(said) - most + 1:,} more"]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}" if said else ""

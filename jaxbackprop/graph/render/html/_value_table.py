"""All values that a page shows, each held once: of ports, of their gradients, and the residuals of rules."""

from __future__ import annotations

from typing import Any

from ..._graph import ComputationGraph, Node, Port
from ...passes import Backward
from .._edge_values import Passes
from .._value_text import numbers_text
from ._value_record import cells_on_a_side, value_record


class ValueTable:
    """The values of a graph's ports and of its rules, as a list that the page refers to by index.

    Attributes:
        values: the index of each port's value.
        gradients: the index of the gradient that came to each port.
        texts: under "value" and "gradient", each port's numbers as short text.
    """

    def __init__(self, graph: ComputationGraph, passes: Passes) -> None:
        """Collects the values.

        Args:
            graph: the graph.
            passes: as far as they were run.
        """
        self._held: list[Any] = []
        self._index: dict[int, int] = {}
        self.values: dict[Port, int] = {}
        self.gradients: dict[Port, int] = {}
        self._residuals: dict[int, dict[str, int]] = {}
        for node in graph.nodes:
            for k in range(len(node.outputs)):
                port = Port(node.index, k)
                if passes.run is not None:
                    self.values[port] = self._hold(passes.run.values[node.index][k])
                elif node.kind == "constant":
                    self.values[port] = self._hold(node.value)
        if passes.back is not None:
            for node in graph.nodes:
                self._hold_backward(node, passes.back)
        self.texts: dict[str, dict[Port, str]] = {
            name: {port: numbers_text(self._held[index]) for port, index in indices.items()}
            for name, indices in (("value", self.values), ("gradient", self.gradients))
        }

    def _hold_backward(self, node: Node, back: Backward) -> None:
        for k in range(len(node.outputs)):
            gradient = back.gradients.get(Port(node.index, k))
            if gradient is not None:
                self.gradients[Port(node.index, k)] = self._hold(gradient)
        local = back.of(node).local
        if local is not None:
            self._residuals[node.index] = {
                name: self._hold(value) for name, value in local.residuals.items() if hasattr(value, "dtype")
            }

    def _hold(self, value: Any) -> int:
        """The index of a value; the same array has the same index."""
        if id(value) not in self._index:
            self._index[id(value)] = len(self._held)
            self._held.append(value)
        return self._index[id(value)]

    def residuals(self, node: Node) -> dict[str, int]:
        """The values of the forward pass that a node's rule used, by their names in its formula."""
        return self._residuals.get(node.index, {})

    def records(self) -> list[dict[str, Any]]:
        """Every value as the page's script reads it."""
        side = cells_on_a_side(len(self._held))
        return [value_record(value, side) for value in self._held]

"""All values of a page, each held once: of every port and its gradient, and what rules kept beside."""

from __future__ import annotations

from typing import Any

from ..._graph import Graph, Node, Port
from .._numbers import numbers_text
from .._passes import Passes
from ._values import cells_on_a_side, value_record


class Figures:
    """The values of a graph's ports, and those that rules used, as a list that the page refers to.

    Attributes:
        values: the index of each port's value.
        gradients: the index of the gradient that came to each port.
        texts: "value" and "gradient" of each port in short.
    """

    def __init__(self, graph: Graph, passes: Passes) -> None:
        """Collects them.

        Args:
            graph: whose.
            passes: as far as they were made.
        """
        self._held: list[Any] = []
        self._place: dict[int, int] = {}
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
                self._keep(node, passes)
        self.texts: dict[str, dict[Port, str]] = {
            name: {port: numbers_text(self._held[index]) for port, index in held.items()}
            for name, held in (("value", self.values), ("gradient", self.gradients))
        }

    def _keep(self, node: Node, passes: Passes) -> None:
        back = passes.back
        assert back is not None
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
        if id(value) not in self._place:
            self._place[id(value)] = len(self._held)
            self._held.append(value)
        return self._place[id(value)]

    def residuals(self, node: Node) -> dict[str, int]:
        """What a node's rule used of the forward pass, by the names of its formula."""
        return self._residuals.get(node.index, {})

    def records(self) -> list[dict[str, Any]]:
        """Every value as the page's script reads it."""
        side = cells_on_a_side(len(self._held))
        return [value_record(value, side) for value in self._held]

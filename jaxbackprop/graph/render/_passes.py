"""The numbers along a graph's edges, of whichever passes were made."""

from __future__ import annotations

import dataclasses
from typing import Any

from .._graph import Edge, Graph
from ..passes._run import Backward, Run


@dataclasses.dataclass(frozen=True)
class Passes:
    """The forward pass and the backward pass over a graph, where they were made.

    Attributes:
        run: the forward pass; None where there was none.
        back: the backward pass; None where there was none.
    """

    run: Run | None = None
    back: Backward | None = None

    @classmethod
    def of(cls, graph: Graph, run: Any) -> Passes:
        """What was made.

        Args:
            graph: over which.
            run: None, a `Run`, or a `Backward`, which knows the `Run` before it.

        Raises:
            TypeError: where run is none of these.
            ValueError: where it is of another graph.
        """
        if run is None:
            return cls()
        back = run if isinstance(run, Backward) else None
        forward = run.run if isinstance(run, Backward) else run
        if not isinstance(forward, Run):
            raise TypeError(f"run must be a Run, a Backward or None, got {type(run).__name__}")
        if forward.graph is not graph:
            raise ValueError(f"run is of another graph ({forward.graph.name}) than {graph.name}")
        return cls(forward, back)

    def value(self, edge: Edge) -> Any:
        """What went along an edge; None where it is not known."""
        return None if self.run is None else self.run.edge(edge)

    def gradient(self, edge: Edge) -> Any:
        """What flowed back along it; None where nothing did, or it is not known."""
        return None if self.back is None else self.back.edge(edge)

    def output(self, position: int) -> Any:
        """One of the results; None where it is not known."""
        return None if self.run is None else self.run.outputs[position]

    def upstream(self, position: int) -> Any:
        """The gradient that came to one of the results; None where none came, or it is not known."""
        return None if self.back is None else self.back.dys[position]

"""The values and gradients along a graph's edges, of whichever passes were run."""

from __future__ import annotations

import dataclasses

import jax

from .._graph import ComputationGraph, Edge
from ..passes import Backward, Run


@dataclasses.dataclass(frozen=True)
class Passes:
    """The forward and the backward pass over a graph; None for one that was not run.

    Attributes:
        run: the forward pass.
        back: the backward pass.
    """

    run: Run | None = None
    back: Backward | None = None

    @classmethod
    def of(cls, graph: ComputationGraph, run: Run | Backward | None) -> Passes:
        """The passes that a run consists of.

        Args:
            graph: the graph that was run.
            run: None, a `Run`, or a `Backward`, which holds the `Run` before it.

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

    def value(self, edge: Edge) -> jax.Array | None:
        """The value along an edge; None where it is not known."""
        return None if self.run is None else self.run.edge(edge)

    def gradient(self, edge: Edge) -> jax.Array | None:
        """The gradient that flowed back along it; None where none did, or it is not known."""
        return None if self.back is None else self.back.edge(edge)

    def output(self, position: int) -> jax.Array | None:
        """The value of a result; None where it is not known."""
        return None if self.run is None else self.run.outputs[position]

    def upstream(self, position: int) -> jax.Array | None:
        """The gradient that a result was given; None where none was, or it is not known."""
        return None if self.back is None else self.back.dys[position]

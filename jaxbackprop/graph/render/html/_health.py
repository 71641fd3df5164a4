"""What the page reads of a report on the gradient's health, which is made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import jax

from ..._graph import ComputationGraph, Node, Source


class HealthFinding(Protocol):
    """One thing that is wrong with the gradient.

    Attributes:
        kind: "nonfinite", "detached", "dead", "saturated", "exploding", "vanishing", "underflow" or "update".
        name: of its node; inside others after theirs: "scan/tanh".
        source: the line of the user's code.
        message: what is wrong, in a sentence.
        remedy: what may help.
        nodes: the nodes where it was found, the worst first.
        outer: the nodes of the whole graph that these stand in, or are.
    """

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def source(self) -> Source | None: ...
    @property
    def message(self) -> str: ...
    @property
    def remedy(self) -> str: ...
    @property
    def nodes(self) -> Sequence[Node]: ...
    @property
    def outer(self) -> Sequence[Node]: ...


@runtime_checkable
class HealthReport(Protocol):
    """The findings on a graph, such as `jaxbackprop.doctor.health` reports them.

    Attributes:
        graph: the graph that was examined.
        findings: the most serious first; empty where nothing is wrong.
    """

    @property
    def graph(self) -> ComputationGraph: ...
    @property
    def findings(self) -> Sequence[HealthFinding]: ...
    def upstream(self) -> Sequence[jax.Array | None]:
        """The gradients that the examined backward pass began with, one a result; None where none came."""

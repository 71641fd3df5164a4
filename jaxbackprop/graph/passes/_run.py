"""Both passes over a graph, and what is known of each node after them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax

from .._graph import ComputationGraph, Edge, Gradients, NestedOperation, Node, Port
from ._arguments import flat_inputs, flat_upstream, gradients_like
from ._sweep import pull_back, taken, walk


@dataclasses.dataclass(frozen=True)
class Forward:
    """A node in the forward pass.

    Attributes:
        node: which.
        operands: what it was computed from.
        outputs: its results.
    """

    node: Node
    operands: tuple[Any, ...]
    outputs: tuple[Any, ...]

    @property
    def value(self) -> Any:
        """Its first result."""
        return self.outputs[0]


@dataclasses.dataclass(frozen=True)
class LocalGradient:
    """A node's own part of the chain rule.

    Attributes:
        formula: local gradient times upstream gradient, such as "dx = cos(x) dy".
        residuals: the values of the forward pass that it used, by the formula's names.
    """

    formula: str | None
    residuals: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Flow:
    """A node in the backward pass.

    Attributes:
        node: which.
        upstream: the gradient that came to it: of its result, or a tuple where it has several; None where
            none came. For a copy, one gradient a use.
        local: its rule, and what that used; None where it has none or no gradient came.
        downstream: the gradients that it passed on, one an operand; None where none flows.
    """

    node: Node
    upstream: Any
    local: LocalGradient | None
    downstream: tuple[Any, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """The forward pass: every intermediate value.

    Attributes:
        graph: what was walked.
        arguments: what it was walked with.
        values: each node's results, in the order of `graph.nodes`.
        kept: what operations keep for the backward pass beside their operands and results.
    """

    graph: ComputationGraph
    arguments: tuple[Any, ...] = dataclasses.field(repr=False)
    values: tuple[tuple[Any, ...], ...] = dataclasses.field(repr=False)
    kept: tuple[Any, ...] = dataclasses.field(repr=False)

    def of(self, node: Node | int | str) -> Forward:
        """What a node computed, and from what.

        Raises:
            KeyError: where the graph has no such node.
        """
        found = self.graph.node(node)
        return Forward(found, tuple(taken(self.values, found.inputs)), self.values[found.index])

    def __getitem__(self, node: Node | int | str) -> Any:
        """A node's value: its result, or a tuple where it has several and is no copy."""
        found = self.graph.node(node)
        outputs = self.values[found.index]
        return outputs[0] if len(outputs) == 1 or found.kind == "copy" else outputs

    def edge(self, edge: Edge) -> Any:
        """The value that went along an edge."""
        return self.values[edge.source][edge.output]

    @property
    def outputs(self) -> list[Any]:
        """The results, flat."""
        return taken(self.values, self.graph.outputs)

    @property
    def value(self) -> Any:
        """The results, in the structure that the function gave them.

        Raises:
            ValueError: where the function failed while it was traced.
        """
        self._refuse_partial()
        return jax.tree.unflatten(self.graph.structure, self.outputs)

    def inside(self, node: Node | int | str, step: int | None = None) -> Run:
        """The forward pass inside a node: a step of a loop, the branch that was taken, a checkpoint's body.

        Args:
            node: one with bodies.
            step: which step of a loop, from 0 or back from -1.

        Raises:
            KeyError: where the graph has no such node.
            ValueError: where there is nothing inside it, or step is missing or out of range.
        """
        found = self.graph.node(node)
        graph, inputs = _inside(found).inside(self.of(found).operands, step)
        return _walked(graph, tuple(inputs), inputs)

    def backward(self, dy: Any = None) -> Backward:
        """Walks the nodes in reverse.

        Args:
            dy: the upstream gradient, of the function's results' structure; None in it where none comes.
                Left out it is 1, for a function whose result is one floating-point number.

        Raises:
            ValueError: where dy is left out and the function has not one number for a result, or where the
                function failed while it was traced.
            TypeError: where dy differs from the results in structure, shape or dtype.
            UnsupportedPrimitive: where a gradient must pass what has no rule.
        """
        self._refuse_partial()
        return self.pulled_back(flat_upstream(self.graph, dy))

    def pulled_back(self, dys: Gradients) -> Backward:
        """`backward`, with one upstream gradient a result, flat; None where none comes."""
        record: dict[Port, Any] = {}
        gradients = pull_back(self.graph, self.values, self.kept, dys, record)
        return Backward(self, tuple(dys), record, gradients_like(self.graph, self.arguments, gradients))

    def _refuse_partial(self) -> None:
        if self.graph.error is not None:
            raise ValueError(
                f"{self.graph.name} failed while it was traced, its graph ends there: {self.graph.error}"
            ) from self.graph.error


def forward(graph: ComputationGraph, args: tuple[Any, ...]) -> Run:
    """Every intermediate value of a graph; see `Graph.forward`."""
    return _walked(graph, tuple(args), flat_inputs(graph, args))


def _walked(graph: ComputationGraph, arguments: tuple[Any, ...], inputs: Sequence[Any]) -> Run:
    values, kept = walk(graph, inputs)
    return Run(graph, arguments, tuple(values), tuple(kept))


@dataclasses.dataclass(frozen=True, eq=False)
class Backward:
    """The backward pass: the gradient along every edge.

    Attributes:
        run: the forward pass before it.
        dys: the upstream gradients that it began with, one a result; None where none came.
        grads: the gradients of the arguments: a tuple of pytrees like them, with None for every leaf that is
            not differentiable. A leaf that the results do not depend on gets zeros.
    """

    run: Run
    dys: tuple[Any, ...] = dataclasses.field(repr=False)
    gradients: dict[Port, Any] = dataclasses.field(repr=False)
    grads: tuple[Any, ...] = dataclasses.field(repr=False)

    @property
    def graph(self) -> ComputationGraph:
        """What was walked."""
        return self.run.graph

    def edge(self, edge: Edge) -> Any:
        """The gradient that flowed back along an edge; None where none did."""
        return self.gradients.get(Port(edge.source, edge.output)) if edge.active else None

    def of(self, node: Node | int | str) -> Flow:
        """A node's upstream gradient, its local gradient, and what it passed on.

        Raises:
            KeyError: where the graph has no such node.
        """
        found = self.graph.node(node)
        came = self._came(found)
        upstream = came[0] if len(came) == 1 else None if all(d is None for d in came) else tuple(came)
        passed = tuple(
            self.gradients.get(port) if flows else None
            for port, flows in zip(found.inputs, found.active_inputs, strict=True)
        )
        local = None
        if any(found.active_inputs) and upstream is not None:
            residuals: dict[str, Any] = {}
            if found.operation is not None:
                at = self.run.of(found)
                residuals = found.operation.residuals(
                    at.operands, at.outputs, self.run.kept[found.index], came
                )
            local = LocalGradient(found.formula, residuals)
        return Flow(found, upstream, local, passed)

    def inside(self, node: Node | int | str, step: int | None = None) -> Backward:
        """The backward pass inside a node: a step of a loop, the branch that was taken, a checkpoint's body.

        Args:
            node: one with bodies.
            step: which step of a loop, from 0 or back from -1.

        Raises:
            KeyError: where the graph has no such node.
            ValueError: where there is nothing inside it, step is missing or out of range, or no gradient
                came.
        """
        found = self.graph.node(node)
        inner = self.run.inside(found, step)
        came = self._came(found)
        if all(dy is None for dy in came):
            raise ValueError(f"no gradient came to {found.name}")
        operands = self.run.of(found).operands
        dys = _inside(found).inside_upstream(operands, self.run.kept[found.index], came, step)
        return inner.pulled_back(dys)

    def _came(self, node: Node) -> list[Any]:
        """The gradient that came to each of a node's results; None where none did."""
        return [self.gradients.get(Port(node.index, k)) for k in range(len(node.outputs))]


def _inside(node: Node) -> NestedOperation:
    if not isinstance(node.operation, NestedOperation):
        raise ValueError(f"there is nothing inside {node.name}")
    return node.operation

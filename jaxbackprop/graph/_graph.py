"""What a computation graph is made of: nodes, edges, and the order to walk them in. All of it is frozen."""

from __future__ import annotations

import dataclasses
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import jax

if TYPE_CHECKING:
    from jaxbackprop.doctor import Report

    from .passes._cost import Cost
    from .passes._run import Run
    from .tracing.operations import Operation

Kind = Literal["input", "constant", "operation", "copy"]

DISTRIBUTOR = "distributor"
SWAP_MULTIPLIER = "swap multiplier"
ADDER = "adder"
ROUTER = "router"


@dataclasses.dataclass(frozen=True)
class Source:
    """A line of the user's code.

    Attributes:
        file: its path.
        line: from 1.
        function: the name of the function that the line stands in.
    """

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} ({self.function})"


@dataclasses.dataclass(frozen=True)
class Port:
    """One of a node's results.

    Attributes:
        node: the node's index.
        output: which of its results, from 0.
    """

    node: int
    output: int


@dataclasses.dataclass(frozen=True)
class Edge:
    """A value on its way from the node that made it to one that takes it.

    Attributes:
        source: index of the node that made it.
        output: which of that node's results.
        target: index of the node that takes it.
        position: as which of that node's operands.
        shape: of the value, and of the gradient that flows back.
        dtype: likewise.
        active: whether a gradient flows back.
    """

    source: int
    output: int
    target: int
    position: int
    shape: tuple[int, ...]
    dtype: Any
    active: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """A step of the computation: an argument, a constant, an operation, or a copy.

    Attributes:
        index: its place in `Graph.nodes`, a topological order.
        name: unique in its graph: an argument's path ("params['W']"), an operation's name and a number
            ("tanh", "tanh_2").
        kind: "input", "constant", "operation", or "copy" (one value, handed on several times).
        label: what it does: the primitive's name, an operator's ("relu"), "copy"; an argument's path.
        primitive: the name of JAX's primitive, where the node is an operation.
        inputs: where its operands come from.
        outputs: shape and dtype of its results.
        active_inputs: which operands a gradient flows back to.
        active: which results depend on a differentiable argument, so that a gradient flows through.
        gate: what it does to the gradient, where the lecture has a word for it: "distributor", "swap
            multiplier", "adder", "router".
        formula: its local gradient times the upstream gradient, such as "dx = cos(x) dy".
        source: the line of the user's code that it comes from.
        scope: named scopes and jit-compiled functions around it, outermost first.
        bodies: graphs of the programs inside it: a loop's body, a condition's branches.
        operation: how to compute it and its gradient; None where there is nothing to compute.
        value: a constant's value.
    """

    index: int
    name: str
    kind: Kind
    label: str
    primitive: str | None
    inputs: tuple[Port, ...]
    outputs: tuple[jax.ShapeDtypeStruct, ...]
    active_inputs: tuple[bool, ...] = ()
    active: tuple[bool, ...] = ()
    gate: str | None = None
    formula: str | None = None
    source: Source | None = None
    scope: tuple[str, ...] = ()
    operation: Operation | None = dataclasses.field(default=None, repr=False)
    value: Any = dataclasses.field(default=None, repr=False)

    @property
    def bodies(self) -> tuple[Graph, ...]:
        """Graphs of the programs inside it: a loop's body, a condition's branches."""
        return () if self.operation is None else self.operation.bodies

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its first result."""
        return tuple(self.outputs[0].shape)

    @property
    def dtype(self) -> Any:
        """Of its first result."""
        return self.outputs[0].dtype

    def __str__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """The computation graph of a function.

    Every value goes along one edge only: what is used several times goes through a copy node. So every edge
    has one value on the way forward and one gradient on the way back.

    Attributes:
        name: the function's.
        nodes: in a topological order: operands stand before what uses them.
        outputs: where the results come from, flat.
        arguments: the arguments that were traced: a tuple of pytrees; leaves may be `jax.ShapeDtypeStruct`.
        structure: pytree structure of the results; None where tracing failed before there was one.
        error: what the function raised while it was traced, if it did; then the graph holds what came before.
    """

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[Port, ...]
    arguments: tuple[Any, ...] = dataclasses.field(default=(), repr=False)
    structure: Any = dataclasses.field(default=None, repr=False)
    error: BaseException | None = None

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """The argument leaves, in the order of `jax.tree.leaves(arguments)`."""
        return tuple(node for node in self.nodes if node.kind == "input")

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """From every operand to what takes it; in the order of the nodes that take them."""
        return tuple(self._edge(port, node, i) for node in self.nodes for i, port in enumerate(node.inputs))

    @cached_property
    def results(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shape and dtype of each result."""
        return tuple(self.nodes[port.node].outputs[port.output] for port in self.outputs)

    @cached_property
    def active(self) -> tuple[bool, ...]:
        """Which results a gradient flows through."""
        return tuple(self.nodes[port.node].active[port.output] for port in self.outputs)

    def _edge(self, port: Port, target: Node, position: int) -> Edge:
        source = self.nodes[port.node]
        made = source.outputs[port.output]
        return Edge(
            port.node,
            port.output,
            target.index,
            position,
            tuple(made.shape),
            made.dtype,
            target.active_inputs[position],
        )

    def topological_order(self) -> tuple[Node, ...]:
        """The nodes, each after all that it depends on: the order of the forward pass."""
        return self.nodes

    def node(self, which: Node | int | str) -> Node:
        """The node of an index or a name.

        Raises:
            KeyError: where the graph has no such node.
        """
        if isinstance(which, Node):
            if not (which.index < len(self.nodes) and self.nodes[which.index] is which):
                raise KeyError(f"{which.name} is a node of another graph than {self.name}")
            return which
        if isinstance(which, str):
            found = self._by_name.get(which)
            if found is None:
                raise KeyError(f"{self.name} has no node {which!r}")
            return found
        if not -len(self.nodes) <= which < len(self.nodes):
            raise KeyError(f"{self.name} has no node {which}: it has {len(self.nodes)}")
        return self.nodes[which]

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def forward(self, *args: Any) -> Run:
        """Walks the nodes in topological order.

        Args:
            args: of the structure, shapes and dtypes that were traced; none at all: those that were traced.

        Returns:
            Every intermediate value.

        Raises:
            TypeError: where an argument differs in structure, shape or dtype from what was traced, or where
                shapes alone were traced and no arguments came.
        """
        from .passes._run import forward

        return forward(self, args or self.arguments)

    def cost(self) -> Cost:
        """Multiplications of the forward and the backward pass, a node and in all."""
        from .passes._cost import cost

        return cost(self)

    def to_svg(self, run: Any = None) -> str:
        """A picture; see `jaxbackprop.graph.to_svg`."""
        from .render._svg import to_svg

        return to_svg(self, run)

    def to_dot(self, run: Any = None) -> str:
        """The graph in Graphviz's language; see `jaxbackprop.graph.to_dot`."""
        from .render._dot import to_dot

        return to_dot(self, run)

    def to_json(self, run: Any = None) -> str:
        """The graph and its numbers as JSON; see `jaxbackprop.graph.to_json`."""
        from .render._json import to_json

        return to_json(self, run)

    def to_html(
        self,
        path: str | os.PathLike[str] | None = None,
        run: Any = None,
        *,
        check: bool = True,
        health: Report | None = None,
    ) -> str | None:
        """The graph as one HTML page that steps forward and backward through it.

        The page needs nothing beside it and opens no connection.

        Args:
            path: the file to write; None returns the page.
            run: a `Backward`, or a `Run`. What is missing is computed where the graph was traced with
                arguments: the forward pass, and the backward pass, beginning with ones.
            check: whether to ask the harness about hand-written VJPs that are not this package's own, about a
                second each. Where one is wrong the page opens at the step that meets it first.
            health: the doctor's report of this graph, or of another trace of the same function at the same
                shapes. The page lists its findings, marks their nodes, and opens at the most serious one; a
                backward pass that is missing begins as the doctor's does.

        Returns:
            The document where path is None.

        Raises:
            TypeError: where path is no file's name, run is no run, or health is no report.
            ValueError: where run or health is of another graph.
            OSError: where the file cannot be written; an older file of that name is then as it was.
        """
        from .render.html import to_html

        return to_html(self, path, run, check=check, health=health)

    def __repr__(self) -> str:
        failed = f", ends in {type(self.error).__name__}" if self.error else ""
        return f"Graph({self.name}: {len(self.nodes)} nodes, {len(self.edges)} edges{failed})"

    def _repr_html_(self) -> str | None:
        from .render.html import in_notebook

        return in_notebook(self)

    def _repr_svg_(self) -> str:
        return self.to_svg()


def numbered_names(count: int) -> list[str]:
    """Names for arguments that have none: x; or x0, x1, ..."""
    return ["x"] if count == 1 else [f"x{i}" for i in range(count)]

"""What a computation graph is made of: nodes, edges, and the order to walk them in. All of it is frozen."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import jax

Arrays = Sequence[jax.Array]
Gradients = Sequence[jax.Array | None]
"""None where no gradient flows."""

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


class Operation(Protocol):
    """How a node is computed, forward and backward."""

    @property
    def bodies(self) -> tuple[ComputationGraph, ...]:
        """Graphs of the programs inside it."""

    def forward(self, operands: Arrays) -> tuple[list[jax.Array], Any]:
        """Its results, and a pytree of what else the backward pass needs."""

    def backward(
        self, operands: Arrays, results: Arrays, kept: Any, dys: Gradients
    ) -> list[jax.Array | None]:
        """One gradient an operand; None where none flows.

        Args:
            operands: as in the forward pass.
            results: what it gave.
            kept: what it gave beside.
            dys: one upstream gradient a result; None where none came.
        """

    def residuals(self, operands: Arrays, results: Arrays, kept: Any, dys: Gradients) -> dict[str, jax.Array]:
        """The values that `backward` uses, by the names that its formula uses."""


@runtime_checkable
class NestedOperation(Operation, Protocol):
    """An operation with a program inside that can be looked into."""

    def inside(self, operands: Arrays, step: int | None) -> tuple[ComputationGraph, list[jax.Array]]:
        """The program that runs, and its arguments.

        Args:
            operands: as in the forward pass.
            step: which step of a loop, from 0 or back from -1; None where it is none.

        Raises:
            ValueError: where step is missing, out of range, or there are no steps.
        """

    def inside_upstream(
        self, operands: Arrays, kept: Any, dys: Gradients, step: int | None
    ) -> list[jax.Array | None]:
        """The upstream gradients of that program's results; see `inside` and `backward`."""


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """A step of the computation: an argument, a constant, an operation, or a copy.

    Attributes:
        index: its place in the graph's `nodes`, a topological order.
        name: unique in its graph: an argument's path ("params['W']"), an operation's name and a number
            ("tanh", "tanh_2").
        kind: "input", "constant", "operation", or "copy" (one value, handed on several times).
        label: what it does: the primitive's name, an operator's ("relu"), "copy"; an argument's path.
        primitive: the name of JAX's primitive, where the node is an operation.
        operator: the name of this package's operator whose rule it runs ("relu"); None where it runs none.
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
    operator: str | None = None
    operation: Operation | None = dataclasses.field(default=None, repr=False)
    value: Any = dataclasses.field(default=None, repr=False)

    @property
    def bodies(self) -> tuple[ComputationGraph, ...]:
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
class ComputationGraph:
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
    structure: jax.tree_util.PyTreeDef | None = dataclasses.field(default=None, repr=False)
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

    def __repr__(self) -> str:
        failed = f", ends in {type(self.error).__name__}" if self.error else ""
        return f"{type(self).__name__}({self.name}: {len(self.nodes)} nodes, {len(self.edges)} edges{failed})"

"""A computation graph of scalars, forward and backward (lecture, unit 2 "Computation Graph").

Forward: sort the nodes topologically, each behind its operands, and compute them in that order.

Backward: start with ∂s/∂s = 1 at the output s and walk in the reverse order. A node y with operands x_i hands

    downstream gradient = local gradient × upstream gradient,    ∂s/∂x_i += ∂y/∂x_i · ∂s/∂y

to each. It is added there, because a value that was used several times was copied, and s depends on all of
its copies. When a node's turn comes, all that use it have had theirs: its gradient is complete, and one visit
is enough. An input may reach s along exponentially many paths; the sweep takes each edge once. So all
gradients at once cost of the order of the forward pass.

What is differentiated is an ordinary function of scalars, made of + - * / **, of NumPy's functions that have
a gate's name (np.maximum), and of the gates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from inspect import signature
from numbers import Real
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Gate:
    """An operation: y = forward(*x), and local(y, *x), the tuple of all ∂y/∂x_i."""

    name: str
    forward: Callable[..., float] = dataclasses.field(repr=False)
    local: Callable[..., tuple[float, ...]] = dataclasses.field(repr=False)

    def __call__(self, *operands: Node | float) -> Any:
        """The node of the result; where all operands are numbers, the number."""
        if len(operands) != (arity := len(signature(self.forward).parameters)):
            raise TypeError(f"{self.name} takes {arity} operands, got {len(operands)}")
        if not any(isinstance(x, Node) for x in operands):
            return self.forward(*operands)
        return Node(self, tuple(_node(self.name, x) for x in operands))


def _sigmoid(x: float) -> float:
    """1 / (1 + e^-x), without overflow."""
    return math.exp(min(x, 0.0)) / (1.0 + math.exp(-abs(x)))


def _power_local(y: float, a: float, b: float) -> tuple[float, float]:
    """By the base b a^(b-1), by the exponent y log a: its limit at a = 0, and nan at a < 0 (no a^(b±h))."""
    to_exponent = y * math.log(a) if a > 0.0 else 0.0 if a == 0.0 < b else math.nan
    return b * math.pow(a, b - 1.0) if b else 0.0, to_exponent


# The lecture's four: the distributor; the swap multiplier; the router, where the first wins a tie and a nan
# always; and one branch of a copy, whose adder is the sweep's +=, for branches that are not drawn as well.
add = Gate("add", lambda a, b: a + b, lambda y, a, b: (1.0, 1.0))
multiply = Gate("multiply", lambda a, b: a * b, lambda y, a, b: (b, a))
maximum = Gate(
    "maximum",
    lambda a, b: a if a >= b or a != a else b,
    lambda y, a, b: (1.0, 0.0) if a >= b or a != a else (0.0, 1.0),
)
copy = Gate("copy", lambda x: x, lambda y, x: (1.0,))

negative = Gate("negative", lambda x: -x, lambda y, x: (-1.0,))
subtract = Gate("subtract", lambda a, b: a - b, lambda y, a, b: (1.0, -1.0))
divide = Gate("divide", lambda a, b: a / b, lambda y, a, b: (1.0 / b, -y / b))
power = Gate("power", lambda a, b: math.pow(a, b), _power_local)
exp = Gate("exp", lambda x: math.exp(x), lambda y, x: (y,))
log = Gate("log", lambda x: math.log(x), lambda y, x: (1.0 / x,))
sigmoid = Gate("sigmoid", _sigmoid, lambda y, x: (y * (1.0 - y),))
tanh = Gate("tanh", lambda x: math.tanh(x), lambda y, x: (1.0 - y * y,))
sin = Gate("sin", lambda x: math.sin(x), lambda y, x: (math.cos(x),))
cos = Gate("cos", lambda x: math.cos(x), lambda y, x: (-math.sin(x),))
relu = Gate("relu", lambda x: 0.0 if x <= 0.0 else x, lambda y, x: (0.0 if x <= 0.0 else 1.0,))

GATES = {gate.name: gate for gate in tuple(globals().values()) if isinstance(gate, Gate)}


@dataclasses.dataclass(eq=False)
class Node(np.lib.mixins.NDArrayOperatorsMixin):
    """A number of the computation. The mixin turns operators into NumPy's functions, and those into gates.

    Attributes:
        gate: what computes it; None for an input or a constant.
        operands: what it is computed from.
        value: after the forward pass.
        local: ∂value/∂operand, one an operand, after the sweep.
        gradient: ∂s/∂value, after the sweep.
        constant: whether it is a plain number that met a node.
    """

    gate: Gate | None = None
    operands: tuple[Node, ...] = dataclasses.field(default=(), repr=False)
    value: float = math.nan
    local: tuple[float, ...] = ()
    gradient: float = 0.0
    constant: bool = False

    __hash__ = object.__hash__

    def __array_ufunc__(self, function: np.ufunc, method: str, *operands: Any, **keywords: Any) -> Node:
        # x += y comes with out=(x,), and binds x to what is returned.
        if function.__name__ not in GATES or method != "__call__" or keywords.keys() - {"out"}:
            raise TypeError(f"there is no gate for {function.__name__}; f has these: {', '.join(GATES)}")
        return GATES[function.__name__](*operands)

    def __bool__(self) -> bool:
        raise TypeError("f must not branch on a node, which has no value yet")


class Graph:
    """What f computes at args, as nodes, computed forward once.

    Attributes:
        inputs: the node of each argument.
        order: what the output depends on, in topological order.
        output: the last of them.
    """

    def __init__(self, f: Callable[..., Any], *args: float) -> None:
        self.inputs = tuple(Node() for _ in args)
        self.output = _node("f's result", f(*self.inputs))
        self.order = topological_order(self.output)
        mine = set(self.inputs)
        if any(not (x.gate or x.constant or x in mine) for x in self.order):
            raise ValueError("f uses a node of another graph")
        self.forward(*args)

    def forward(self, *args: float) -> float:
        """The output at new arguments; f is not called again."""
        if len(args) != len(self.inputs):
            raise TypeError(f"the graph has {len(self.inputs)} inputs, got {len(args)} arguments")
        for i, x in enumerate(args):
            self.inputs[i].value = _number(f"args[{i}]", x)
        for y in self.order:
            if y.gate:
                y.value = _evaluated(y, y.gate.forward)
        return self.output.value

    def backward(self, dy: float = 1.0) -> tuple[float, ...]:
        """The gradient of each input, where dy arrives at the output."""
        for y in self.order:
            y.gradient = 0.0
        self.output.gradient = dy
        for y in reversed(self.order):
            if y.gate:
                y.local = _evaluated(y, y.gate.local, y.value)
                for x, local in zip(y.operands, y.local, strict=True):
                    x.gradient += local * y.gradient
        return tuple(x.gradient for x in self.inputs)


def topological_order(output: Node) -> tuple[Node, ...]:
    """All that a node depends on and the node itself, each behind its operands.

    Depth first: a node is put down once its operands have been. The stack is a list, because Python's own
    ends after some thousand calls. There are no cycles: operands were there before what uses them.

    Args:
        output: any node.

    Returns:
        The nodes, `output` last.
    """
    order: list[Node] = []
    seen: set[Node] = set()
    stack = [(output, False)]
    while stack:
        node, operands_done = stack.pop()
        if operands_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((x, False) for x in reversed(node.operands))
    return tuple(order)


def gradients(f: Callable[..., Any], *args: float) -> tuple[float, tuple[float, ...]]:
    """A function's value and all its gradients, in one sweep.

    Args:
        f: a function of scalars that does not branch on them.
        args: numbers.

    Returns:
        (value, gradients): one gradient an argument, 0 for one that f does not use.

    Raises:
        TypeError: where f branches, uses what is no gate or returns no number, or an argument is no number.
        ValueError: where a gate has no value or no finite gradient, as log at 0.
    """
    graph = Graph(f, *args)
    return graph.output.value, graph.backward()


def _evaluated(y: Node, function: Callable[..., Any], *first: float) -> Any:
    """The function of a node's operands."""
    operands = [x.value for x in y.operands]
    try:
        return function(*first, *operands)
    except (ValueError, ArithmeticError) as error:
        at = ", ".join(f"{x:g}" for x in operands)
        what = "finite gradient" if first else "value"
        raise ValueError(f"{y.gate and y.gate.name}({at}) has no {what}: {error}") from error


def _node(name: str, x: Any) -> Node:
    return x if isinstance(x, Node) else Node(value=_number(name, x), constant=True)


def _number(name: str, x: Any) -> float:
    if not isinstance(x, Real):
        raise TypeError(f"{name} must be a number or a node, got {x!r}")
    return float(x)

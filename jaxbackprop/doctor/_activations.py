"""Which nodes are activations, written as JAX's functions, this package's operators, or by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

from jaxbackprop.graph._graph import Graph, Node, Port

from ._structure import Layer, fan_out, origin, uncopied

Kind = Literal["sigmoid", "tanh", "hardtanh", "relu"]

# A sigmoid or tanh in there is a part of another activation, or of a loss.
_PARTS = ("silu", "swish", "gelu", "mish", "softplus", "log_sigmoid", "logaddexp", "hard_swish", "hard_silu")
_BY_LABEL: dict[str, Kind] = {
    "tanh": "tanh",
    "logistic": "sigmoid",
    "sigmoid": "sigmoid",
    "hardtanh": "hardtanh",
    "relu": "relu",
    "relu6": "relu",
}
_ELEMENTWISE = frozenset(
    "add add_any sub mul div max min neg convert_element_type copy select_n custom_jvp_call "
    "custom_vjp_call clamp abs exp tanh logistic square sqrt rsqrt integer_pow reduce_precision".split()
)


@dataclasses.dataclass(frozen=True)
class Activation:
    """A nonlinearity whose ailment is known.

    Attributes:
        node: which.
        kind: what it computes.
        units: axes of its result that are units, each with weights of its own; the others are examples.
        sure: whether the axes are known to be those; else examples and units may be the other way about.
        bound: of a hardtanh.
        gate: whether it multiplies something.
        operand: what it is taken of.
    """

    node: Node
    kind: Kind
    units: tuple[int, ...]
    sure: bool
    bound: float = 1.0
    gate: bool = False
    operand: Port | None = None


def activations_of(graph: Graph, layers: Mapping[int, Layer]) -> dict[int, Activation]:
    """The activations that a gradient flows through, by the node's index."""
    users = _users(graph)
    found = {}
    for node in graph.nodes:
        if node.kind != "operation" or not any(node.active) or not node.shape:
            continue
        kind, bound = _kind(graph, node)
        if kind is None or set(node.scope) & set(_PARTS) or _is_raised(graph, node, users):
            continue
        units, sure = _units(graph, node, layers)
        gate, operand = _is_gate(graph, node, users), _operand(graph, node)
        found[node.index] = Activation(node, kind, units, sure, bound, gate, operand)
    return found


def _kind(graph: Graph, node: Node) -> tuple[Kind | None, float]:
    if node.label in _BY_LABEL:
        return _BY_LABEL[node.label], 1.0
    if node.primitive == "max" and _constant(graph, node, 0.0) is not None:
        return "relu", 1.0
    if node.primitive == "select_n":
        return (_selected(graph, node)), 1.0
    if node.primitive == "div" and _is_logistic(graph, node):
        return "sigmoid", 1.0
    bound = _clipped(graph, node)
    return (None, 1.0) if bound is None else ("hardtanh", bound)


def _value(graph: Graph, port: Port) -> float | None:
    """The number that a constant operand is everywhere."""
    node = graph.nodes[origin(graph, port).node]
    if node.kind != "constant" or np.size(node.value) != 1:
        return None
    return float(np.asarray(node.value, np.float64).reshape(()))


def _constant(graph: Graph, node: Node, number: float) -> int | None:
    """Which operand is this number everywhere."""
    return next((i for i, port in enumerate(node.inputs) if _value(graph, port) == number), None)


def _maker(graph: Graph, port: Port) -> Node:
    return graph.nodes[origin(graph, port).node]


def _is_logistic(graph: Graph, node: Node) -> bool:
    """1 / (1 + exp(...))."""
    below = _maker(graph, node.inputs[1])
    if _value(graph, node.inputs[0]) != 1.0 or below.primitive != "add":
        return False
    one = _constant(graph, below, 1.0)
    return one is not None and _maker(graph, below.inputs[1 - one]).primitive == "exp"


def _selected(graph: Graph, node: Node) -> Kind | None:
    """where(x > 0, x, 0), and where(x > 1, 1, where(x < -1, -1, x)) as jax.nn.hard_tanh has it."""
    if "hard_tanh" in node.scope:
        outer = _maker(graph, node.inputs[1]).primitive == "select_n"
        return "hardtanh" if outer else None
    if len(node.inputs) != 3:
        return None
    test = _maker(graph, node.inputs[0])
    # select_n takes the first case where the test is false.
    for case, signs in ((1, ("gt", "ge")), (2, ("lt", "le"))):
        if _value(graph, node.inputs[case]) == 0.0 and test.primitive in signs:
            kept = origin(graph, node.inputs[3 - case])
            if _value(graph, test.inputs[1]) == 0.0 and origin(graph, test.inputs[0]) == kept:
                return "relu"
    return None


def _clipped(graph: Graph, node: Node) -> float | None:
    """The c of min(c, max(-c, x)), in whatever order."""
    if node.primitive == "clamp":
        low, high = _value(graph, node.inputs[0]), _value(graph, node.inputs[2])
    elif node.primitive in ("min", "max"):
        inner = next((_maker(graph, p) for p in node.inputs if _value(graph, p) is None), node)
        if {node.primitive, inner.primitive} != {"min", "max"}:
            return None
        own, its = ([v for p in n.inputs if (v := _value(graph, p)) is not None] for n in (node, inner))
        low, high = (min([*own, *its]), max([*own, *its])) if own and its else (None, None)
    else:
        return None
    return high if low is not None and high is not None and low == -high and high > 0 else None


def _operand(graph: Graph, node: Node) -> Port:
    """What it is taken of, through the steps of one that is written out."""
    while True:
        varying = [p for p in node.inputs if graph.nodes[p.node].outputs[p.output].shape == node.shape]
        floats = [p for p in varying if any(graph.nodes[p.node].active) and _value(graph, p) is None]
        port = uncopied(graph, (floats or list(node.inputs))[0])
        below = graph.nodes[port.node]
        written_out = {"div": ("add", "exp", "neg"), "add": ("exp",), "exp": ("neg",), "neg": ()}
        steps = written_out.get(node.primitive or "", ())
        clips = node.primitive in ("min", "max", "select_n") and below.primitive in ("min", "max", "select_n")
        if (below.primitive in steps or clips) and below.scope == node.scope:
            node = below
        elif node.primitive == "exp" and below.primitive == "neg":
            node = below
        else:
            return port


def _units(graph: Graph, node: Node, layers: Mapping[int, Layer]) -> tuple[tuple[int, ...], bool]:
    """The axes of units, followed back to the layer that made them; the last axis where none is found."""
    last, order = (len(node.shape) - 1,), list(range(len(node.shape)))
    at = node
    for _ in range(100):
        if at.index in layers:
            axes = fan_out(layers[at.index])
            return tuple(sorted(order.index(a) for a in axes if a in order)) or last, layers[at.index].sure
        if at.kind == "copy" or at.primitive in _ELEMENTWISE or at is node:
            ports = [p for p in at.inputs if graph.nodes[p.node].outputs[p.output].shape == at.shape]
            ports.sort(key=lambda port: graph.nodes[origin(graph, port).node].kind != "operation")
        elif at.primitive == "transpose":
            permutation = list(getattr(at.operation, "params", {})["permutation"])
            order = [permutation[a] for a in order]
            ports = list(at.inputs)
        else:
            return last, True
        if not ports:
            return last, True
        at = graph.nodes[ports[0].node]
    return last, True


def _users(graph: Graph) -> dict[int, list[Node]]:
    found: dict[int, list[Node]] = {}
    for node in graph.nodes:
        if node.kind != "copy":
            for port in node.inputs:
                found.setdefault(uncopied(graph, port).node, []).append(node)
    return found


def _is_raised(graph: Graph, node: Node, users: Mapping[int, list[Node]]) -> bool:
    """Whether nothing but 1 + y is taken of it, as gelu does with a tanh."""
    taken = users.get(node.index, [])
    return bool(taken) and all(u.primitive == "add" and _constant(graph, u, 1.0) is not None for u in taken)


def _is_gate(graph: Graph, node: Node, users: Mapping[int, list[Node]]) -> bool:
    """Whether all that uses it multiplies it by something computed, perhaps after 1 - y or a slice."""
    pending, seen = [node], 0
    while pending and seen < 20:
        seen += 1
        at = pending.pop()
        for user in users.get(at.index, []):
            if user.primitive == "mul":
                if any(_value(graph, port) is not None for port in user.inputs):
                    pending.append(user)
            elif user.primitive in (
                "sub",
                "add",
                "slice",
                "squeeze",
                "split",
                "reshape",
                "convert_element_type",
            ):
                pending.append(user)
            else:
                return False
    return bool(users.get(node.index))

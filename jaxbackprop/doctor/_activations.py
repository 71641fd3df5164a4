"""The activations of a graph: JAX's functions, this package's operators, or written out by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

from jaxbackprop.graph import ComputationGraph, Node, Port
from jaxbackprop.graph.tracing import PrimitiveOperation

from ._dependence import origin, uncopied
from ._layers import Layer, fan_out

Kind = Literal["sigmoid", "tanh", "hardtanh", "relu"]

_BY_NAME: dict[str, Kind] = {
    "tanh": "tanh",
    "logistic": "sigmoid",
    "sigmoid": "sigmoid",
    "hardtanh": "hardtanh",
    "relu": "relu",
    "relu6": "relu",
}
# A sigmoid or tanh in the scope of one of these is a part of it, not an activation of its own.
_COMPOSITES = frozenset("silu swish gelu mish softplus log_sigmoid logaddexp hard_swish hard_silu".split())
_ELEMENTWISE = frozenset(
    "add add_any sub mul div max min neg convert_element_type copy select_n custom_jvp_call "
    "custom_vjp_call clamp abs exp tanh logistic square sqrt rsqrt integer_pow reduce_precision".split()
)
# What may stand between a gate and the product that it gates, such as 1 - y or a slice.
_BEFORE_GATING = frozenset("sub add slice squeeze split reshape convert_element_type".split())
# The steps of 1 / (1 + exp(-x)), each with those that may stand before it.
_STEPS_OF_LOGISTIC = {"div": ("add", "exp", "neg"), "add": ("exp",), "exp": ("neg",)}
_CLIPS = ("min", "max", "select_n")
_STEPS_AT_MOST = 100
_GATE_USES_AT_MOST = 20


@dataclasses.dataclass(frozen=True)
class Activation:
    """A nonlinearity that may saturate or die.

    Attributes:
        node: the node.
        kind: what it computes.
        units: axes of its result that are units, each with weights of its own; the others are examples.
        sure: whether it is known which axes are which; else units and examples may be the other way round.
        bound: of a hardtanh: where it is cut off.
        gate: whether its result multiplies something.
        operand: where its argument was made.
    """

    node: Node
    kind: Kind
    units: tuple[int, ...]
    sure: bool
    bound: float
    gate: bool
    operand: Port


def activations_of(graph: ComputationGraph, layers: Mapping[int, Layer]) -> dict[int, Activation]:
    """The activations that a gradient flows through, by the node's index."""
    users = _users(graph)
    found = {}
    for node in graph.nodes:
        if node.kind != "operation" or not any(node.active) or not node.shape:
            continue
        kind, bound = _kind(graph, node)
        if kind is None or not _COMPOSITES.isdisjoint(node.scope) or _is_part_of_gelu(graph, node, users):
            continue
        units, sure = _units(graph, node, layers)
        gate, operand = _is_gate(graph, node, users), _operand(graph, node)
        found[node.index] = Activation(node, kind, units, sure, bound, gate, operand)
    return found


# ---- what a node computes ---------------------------------------------------------------------------------


def _kind(graph: ComputationGraph, node: Node) -> tuple[Kind | None, float]:
    """The kind of activation, and the bound of a hardtanh; None where it is no activation."""
    if node.label in _BY_NAME:
        return _BY_NAME[node.label], 1.0
    if node.primitive == "max" and _position_of(graph, node, 0.0) is not None:
        return "relu", 1.0
    if node.primitive == "select_n":
        return _selected(graph, node), 1.0
    if node.primitive == "div" and _is_logistic(graph, node):
        return "sigmoid", 1.0
    bound = _clip_bound(graph, node)
    return (None, 1.0) if bound is None else ("hardtanh", bound)


def _constant(graph: ComputationGraph, port: Port) -> float | None:
    """The number that a value is everywhere, if it is a constant."""
    node = _maker(graph, port)
    if node.kind != "constant" or np.size(node.value) != 1:
        return None
    return float(np.asarray(node.value, np.float64).reshape(()))


def _position_of(graph: ComputationGraph, node: Node, number: float) -> int | None:
    """The position of the operand that is this number everywhere."""
    return next((i for i, port in enumerate(node.inputs) if _constant(graph, port) == number), None)


def _maker(graph: ComputationGraph, port: Port) -> Node:
    return graph.nodes[origin(graph, port).node]


def _is_logistic(graph: ComputationGraph, node: Node) -> bool:
    """Whether a quotient is 1 / (1 + exp(...))."""
    below = _maker(graph, node.inputs[1])
    if _constant(graph, node.inputs[0]) != 1.0 or below.primitive != "add":
        return False
    one = _position_of(graph, below, 1.0)
    return one is not None and _maker(graph, below.inputs[1 - one]).primitive == "exp"


def _selected(graph: ComputationGraph, node: Node) -> Kind | None:
    """The activation that a select_n is: where(x > 0, x, 0), or the outer one of jax.nn.hard_tanh."""
    if "hard_tanh" in node.scope:
        # where(x > 1, 1, where(x < -1, -1, x))
        return "hardtanh" if _maker(graph, node.inputs[1]).primitive == "select_n" else None
    if len(node.inputs) != 3:
        return None
    test = _maker(graph, node.inputs[0])
    # select_n takes the first case where the test is false.
    for case, signs in ((1, ("gt", "ge")), (2, ("lt", "le"))):
        if _constant(graph, node.inputs[case]) == 0.0 and test.primitive in signs:
            kept = origin(graph, node.inputs[3 - case])
            if _constant(graph, test.inputs[1]) == 0.0 and origin(graph, test.inputs[0]) == kept:
                return "relu"
    return None


def _clip_bound(graph: ComputationGraph, node: Node) -> float | None:
    """The c of min(c, max(-c, x)), max(-c, min(c, x)) or clamp(-c, x, c)."""
    if node.primitive == "clamp":
        low, high = _constant(graph, node.inputs[0]), _constant(graph, node.inputs[2])
    elif node.primitive in ("min", "max"):
        inner = next((_maker(graph, p) for p in node.inputs if _constant(graph, p) is None), node)
        if {node.primitive, inner.primitive} != {"min", "max"}:
            return None
        bounds = [[c for p in n.inputs if (c := _constant(graph, p)) is not None] for n in (node, inner)]
        if not all(bounds):
            return None
        low, high = min(map(min, bounds)), max(map(max, bounds))
    else:
        return None
    return high if low is not None and high is not None and low == -high and high > 0 else None


# ---- its argument, its units and its uses -----------------------------------------------------------------


def _operand(graph: ComputationGraph, node: Node) -> Port:
    """Where the argument of an activation was made; one that is written out has several steps."""
    while True:
        varying = [p for p in node.inputs if graph.nodes[p.node].outputs[p.output].shape == node.shape]
        floats = [p for p in varying if any(graph.nodes[p.node].active) and _constant(graph, p) is None]
        port = uncopied(graph, (floats or list(node.inputs))[0])
        below = graph.nodes[port.node]
        is_step = below.primitive in _STEPS_OF_LOGISTIC.get(node.primitive or "", ())
        is_step |= node.primitive in _CLIPS and below.primitive in _CLIPS
        is_exp_of_minus = node.primitive == "exp" and below.primitive == "neg"
        if not (is_exp_of_minus or (is_step and below.scope == node.scope)):
            return port
        node = below


def _units(graph: ComputationGraph, node: Node, layers: Mapping[int, Layer]) -> tuple[tuple[int, ...], bool]:
    """The axes of units, followed back to the layer that made them; the last axis where none is found."""
    last, order = (len(node.shape) - 1,), list(range(len(node.shape)))
    at = node
    for _ in range(_STEPS_AT_MOST):
        if at.index in layers:
            axes = fan_out(layers[at.index])
            return tuple(sorted(order.index(a) for a in axes if a in order)) or last, layers[at.index].sure
        if at.kind == "copy" or at.primitive in _ELEMENTWISE or at is node:
            ports = [p for p in at.inputs if graph.nodes[p.node].outputs[p.output].shape == at.shape]
            ports.sort(key=lambda port: _maker(graph, port).kind != "operation")
        elif at.primitive == "transpose" and isinstance(at.operation, PrimitiveOperation):
            order = [at.operation.params["permutation"][a] for a in order]
            ports = list(at.inputs)
        else:
            return last, True
        if not ports:
            return last, True
        at = graph.nodes[ports[0].node]
    return last, True


def _users(graph: ComputationGraph) -> dict[int, list[Node]]:
    """The nodes that use each node's results, looking through copies."""
    found: dict[int, list[Node]] = {}
    for node in graph.nodes:
        if node.kind != "copy":
            for port in node.inputs:
                found.setdefault(uncopied(graph, port).node, []).append(node)
    return found


def _is_part_of_gelu(graph: ComputationGraph, node: Node, users: Mapping[int, list[Node]]) -> bool:
    """Whether every use of it is 1 + y, as of the tanh in gelu."""
    uses = users.get(node.index, [])
    return bool(uses) and all(u.primitive == "add" and _position_of(graph, u, 1.0) is not None for u in uses)


def _is_gate(graph: ComputationGraph, node: Node, users: Mapping[int, list[Node]]) -> bool:
    """Whether every use multiplies it by a computed value, perhaps after 1 - y or a slice."""
    pending, seen = [node], 0
    while pending and seen < _GATE_USES_AT_MOST:
        seen += 1
        for user in users.get(pending.pop().index, []):
            if user.primitive == "mul":
                if any(_constant(graph, port) is not None for port in user.inputs):
                    pending.append(user)
            elif user.primitive in _BEFORE_GATING:
                pending.append(user)
            else:
                return False
    return bool(users.get(node.index))

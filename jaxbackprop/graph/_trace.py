"""A program of JAX, as a computation graph.

How JAX writes its programs down (jaxprs, and the parameters of calls, loops and branches) is no promise of
JAX and differs between releases: this module alone reads it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._graph import ADDER, ROUTER, Graph, Node, Port, Source
from ._jaxpr import binder, is_literal, literal, opened, spec
from ._operations import (
    CondOperation,
    CustomJvpOperation,
    CustomVjpOperation,
    Described,
    PrimitiveOperation,
    RematOperation,
    ScanOperation,
    WhileOperation,
)
from ._operators import describe_rule
from ._rules import BLOCKED, RULES
from ._sources import Frame, callers, scope_of, user_frames

# ---- equations into nodes ---------------------------------------------------------------------------------

_INLINED = {"jit", "pjit", "closed_call", "core_call", "xla_call", "custom_lin_call"}


def build(
    jaxpr: Any,
    active: Sequence[bool],
    *,
    names: Sequence[str] | None = None,
    name: str = "",
    keep_all: bool = False,
) -> Graph:
    """The graph of a jaxpr.

    Args:
        jaxpr: closed or not.
        active: which of its arguments a gradient flows back to.
        names: of its arguments.
        name: of the graph.
        keep_all: keeps nodes that no result depends on.
    """
    builder = _Builder()
    inner, consts = opened(jaxpr)
    count = len(inner.invars)
    args = [
        builder.input(names[i] if names else f"x{i}" if count > 1 else "x", var.aval, flows)
        for i, (var, flows) in enumerate(zip(inner.invars, active, strict=True))
    ]
    outputs = builder.inline(inner, consts, args, ())
    return builder.graph(name or _function_name(inner) or "f", outputs, keep_all)


@dataclasses.dataclass
class _Value:
    """A value on the way to becoming a port: where it comes from, and whether a gradient flows through it."""

    node: int
    output: int
    active: bool


class _Builder:
    """Collects nodes in order; copies come in at the end, when it is known who uses what."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._inputs: list[list[_Value]] = []
        self._effects: set[int] = set()

    def input(self, name: str, aval: Any, active: bool) -> _Value:
        return self._add(Node(0, name, "input", name, None, (), (spec(aval),), active=(active,)), [])[0]

    def constant(self, value: Any, aval: Any) -> _Value:
        node = Node(0, "constant", "constant", "constant", None, (), (spec(aval),), (), (False,), value=value)
        return self._add(node, [])[0]

    def inline(
        self,
        jaxpr: Any,
        consts: Sequence[Any],
        args: Sequence[_Value],
        scope: tuple[str, ...],
        called: Sequence[Frame] = (),
    ) -> list[_Value]:
        known: dict[Any, _Value] = dict(zip(jaxpr.invars, args, strict=True))
        constants = dict(zip(jaxpr.constvars, consts, strict=True))

        def read(atom: Any) -> _Value:
            if is_literal(atom):
                return self.constant(literal(atom), atom.aval)
            if atom not in known:
                known[atom] = self.constant(constants[atom], atom.aval)
            return known[atom]

        for equation in jaxpr.eqns:
            operands = [read(atom) for atom in equation.invars]
            here = scope + scope_of(equation)
            frames = user_frames(equation, called, _function_file(jaxpr))
            if equation.primitive.name in _INLINED:
                inner, inner_consts = opened(equation.params.get("jaxpr") or equation.params["call_jaxpr"])
                named = equation.params.get("name") or ""
                within = (*here, named) if named else here
                results = self.inline(inner, inner_consts, operands, within, frames)
            else:
                source = Source(*frames[0]) if frames else None
                results = self._equation(equation, operands, here, source)
            known.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(
        self, equation: Any, operands: list[_Value], scope: tuple[str, ...], source: Source | None
    ) -> list[_Value]:
        flows = tuple(value.active for value in operands)
        made = [spec(var.aval) for var in equation.outvars]
        structure = _STRUCTURES.get(equation.primitive.name)
        what = (structure or _primitive)(equation, flows, source)
        floats = [jnp.issubdtype(shape.dtype, jnp.inexact) for shape in made]
        active = tuple(a and f for a, f in zip(what.active, floats, strict=True))
        node = Node(
            0,
            what.name or what.label,
            "operation",
            what.label,
            equation.primitive.name,
            (),
            tuple(made),
            flows if any(active) else (False,) * len(flows),
            active,
            what.gate,
            what.formula,
            source,
            scope,
            what.operation,
        )
        if getattr(equation, "effects", None):
            self._effects.add(len(self._nodes))
        return self._add(node, operands)

    def _add(self, node: Node, operands: list[_Value]) -> list[_Value]:
        index = len(self._nodes)
        self._nodes.append(node)
        self._inputs.append(operands)
        return [_Value(index, k, active) for k, active in enumerate(node.active)]

    def graph(self, name: str, outputs: Sequence[_Value], keep_all: bool) -> Graph:
        """The frozen graph: without what no result needs, and with a copy wherever a gradient adds up."""
        needed = self._needed(outputs, keep_all)
        uses: dict[tuple[int, int], int] = {}
        # A gradient comes back along every use; from where none is taken, none comes.
        taken = [
            v
            for i in needed
            for v, flows in zip(self._inputs[i], self._nodes[i].active_inputs, strict=True)
            if flows
        ] + [v for v in outputs if v.active]
        for value in taken:
            uses[value.node, value.output] = uses.get((value.node, value.output), 0) + 1
        nodes: list[Node] = []
        ports: dict[tuple[int, int], Iterator[Port]] = {}
        plain: dict[tuple[int, int], Port] = {}
        numbered = _Numbering()

        def port(value: _Value, flows: bool) -> Port:
            key = value.node, value.output
            return next(ports[key]) if flows and key in ports else plain[key]

        for i in needed:
            node, index = self._nodes[i], len(nodes)
            wired = tuple(
                port(v, flows) for v, flows in zip(self._inputs[i], node.active_inputs or (), strict=True)
            )
            nodes.append(
                dataclasses.replace(node, index=index, name=numbered.unique(node.name), inputs=wired)
            )
            for k, shape in enumerate(node.outputs):
                plain[i, k] = Port(index, k)
                count = uses.get((i, k), 0)
                if count > 1:
                    copy = Node(
                        len(nodes),
                        numbered.unique("copy"),
                        "copy",
                        "copy",
                        None,
                        (Port(index, k),),
                        (shape,) * count,
                        (True,),
                        (True,) * count,
                        ADDER,
                        "dx = " + " + ".join(f"dy{j}" for j in range(count)) if count <= 4 else "dx = Σ dy",
                        node.source,
                        node.scope,
                    )
                    nodes.append(copy)
                    ports[i, k] = iter([Port(copy.index, j) for j in range(count)])
        ends = tuple(port(value, value.active) for value in outputs)
        return Graph(name, tuple(nodes), ends)

    def _needed(self, outputs: Sequence[_Value], keep_all: bool) -> list[int]:
        if keep_all:
            return list(range(len(self._nodes)))
        needed = {i for i, node in enumerate(self._nodes) if node.kind == "input"} | set(self._effects)
        needed.update(value.node for value in outputs)
        for i in range(len(self._nodes) - 1, -1, -1):
            if i in needed:
                needed.update(value.node for value in self._inputs[i])
        return sorted(needed)


class _Numbering:
    """Names that occur once: tanh, tanh_2, tanh_3."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def unique(self, name: str) -> str:
        count = self._counts.get(name, 0) + 1
        while (chosen := name if count == 1 else f"{name}_{count}") in self._taken:
            count += 1
        self._counts[name] = count
        self._taken.add(chosen)
        return chosen


def _primitive(equation: Any, flows: tuple[bool, ...], source: Source | None) -> Described:
    name = equation.primitive.name
    rule = RULES.get(name)
    operation = PrimitiveOperation(
        equation.primitive,
        binder(equation),
        equation.params,
        [spec(atom.aval) for atom in equation.invars],
        [spec(var.aval) for var in equation.outvars],
        flows,
        source,
    )
    active = any(flows) and name not in BLOCKED
    return Described(
        name,
        operation,
        (active,) * len(equation.outvars),
        None if rule is None else rule.gate,
        None if rule is None else rule.formula,
    )


# ---- calls, loops and branches ----------------------------------------------------------------------------


def _call(equation: Any, flows: tuple[bool, ...], source: Source | None) -> Described:
    """A checkpointed function."""
    body = equation.params["jaxpr"] if "jaxpr" in equation.params else equation.params["call_jaxpr"]
    operation = RematOperation(
        build(body, flows),
        flows,
        equation.params.get("policy"),
        bool(equation.params.get("prevent_cse", True)),
    )
    return Described(
        "checkpoint", operation, operation.active, None, "computes its values again, then as its body does"
    )


def _custom_jvp(equation: Any, flows: tuple[bool, ...], source: Source | None) -> Described:
    params = equation.params
    body, _ = opened(params["call_jaxpr"])
    label = _function_name(body) or "custom_jvp"
    plain = build(params["call_jaxpr"], (False,) * len(flows))
    program = None
    if any(flows):
        _, jvp = _functions(equation)
        program, given = _jvp_program(equation, flows, jvp)
    else:
        given = ()
    operation = CustomJvpOperation(plain, program, given, flows)
    return Described(
        label,
        operation,
        (any(flows),) * len(equation.outvars),
        None,
        f"its own tangent program, swept backward ({label})",
    )


def _jvp_program(equation: Any, flows: tuple[bool, ...], jvp: Any) -> tuple[Graph, tuple[int, ...]]:
    """The program of primals and tangents that a custom JVP rule stands for; which operands have tangents."""
    from jax.custom_derivatives import SymbolicZero

    avals = [atom.aval for atom in equation.invars]
    count = len(avals)
    given = tuple(i for i, f in enumerate(flows) if f)
    symbolic = equation.params.get("symbolic_zeros", False)
    has_tangent: list[bool] = []

    def run(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        known = dict(zip(given, tangents, strict=True))

        def tangent(i: int) -> Any:
            if i in known:
                return known[i]
            if symbolic:
                return SymbolicZero(avals[i].to_tangent_aval())
            return _zero_tangent(avals[i])

        out = jvp.call_wrapped(*primals, *(tangent(i) for i in range(count)))
        half = len(out) // 2
        flowing = [not _is_zero(t) and not _is_float0(t) for t in out[half:]]
        has_tangent[:] = flowing
        return list(out[:half]), [t for t, f in zip(out[half:], flowing, strict=True) if f]

    shapes = [_shape_of(aval) for aval in avals]
    jaxpr = jax.make_jaxpr(run)(shapes, [shapes[i] for i in given])
    graph = build(jaxpr, [False] * count + [True] * len(given))
    # One port a primal result, then one a result: where it has no tangent, none.
    ports = iter(graph.outputs[len(has_tangent) :])
    tangents = tuple(next(ports) if f else None for f in has_tangent)
    return dataclasses.replace(graph, structure=tangents), given


def _shape_of(aval: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=getattr(aval, "weak_type", False))


def _zero_tangent(aval: Any) -> Any:
    if jnp.issubdtype(aval.dtype, jnp.inexact):
        return jnp.zeros(aval.shape, aval.dtype)
    return np.zeros(aval.shape, jax.dtypes.float0)


def _is_zero(value: Any) -> bool:
    return type(value).__name__ in ("Zero", "SymbolicZero")


def _is_float0(value: Any) -> bool:
    return getattr(value, "dtype", None) == jax.dtypes.float0


def _functions(equation: Any) -> tuple[Any, ...]:
    """The functions among an equation's parameters."""
    given = equation.primitive.get_bind_params(equation.params)
    if isinstance(given, tuple):
        return tuple(given[0])
    return tuple(given["subfuns"])


def _custom_vjp(equation: Any, flows: tuple[bool, ...], source: Source | None) -> Described:
    params = equation.params
    _, forward, backward = _functions(equation)
    inner, _ = opened(params["call_jaxpr"])
    written = getattr(getattr(params["bwd"], "debug_info", None), "func_name", "") or "its rule"
    label, formula = describe_rule(_function_name(inner) or "custom_vjp", written, callers(equation))
    avals = [atom.aval for atom in equation.invars]

    def forward_with_residuals(operands: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        pairs = [part for pair in zip(operands, flows, strict=True) for part in pair]
        out = list(forward.call_wrapped(*pairs))
        _, residual_tree, forwarded = params["out_trees"]()
        kept = iter(out[: residual_tree.num_leaves - sum(f is not None for f in forwarded)])
        residuals = [next(kept) if f is None else operands[f] for f in forwarded]
        return out[len(out) - len(equation.outvars) :], residuals

    def pull_back(residuals: Sequence[Any], dys: Sequence[Any]) -> list[Any]:
        cotangents = [
            _upstream(var.aval, dy, params.get("symbolic_zeros", False))
            for var, dy in zip(equation.outvars, dys, strict=True)
        ]
        out = backward.call_wrapped(*residuals, *cotangents)
        # Newer releases give a log beside the gradients.
        if isinstance(out, tuple) and len(out) == 2 and isinstance(out[0], list):
            out = out[0]
        return [
            None if not flows[i] or _is_zero(d) or _is_float0(d) else jnp.asarray(d).astype(avals[i].dtype)
            for i, d in enumerate(out)
        ]

    operation = CustomVjpOperation(
        label, build(params["call_jaxpr"], (False,) * len(flows)), forward_with_residuals, pull_back, flows
    )
    return Described(label, operation, (any(flows),) * len(equation.outvars), None, formula)


def _upstream(aval: Any, dy: Any, symbolic: bool) -> Any:
    from jax.custom_derivatives import SymbolicZero

    if dy is not None:
        return dy
    if symbolic:
        return SymbolicZero(aval.to_tangent_aval())
    return _zero_tangent(aval)


def _scan(equation: Any, flows: tuple[bool, ...], source: Source | None) -> Described:
    params = equation.params
    body = params["jaxpr"]
    inner, _ = opened(body)
    # How many operands are carried, the ranks tell: releases differ in the parameters.
    stacked_in = [
        len(outer.aval.shape) > len(var.aval.shape)
        for outer, var in zip(equation.invars, inner.invars, strict=True)
    ]
    stacked_out = [
        len(outer.aval.shape) > len(var.aval.shape)
        for outer, var in zip(equation.outvars, inner.outvars, strict=True)
    ]
    carries = stacked_out.count(False)
    consts = stacked_in.count(False) - carries
    flowing = list(flows)
    while True:
        graph = build(body, flowing)
        out = [graph.nodes[port.node].active[port.output] for port in graph.outputs]
        grown = [
            flows_in or (consts <= i < consts + carries and out[i - consts])
            for i, flows_in in enumerate(flowing)
        ]
        if grown == flowing:
            break
        flowing = grown
    operation = ScanOperation(
        graph,
        consts=consts,
        carries=carries,
        length=params["length"],
        reverse=params["reverse"],
        unroll=params.get("unroll", 1),
        flows=flows,
    )
    active = tuple(flowing[consts + i] if i < carries else out[i] for i in range(len(equation.outvars)))
    return Described(
        f"scan × {params['length']}",
        operation,
        active,
        formula="its body's gradient, from the last step back",
        name="scan",
    )


def _cond(equation: Any, flows: tuple[bool, ...], source: Source | None) -> Described:
    branches = [build(branch, flows[1:]) for branch in equation.params["branches"]]
    outs = [[g.nodes[port.node].active[port.output] for port in g.outputs] for g in branches]
    active = tuple(any(column) for column in zip(*outs, strict=True))
    operation = CondOperation(tuple(branches), flows[1:], active)
    return Described("cond", operation, active, ROUTER, "as the branch that was taken")


def _while(equation: Any, flows: tuple[bool, ...], source: Source | None) -> Described:
    first = equation.params["cond_nconsts"]
    body = build(equation.params["body_jaxpr"], (False,) * (len(flows) - first))
    operation = WhileOperation(binder(equation), (body,), source)
    active = any(flows)
    return Described("while", operation, (active,) * len(equation.outvars), None, None)


_STRUCTURES: dict[str, Callable[..., Any]] = {
    "remat": _call,
    "remat2": _call,
    "checkpoint": _call,
    "custom_jvp_call": _custom_jvp,
    "custom_vjp_call": _custom_vjp,
    "custom_vjp_call_jaxpr": _custom_vjp,
    "scan": _scan,
    "cond": _cond,
    "while": _while,
}


def _function_name(jaxpr: Any) -> str:
    """Name of the function that a jaxpr was traced from."""
    return getattr(getattr(jaxpr, "debug_info", None), "func_name", "") or ""


def _function_file(jaxpr: Any) -> str:
    """The file of the function that a jaxpr was traced from."""
    said = getattr(getattr(jaxpr, "debug_info", None), "func_src_info", "") or ""
    return said.rpartition(" at ")[2].rpartition(":")[0]

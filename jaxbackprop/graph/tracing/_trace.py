"""A program of JAX, as a computation graph.

How JAX writes its programs down (jaxprs, and the parameters of calls, loops and branches) is no promise of
JAX and differs between releases: this module alone reads it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._jaxpr import binder, function_name, opened, scan_parts, spec

from .._graph import ROUTER, Graph, Source, numbered_names
from ..rules import BLOCKED, RULES
from ._builder import Builder, Called, Describe
from ._operators import describe_rule
from ._sources import callers
from .operations import (
    CondOperation,
    CustomJvpOperation,
    CustomVjpOperation,
    Described,
    PrimitiveOperation,
    RematOperation,
    ScanOperation,
    WhileOperation,
)


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
    builder = Builder(_called, _described)
    inner, consts = opened(jaxpr)
    named = names or numbered_names(len(inner.invars))
    args = [
        builder.input(name, var.aval, flows)
        for name, var, flows in zip(named, inner.invars, active, strict=True)
    ]
    outputs = builder.inline(inner, consts, args, ())
    return builder.graph(name or function_name(inner) or "f", outputs, keep_all)


_CALLS = {"jit", "pjit", "closed_call", "core_call"}


def _called(equation: Any) -> Called | None:
    if equation.primitive.name not in _CALLS:
        return None
    params = equation.params
    return params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"], params.get("name") or ""


def _described(equation: Any, flows: tuple[bool, ...], source: Source | None) -> Described:
    return _STRUCTURES.get(equation.primitive.name, _primitive)(equation, flows, source)


def _name(equation: Any) -> str:
    """What the rule is entered as. From JAX 0.12 on some operations share a primitive, which holds theirs."""
    shared = equation.params.get("_prim")
    return equation.primitive.name if shared is None else type(shared).__name__


def _primitive(equation: Any, flows: tuple[bool, ...], source: Source | None) -> Described:
    name = _name(equation)
    rule = RULES.get(name)
    operation = PrimitiveOperation(
        name,
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


def _checkpoint(equation: Any, flows: tuple[bool, ...], source: Source | None) -> Described:
    """A checkpointed function."""
    operation = RematOperation(
        build(equation.params["jaxpr"], flows),
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
    label = function_name(body) or "custom_jvp"
    plain = build(params["call_jaxpr"], (False,) * len(flows))
    program = _jvp_program(equation, flows) if any(flows) else None
    operation = CustomJvpOperation(plain, program, flows)
    return Described(
        label,
        operation,
        (any(flows),) * len(equation.outvars),
        None,
        f"its own tangent program, swept backward ({label})",
    )


def _jvp_program(equation: Any, flows: tuple[bool, ...]) -> Graph:
    """The program of primals and tangents that a custom JVP rule stands for."""
    from jax.custom_derivatives import SymbolicZero

    _, jvp = _functions(equation)
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
    return dataclasses.replace(graph, structure=tangents)


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
    label, formula = describe_rule(function_name(inner) or "custom_vjp", written, callers(equation))
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
    _, consts, carries, *_ = scan_parts(equation)
    flowing = list(flows)
    while True:
        graph = build(params["jaxpr"], flowing)
        out = graph.active
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
    active = tuple(any(column) for column in zip(*(branch.active for branch in branches), strict=True))
    operation = CondOperation(tuple(branches), flows[1:], active)
    return Described("cond", operation, active, ROUTER, "as the branch that was taken")


def _while(equation: Any, flows: tuple[bool, ...], source: Source | None) -> Described:
    first = equation.params["cond_nconsts"]
    body = build(equation.params["body_jaxpr"], (False,) * (len(flows) - first))
    operation = WhileOperation(binder(equation), (body,), source)
    active = any(flows)
    return Described("while", operation, (active,) * len(equation.outvars), None, None)


_STRUCTURES: dict[str, Describe] = {
    "remat": _checkpoint,
    "remat2": _checkpoint,
    "checkpoint": _checkpoint,
    "custom_jvp_call": _custom_jvp,
    "custom_vjp_call": _custom_vjp,
    "scan": _scan,
    "cond": _cond,
    "while": _while,
}

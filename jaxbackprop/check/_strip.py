"""A function without the custom VJPs inside it, and what else its program shows.

A function built on custom VJPs brings no oracle of its own, but each of them carries the plain forward it was
written for: with these in their places autodiff has nothing but its own rules to follow. The shape of a jaxpr
is no promise of jax; this module reads it, and runs where a custom VJP hides anywhere in a program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_INLINE = {"jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint", "custom_vjp_call"}


def strip(f: Callable[..., Any]) -> Callable[..., Any]:
    """F with every custom VJP replaced by the plain function under it; custom JVPs stay.

    Args:
        f: traceable, of arrays and pytrees of them.
    """

    def plain(*args: Any) -> Any:
        leaves, treedef = jax.tree.flatten(args)
        arrays = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array | np.ndarray | np.generic)]

        def of_arrays(*values: Any) -> Any:
            filled = list(leaves)
            for i, value in zip(arrays, values, strict=True):
                filled[i] = value
            return f(*jax.tree.unflatten(treedef, filled))

        values = [leaves[i] for i in arrays]
        closed, shape = jax.make_jaxpr(of_arrays, return_shape=True)(*values)
        if not _has_custom_vjp(closed):
            return f(*args)
        return jax.tree.unflatten(jax.tree.structure(shape), _evaluate(closed, values))

    return plain


def stops_gradients(jaxpr: Any) -> bool:
    """Whether a program has a stop_gradient: what it says of a derivative is then no difference quotient."""
    return any(
        equation.primitive.name == "stop_gradient" or any(map(stops_gradients, _inner(equation)))
        for equation in _open(jaxpr)[0].eqns
    )


def _open(jaxpr: Any) -> tuple[Any, tuple[Any, ...]]:
    return getattr(jaxpr, "jaxpr", jaxpr), tuple(getattr(jaxpr, "consts", ()))


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns")


def _inner(equation: Any) -> Iterator[Any]:
    for value in equation.params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if _is_jaxpr(one):
                yield one


def _has_custom_vjp(jaxpr: Any) -> bool:
    return any(
        equation.primitive.name == "custom_vjp_call" or any(map(_has_custom_vjp, _inner(equation)))
        for equation in jaxpr.eqns
    )


def _evaluate(jaxpr: Any, args: list[Any]) -> list[Any]:
    opened, consts = _open(jaxpr)
    known: dict[Any, Any] = dict(zip(opened.constvars, consts, strict=True))
    known.update(zip(opened.invars, args, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if hasattr(atom, "val") else known[atom]

    for equation in opened.eqns:
        inputs = [read(atom) for atom in equation.invars]
        inner = list(_inner(equation))
        if equation.primitive.name in _INLINE and len(inner) == 1:
            outputs = _evaluate(inner[0], inputs)
        elif equation.primitive.name == "shard_map" and any(map(_has_custom_vjp, inner)):
            outputs = _sharded(equation, inner[0])(*inputs)
        else:
            params = equation.params
            if any(map(_has_custom_vjp, inner)):
                params = {name: _stripped(value) for name, value in params.items()}
            # Functions among the parameters are arguments of bind; older releases give them apart.
            given = equation.primitive.get_bind_params(params)
            functions, params = given if isinstance(given, tuple) else ((), given)
            bound = equation.primitive.bind(*functions, *inputs, **params)
            outputs = bound if equation.primitive.multiple_results else [bound]
        known.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in opened.outvars]


def _sharded(equation: Any, inner: Any) -> Callable[..., Any]:
    """A shard_map equation anew, with its body stripped: the names of its axes are known only inside."""
    params = equation.params
    mesh = params["mesh"]
    return jax.shard_map(
        lambda *args: tuple(_evaluate(inner, list(args))),
        mesh=mesh,
        in_specs=tuple(params["in_specs"]),
        out_specs=tuple(params["out_specs"]),
        check_vma=params["check_vma"],
        axis_names=params.get("newly_manual_axes", set(mesh.axis_names)),
    )


def _stripped(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(map(_stripped, value)) if any(map(_is_jaxpr, value)) else value
    if not _is_jaxpr(value):
        return value
    opened, _ = _open(value)
    shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in opened.invars]
    return jax.make_jaxpr(lambda *args: _evaluate(value, list(args)))(*shapes)


def coarsest(jaxpr: Any) -> Any:
    """The coarsest float dtype to which a program of float64 arguments rounds on its way; None if none."""
    found: list[Any] = []

    def walk(part: Any) -> None:
        for equation in _open(part)[0].eqns:
            if any(_is_wide(atom) for atom in equation.invars):
                found.extend(
                    v.aval.dtype
                    for v in equation.outvars
                    if hasattr(v.aval, "dtype")
                    and jnp.issubdtype(v.aval.dtype, jnp.floating)
                    and jnp.finfo(v.aval.dtype).bits < 64
                )
            for inner in _inner(equation):
                walk(inner)

    walk(jaxpr)
    return max(found, key=lambda dtype: float(jnp.finfo(dtype).eps), default=None)


def tolerance(jaxpr: Any) -> float:
    """The largest tolerance at which a loop of a program stops; 0 where none depends on floats."""
    found = [0.0]

    def of_condition(part: Any) -> None:
        for equation in _open(part)[0].eqns:
            if equation.primitive.name in ("lt", "le", "gt", "ge") and jnp.issubdtype(
                equation.invars[0].aval.dtype, jnp.floating
            ):
                bounds = [float(a.val) for a in equation.invars if hasattr(a, "val") and np.ndim(a.val) == 0]
                found.extend(b for b in bounds or [1e-6] if 0 < b < 0.1)
            for inner in _inner(equation):
                of_condition(inner)

    def walk(part: Any) -> None:
        for equation in _open(part)[0].eqns:
            if equation.primitive.name == "while":
                of_condition(equation.params["cond_jaxpr"])
            for inner in _inner(equation):
                walk(inner)

    walk(jaxpr)
    return max(found)


def _is_wide(atom: Any) -> bool:
    return getattr(getattr(atom, "aval", None), "dtype", None) == jnp.float64

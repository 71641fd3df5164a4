"""A function without the custom rules inside it, and what else its program shows.

A function built on custom VJPs and JVPs brings no oracle of its own, but each of them carries the plain
forward it was written for: with these in their places autodiff has nothing but its own rules to follow.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop import _jaxpr as jaxprs

_INLINE = jaxprs.CALLS - {"custom_jvp_call"}


def strip(f: Callable[..., Any]) -> Callable[..., Any]:
    """A traceable function with every custom rule replaced by the plain function under it.

    The custom JVPs of JAX's own functions stay: they are autodiff's own matter, and right where their primal
    functions are not differentiable.
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
        if not _is_ruled(closed):
            return f(*args)
        return jax.tree.unflatten(jax.tree.structure(shape), _evaluate(closed, values))

    return plain


def without_vjps(f: Callable[..., Any]) -> Callable[..., Any]:
    """A traceable function of arrays whose custom VJPs outside of loops are replaced; custom JVPs stay."""

    def replaced(equation: Any, operands: list[Any]) -> Sequence[Any]:
        if equation.primitive.name in _INLINE:
            return evaluate(jaxprs.call_body(equation), operands)
        return jaxprs.binder(equation)(*operands)

    def evaluate(jaxpr: Any, args: Sequence[Any]) -> list[Any]:
        return jaxprs.interpret(jaxpr, args, replaced, lambda value, dtype: value)

    return lambda *args: evaluate(jax.make_jaxpr(f)(*args), args)


def holds(jaxpr: Any, primitive: str) -> bool:
    """Whether a program has an equation of a primitive."""
    return any(equation.primitive.name == primitive for equation in jaxprs.all_equations(jaxpr))


def donates(jaxpr: Any) -> bool:
    """Whether a jit inside a program gives buffers of its arguments away."""
    return any(any(equation.params.get("donated_invars", ())) for equation in jaxprs.all_equations(jaxpr))


def _is_ruled(jaxpr: Any) -> bool:
    """Whether a program has a rule that somebody wrote by hand."""
    return any(
        equation.primitive.name == "custom_vjp_call" or _is_own_jvp(equation)
        for equation in jaxprs.all_equations(jaxpr)
    )


def _is_own_jvp(equation: Any) -> bool:
    """Whether an equation is a custom JVP other than that of a function of JAX."""
    body = jaxprs.call_body(equation)
    if body is None or equation.primitive.name != "custom_jvp_call":
        return False
    primal, _ = jaxprs.opened(body)
    return not _is_of_jax(jaxprs.function_file(primal), jaxprs.function_name(primal))


@functools.cache
def _is_of_jax(file: str, name: str) -> bool:
    """Whether JAX has a custom JVP of this name in this file: its other functions may be given any rule."""
    if not file.startswith(str(Path(jax.__file__).parent)):
        return False
    modules = (m for m in list(sys.modules.values()) if getattr(m, "__file__", None) == file)
    found = getattr(next(modules, None), name, None)
    while found is not None and not isinstance(found, jax.custom_jvp):
        found = getattr(found, "__wrapped__", None)
    return found is not None


def _evaluate(jaxpr: Any, args: Sequence[Any]) -> list[Any]:
    return jaxprs.interpret(jaxpr, args, _results, lambda value, dtype: value)


def _results(equation: Any, operands: list[Any]) -> Sequence[Any]:
    name = equation.primitive.name
    if name in _INLINE or _is_own_jvp(equation):
        return _evaluate(jaxprs.call_body(equation), operands)
    hidden = any(map(_is_ruled, jaxprs.bodies(equation)))
    if name == "shard_map" and hidden:
        # The names of its axes are known only inside: it is mapped anew, with its body stripped.
        body = next(jaxprs.bodies(equation))
        return jaxprs.shard_mapped(equation, lambda *args: tuple(_evaluate(body, args)))(*operands)
    changed = {name: _stripped(value) for name, value in equation.params.items()} if hidden else {}
    return jaxprs.binder(equation, **changed)(*operands)


def _stripped(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(map(_stripped, value)) if any(map(jaxprs.is_jaxpr, value)) else value
    if not jaxprs.is_jaxpr(value):
        return value
    shapes = [jaxprs.spec(v) for v in jaxprs.opened(value)[0].invars]
    return jax.make_jaxpr(lambda *args: _evaluate(value, args))(*shapes)


def coarsest(jaxpr: Any) -> Any:
    """The coarsest float dtype to which a program of float64 arguments rounds on its way; None if none."""
    found = (
        v.aval.dtype
        for equation in jaxprs.all_equations(jaxpr)
        if any(getattr(atom.aval, "dtype", None) in (jnp.float64, jnp.complex128) for atom in equation.invars)
        for v in equation.outvars
        if hasattr(v.aval, "dtype")
        and jnp.issubdtype(v.aval.dtype, jnp.inexact)
        and jnp.finfo(v.aval.dtype).bits < 64
    )
    return max(found, key=lambda dtype: float(jnp.finfo(dtype).eps), default=None)


def tolerance(jaxpr: Any) -> float:
    """The largest tolerance at which a loop of a program stops; 0 where none depends on floats."""
    found = [0.0]
    for loop in jaxprs.all_equations(jaxpr):
        if loop.primitive.name != "while":
            continue
        for equation in jaxprs.all_equations(jaxprs.while_parts(loop).condition):
            compares = equation.primitive.name in ("lt", "le", "gt", "ge")
            if compares and jnp.issubdtype(jaxprs.spec(equation.invars[0]).dtype, jnp.floating):
                bounds = [float(a.val) for a in equation.invars if hasattr(a, "val") and np.ndim(a.val) == 0]
                found.extend(b for b in bounds or [1e-6] if 0 < b < 0.1)
    return max(found)

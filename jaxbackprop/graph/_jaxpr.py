"""How a jaxpr is read and computed: its equations, their operands, and which of them are needed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np


def opened(jaxpr: Any) -> tuple[Any, Sequence[Any]]:
    """A jaxpr, closed or not, and the values of its constants."""
    return getattr(jaxpr, "jaxpr", jaxpr), getattr(jaxpr, "consts", ())


def is_literal(atom: Any) -> bool:
    """Whether an operand is written into the equation."""
    return hasattr(atom, "val")


def literal(atom: Any) -> Any:
    """The value of an operand that is written into the equation."""
    return np.asarray(atom.val, atom.aval.dtype)


def binder(equation: Any) -> Callable[..., list[Any]]:
    """What computes an equation's results from its operands."""
    given = equation.primitive.get_bind_params(equation.params)
    functions, params = given if isinstance(given, tuple) else ((), given)
    context = getattr(equation, "ctx", None)

    def bind(*operands: Any) -> list[Any]:
        with contextlib.nullcontext() if context is None else context.manager:
            results = equation.primitive.bind(*functions, *operands, **params)
        return list(results) if equation.primitive.multiple_results else [results]

    return bind


def evaluate(equations: Sequence[Any], known: dict[Any, Any]) -> None:
    """Computes equations one after another, from known values and into them."""
    for equation in equations:
        operands = [literal(a) if is_literal(a) else known[a] for a in equation.invars]
        known.update(zip(equation.outvars, binder(equation)(*operands), strict=True))


def live(equations: Sequence[Any], wanted: set[Any]) -> list[Any]:
    """The equations that lead to the wanted variables, in order."""
    wanted, kept = set(wanted), []
    for equation in reversed(equations):
        if wanted.intersection(equation.outvars):
            kept.append(equation)
            wanted.update(atom for atom in equation.invars if not is_literal(atom))
    return kept[::-1]


def spec(aval: Any) -> jax.ShapeDtypeStruct:
    """Shape and dtype of an abstract value."""
    return jax.ShapeDtypeStruct(tuple(aval.shape), aval.dtype)


def is_array_leaf(leaf: Any) -> bool:
    """Whether a leaf of a function's arguments is traced; else the function gets it as it is."""
    return isinstance(leaf, bool | int | float | complex) or (
        hasattr(leaf, "shape") and hasattr(leaf, "dtype")
    )

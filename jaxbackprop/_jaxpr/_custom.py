"""The rules that functions bring: custom JVPs and VJPs, as plain functions of lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from ._program import Equation, function_name

JvpRule = Callable[[Sequence[Any], Sequence[Any]], tuple[list[Any], list[Any]]]
"""(operands, tangents) -> (results, tangents); among the tangents None where there is none."""


def jvp_rule(equation: Equation) -> JvpRule:
    """The rule of a custom JVP."""
    _, rule = _functions(equation)
    symbolic = equation.params.get("symbolic_zeros", False)
    avals = [atom.aval for atom in equation.invars]

    def pushed(operands: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        given = [_or_zero(aval, t, symbolic) for aval, t in zip(avals, tangents, strict=True)]
        out = rule.call_wrapped(*operands, *given)
        half = len(out) // 2
        return list(out[:half]), [None if _is_zero(t) else t for t in out[half:]]

    return pushed


class VjpRule(NamedTuple):
    """The two halves of a custom VJP.

    Attributes:
        forward: operands -> (results, residuals).
        backward: (residuals, upstream gradients) -> one gradient an operand; None among the gradients, and
            among those it is given, where there is none.
        name: of the user's backward function; "" where it is not known.
    """

    forward: Callable[[Sequence[Any]], tuple[list[Any], list[Any]]]
    backward: Callable[[Sequence[Any], Sequence[Any]], list[Any]]
    name: str


def vjp_rule(equation: Equation, differentiated: Sequence[bool]) -> VjpRule:
    """The rule of a custom VJP.

    Args:
        equation: its call.
        differentiated: by which operands: the forward rule is told where they are perturbed.
    """
    params = equation.params
    _, forward, backward = _functions(equation)
    symbolic = params.get("symbolic_zeros", False)

    def ahead(operands: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        pairs = [part for pair in zip(operands, differentiated, strict=True) for part in pair]
        out = list(forward.call_wrapped(*pairs))
        # Residuals stand before the results, but for those that are operands handed through.
        _, tree, forwarded = params["out_trees"]()
        computed = iter(out[: tree.num_leaves - sum(f is not None for f in forwarded)])
        residuals = [next(computed) if f is None else operands[f] for f in forwarded]
        return out[len(out) - len(equation.outvars) :], residuals

    def back(residuals: Sequence[Any], dys: Sequence[Any]) -> list[Any]:
        given = [_or_zero(var.aval, dy, symbolic) for var, dy in zip(equation.outvars, dys, strict=True)]
        out = backward.call_wrapped(*residuals, *given)
        # Newer releases give a log beside the gradients.
        if isinstance(out, tuple) and len(out) == 2 and isinstance(out[0], list):
            out = out[0]
        return [None if _is_zero(d) else d for d in out]

    return VjpRule(ahead, back, function_name(params["bwd"]))


def _functions(equation: Equation) -> tuple[Any, ...]:
    """The functions among an equation's parameters."""
    given = equation.primitive.get_bind_params(equation.params)
    return tuple(given[0] if isinstance(given, tuple) else given["subfuns"])


def _or_zero(aval: Any, tangent: Any, symbolic: bool) -> Any:
    """A tangent or cotangent as a custom rule takes it."""
    if tangent is not None:
        return tangent
    if symbolic:
        return SymbolicZero(aval.to_tangent_aval())
    if jnp.issubdtype(aval.dtype, jnp.inexact):
        return jnp.zeros(aval.shape, aval.dtype)
    return np.zeros(aval.shape, jax.dtypes.float0)


def _is_zero(tangent: Any) -> bool:
    """Whether a rule says that there is no tangent. JAX's own class of zeros is private."""
    named = type(tangent).__name__ in ("Zero", "SymbolicZero")
    return named or getattr(tangent, "dtype", None) == jax.dtypes.float0

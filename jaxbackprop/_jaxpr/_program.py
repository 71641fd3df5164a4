"""Programs: their calls, what they hold inside, and how to walk and evaluate them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard, cast

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Var
from jax.extend.core import Literal as Literal

Program = Jaxpr | ClosedJaxpr
"""A program, closed or not; from JAX 0.12 on these are one class."""

Equation = JaxprEqn
Atom = Var | Literal

# Calls: one program stands for the equation.
JITTED = frozenset({"jit", "pjit", "closed_call", "core_call"})
CHECKPOINTED = frozenset({"remat", "remat2", "checkpoint"})
CUSTOM = frozenset({"custom_jvp_call", "custom_vjp_call"})
CALLS = JITTED | CHECKPOINTED | CUSTOM

Handler = Callable[[Equation, list[Any]], Sequence[Any]]


def opened(jaxpr: Program) -> tuple[Jaxpr, Sequence[Any]]:
    """A jaxpr, closed or not, and the values of its constants."""
    inner: Jaxpr = getattr(jaxpr, "jaxpr", jaxpr)  # type: ignore[arg-type]
    return inner, getattr(jaxpr, "consts", ())


def is_literal(atom: Atom) -> TypeGuard[Literal]:
    """Whether an operand is written into the equation."""
    return isinstance(atom, Literal)


def literal(atom: Literal) -> np.ndarray:
    """The value of an operand that is written into the equation."""
    return np.asarray(atom.val, spec(atom).dtype)


def read(known: dict[Var, Any], atom: Atom) -> Any:
    """The value of an operand."""
    return literal(atom) if isinstance(atom, Literal) else known[atom]


def call_body(equation: Equation) -> Program | None:
    """The program that stands for a call; None where the equation is none."""
    return main_body(equation) if equation.primitive.name in CALLS else None


def main_body(equation: Equation) -> Program | None:
    """The program that a call, a scan or a shard_map runs; None where there is none, or several."""
    for name in ("jaxpr", "call_jaxpr"):
        if is_jaxpr(equation.params.get(name)):
            return equation.params[name]
    return None


def call_name(equation: Equation) -> str:
    """The name of the function that a jitted call was compiled from; "" where it has none."""
    return equation.params.get("name") or ""


def operation_name(equation: Equation) -> str:
    """What an equation does. From JAX 0.12 on some operations share a primitive, which holds theirs."""
    shared = equation.params.get("_prim")
    return equation.primitive.name if shared is None else type(shared).__name__


def bodies(equation: Equation) -> Iterator[Program]:
    """Every program among an equation's parameters: a call's, a loop's, all branches."""
    for value in equation.params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if is_jaxpr(one):
                yield one


def is_jaxpr(value: Any) -> TypeGuard[Program]:
    """Whether a parameter is a program, closed or not."""
    return hasattr(value, "eqns")


def all_equations(jaxpr: Program) -> Iterator[Equation]:
    """Every equation of a program and of the programs inside it, outer ones first."""
    for equation in opened(jaxpr)[0].eqns:
        yield equation
        for body in bodies(equation):
            yield from all_equations(body)


def interpret(
    jaxpr: Program,
    arguments: Sequence[Any],
    handle: Handler,
    constant: Callable[[Any, Any], Any] = lambda value, dtype: np.asarray(value, dtype),
) -> list[Any]:
    """Walks a program in order, handing each equation on.

    Args:
        jaxpr: closed or not.
        arguments: whatever the handler computes with, one for each of the program's.
        handle: (equation, operands) -> results.
        constant: (value, dtype) -> what stands for a number written into the program, and for its constants
            (dtype None).

    Returns:
        What stands for the program's results.
    """
    program, consts = opened(jaxpr)
    known: dict[Var, Any] = {
        var: constant(value, None) for var, value in zip(program.constvars, consts, strict=True)
    }
    known.update(zip(program.invars, arguments, strict=True))

    def operand(atom: Atom) -> Any:
        return constant(atom.val, spec(atom).dtype) if isinstance(atom, Literal) else known[atom]

    for equation in program.eqns:
        results = handle(equation, [operand(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, results, strict=True))
    return [operand(atom) for atom in program.outvars]


def binder(equation: Equation, **changed: Any) -> Callable[..., list[Any]]:
    """What computes an equation's results from its operands, with some parameters changed."""
    # Functions among the parameters are arguments of bind; older releases give them apart.
    given = equation.primitive.get_bind_params({**equation.params, **changed})
    functions, params = given if isinstance(given, tuple) else ((), given)
    context = getattr(equation, "ctx", None)

    def bind(*operands: Any) -> list[Any]:
        with contextlib.nullcontext() if context is None else context.manager:
            results = equation.primitive.bind(*functions, *operands, **params)
        return list(results) if equation.primitive.multiple_results else [results]

    return bind


def evaluate(equations: Sequence[Equation], known: dict[Var, Any]) -> None:
    """Computes equations one after another, from known values and into them."""
    for equation in equations:
        operands = [read(known, atom) for atom in equation.invars]
        known.update(zip(equation.outvars, binder(equation)(*operands), strict=True))


def live(equations: Sequence[Equation], wanted: set[Var]) -> list[Equation]:
    """The equations that lead to the wanted variables, in order."""
    wanted, kept = set(wanted), []
    for equation in reversed(equations):
        if wanted.intersection(equation.outvars):
            kept.append(equation)
            wanted.update(atom for atom in equation.invars if not isinstance(atom, Literal))
    return kept[::-1]


def spec(atom: Atom) -> jax.ShapeDtypeStruct:
    """Shape and dtype of an operand or a result."""
    aval = cast(jax.core.ShapedArray, atom.aval)
    return jax.ShapeDtypeStruct(tuple(aval.shape), aval.dtype)


def is_array_leaf(leaf: Any) -> bool:
    """Whether a leaf of a function's arguments is traced; else the function gets it as it is."""
    return isinstance(leaf, bool | int | float | complex) or (
        hasattr(leaf, "shape") and hasattr(leaf, "dtype")
    )


def function_name(jaxpr: Any) -> str:
    """Name of the function that a jaxpr was traced from."""
    return getattr(getattr(jaxpr, "debug_info", None), "func_name", "") or ""


def function_file(jaxpr: Program) -> str:
    """The file of the function that a jaxpr was traced from."""
    said = getattr(getattr(jaxpr, "debug_info", None), "func_src_info", "") or ""
    return said.rpartition(" at ")[2].rpartition(":")[0]

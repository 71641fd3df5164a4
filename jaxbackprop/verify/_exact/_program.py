"""A program of JAX, evaluated with long numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import float64_on_cpu
from jaxbackprop._jaxpr import (
    binder,
    branches,
    call_body,
    function_name,
    interpret,
    opened,
    scan_parts,
    while_parts,
)
from jaxbackprop.check import Layout

from ._moves import MOVES, NOTHING, SHAPES, SUMS, moved, summed
from ._numbers import LOCK, arithmetic, each, is_exact, literals_to_exact, to_exact
from ._rules import RULES


class NoExactRule(NotImplementedError):
    """A primitive for which nobody has said what it does to long numbers."""


class ExactProgram:
    """A function's value and vector-Jacobian product, traced once in float64 and evaluated exactly.

    That is: the program that JAX runs in float64, but with more than fifty digits and no limit to exponents.
    Of constants that are written into it, the usual irrational ones count as what they stand for, all others
    as the float64 numbers they are. Points differ in their differentiable leaves alone.
    """

    def __init__(self, f: Callable[..., Any], layout: Layout):
        function = layout.of_floats(f)

        def pull(floats: tuple[jax.Array, ...], dy: tuple[jax.Array, ...]) -> tuple[tuple, tuple]:
            y, pullback = jax.vjp(function, *floats)
            return y, pullback(dy)

        with float64_on_cpu():
            floats = tuple(jnp.asarray(leaf, jnp.float64) for leaf in layout.floats_of(layout.leaves))
            self.results = jax.eval_shape(function, *floats)
            self._closed = jax.make_jaxpr(pull)(floats, self.results)

    def run(
        self, floats: Sequence[np.ndarray], dy: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Value and gradient.

        Args:
            floats: the differentiable leaves, floats of any format.
            dy: one cotangent a float result.

        Returns:
            The float results, and one gradient a differentiable leaf: arrays of long numbers.
        """
        found = evaluate(self._closed, *floats, *dy)
        return found[: len(self.results)], found[len(self.results) :]


def evaluate(jaxpr: Any, *args: Any) -> list[Any]:
    """What a jaxpr (of jax.make_jaxpr, in float64) gives.

    Args:
        jaxpr: closed.
        args: its arguments, flat. Floats of any format, taken exactly; integers, bools and keys.

    Returns:
        The results, flat; floats as arrays of `mpmath.mpf`, all else as JAX computes it.

    Raises:
        NoExactRule: where a primitive has no rule.
    """
    with LOCK, float64_on_cpu():
        return _evaluate(jaxpr, [to_exact(arg) if _is_float(arg) else arg for arg in args])


def _is_float(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return isinstance(value, float) or (dtype is not None and jnp.issubdtype(dtype, jnp.floating))


def _is_key(value: Any) -> bool:
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def _evaluate(jaxpr: Any, args: Sequence[Any]) -> list[Any]:
    return interpret(jaxpr, args, _results, _constant)


def _constant(value: Any, dtype: Any = None) -> Any:
    if is_exact(value):
        return value
    if _is_float(value):
        return literals_to_exact(value)
    return value if dtype is None else np.asarray(value, dtype)


def _results(equation: Any, operands: list[Any]) -> Sequence[Any]:
    name = equation.primitive.name
    if (inner := call_body(equation)) is not None:
        function = _APPROXIMATED.get(function_name(opened(inner)[0]))
        return _evaluate(inner, operands) if function is None else [each(function(), *operands)]
    if name in _STRUCTURES:
        return _STRUCTURES[name](equation, operands)
    if name in SHAPES and not any(map(_is_key, operands)):
        return [SHAPES[name](equation.params, *map(np.asarray, operands))]
    if not any(map(is_exact, operands)):
        return [to_exact(y) if _is_float(y) else y for y in binder(equation)(*operands)]
    if name in RULES:
        return [RULES[name](equation.params, *operands)]
    if name in MOVES:
        filled = equation.params.get("fill_value")
        bind = binder(equation) if filled is None else binder(equation, fill_value=np.nan)
        return moved(bind, operands, np.nan if filled is None else filled)
    if name in SUMS:
        return summed(binder(equation), operands)
    if name in NOTHING:
        return operands
    raise NoExactRule(f"no rule says what {name!r} does to numbers of more than fifty digits")


# Functions whose float64 program is exact to float64 alone.
_APPROXIMATED: dict[str, Callable[[], Callable[..., Any]]] = {
    "exp_neg_sq": lambda: lambda x: arithmetic().exp(-x * x)
}


# ---- loops and branches -----------------------------------------------------------------------------------


def _cond(equation: Any, operands: list[Any]) -> Sequence[Any]:
    which, *rest = operands
    programs = branches(equation)
    return _evaluate(programs[int(np.clip(int(which), 0, len(programs) - 1))], rest)


def _scan(equation: Any, operands: list[Any]) -> Sequence[Any]:
    body, consts, carries, length, reverse, _ = scan_parts(equation)
    fixed, carry, along = operands[:consts], operands[consts : consts + carries], operands[consts + carries :]
    order = range(length)[::-1] if reverse else range(length)
    steps: list[Sequence[Any]] = [()] * length
    for t in order:
        out = _evaluate(body, [*fixed, *carry, *(_at(x, t) for x in along)])
        carry, steps[t] = out[:carries], out[carries:]
    shapes = [atom.aval for atom in equation.outvars[carries:]]
    ys = [_stacked([step[i] for step in steps], shape) for i, shape in enumerate(shapes)]
    return [*carry, *ys]


def _at(x: Any, t: int) -> Any:
    return x[t, ...] if isinstance(x, np.ndarray) else x[t]


def _stacked(steps: list[Any], shape: Any) -> Any:
    if not steps:
        zeros = jnp.zeros(shape.shape, shape.dtype)
        return to_exact(zeros) if _is_float(zeros) else zeros
    return np.stack(steps) if isinstance(steps[0], np.ndarray) else jnp.stack(steps)


def _while(equation: Any, operands: list[Any]) -> Sequence[Any]:
    ask, body, first, then = while_parts(equation)
    to_ask, to_do, state = operands[:first], operands[first : first + then], operands[first + then :]
    while _evaluate(ask, [*to_ask, *state])[0]:
        state = _evaluate(body, [*to_do, *state])
    return state


_STRUCTURES: dict[str, Callable[[Any, list[Any]], Sequence[Any]]] = {
    "cond": _cond,
    "scan": _scan,
    "while": _while,
}

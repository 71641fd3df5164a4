"""JAX's primitives on arrays of long numbers.

A rule takes the parameters of an equation and its operands, and gives the result. Operands that are floats in
the program are long numbers here; integers, bools and keys are what they are.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ._numbers import arithmetic, boxed, each

Rule = Callable[..., Any]
_Params = Mapping[str, Any]


# ---- entry by entry ---------------------------------------------------------------------------------------


def _quotient(a: Any, b: Any) -> Any:
    """What floats give, also where b is 0 (of no sign here, taken for positive)."""
    if b:
        return a / b
    m = arithmetic()
    return a * m.inf if a else m.nan


def _real(f: Callable[..., Any]) -> Callable[..., Any]:
    """F with nan where it would leave the real line."""

    def real(*args: Any) -> Any:
        m = arithmetic()
        try:
            y = f(*args)
        except ZeroDivisionError:
            return m.inf
        return y if isinstance(y, m.mpf) else m.nan

    return real


def _larger(a: Any, b: Any) -> Any:
    return a if a >= b or a != a else b


def _smaller(a: Any, b: Any) -> Any:
    return a if a <= b or a != a else b


def _logistic(x: Any) -> Any:
    return 1 / (1 + arithmetic().exp(-x))


def _integer_power(x: Any, n: int) -> Any:
    return x**n if n >= 0 else _quotient(arithmetic().one, x**-n)


def _of_mpmath(name: str) -> Callable[[], Callable[..., Any]]:
    return lambda: _real(getattr(arithmetic(), name))


# By primitive, how to find the function of one number; found late, for mpmath is imported late.
_FUNCTIONS: dict[str, Callable[[], Callable[..., Any]]] = {
    **{
        name: _of_mpmath(name) for name in ("exp", "expm1", "log1p", "sqrt", "cbrt", "erf", "erfc", "digamma")
    },
    **{
        name: _of_mpmath(name)
        for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan")
    },
    **{name: _of_mpmath(name) for name in ("asinh", "acosh", "atanh", "atan2", "floor", "ceil", "sign")},
    "log": _of_mpmath("ln"),
    "erf_inv": _of_mpmath("erfinv"),
    "lgamma": lambda: lambda x: arithmetic().loggamma(x).real,
    "exp2": lambda: lambda x: arithmetic().power(2, x),
    "pow": lambda: _real(operator.pow),
    "logistic": lambda: _logistic,
    "rsqrt": lambda: lambda x: _quotient(arithmetic().one, _real(arithmetic().sqrt)(x)),
    "abs": lambda: abs,
    "neg": lambda: operator.neg,
    "square": lambda: lambda x: x * x,
    "one_minus_square": lambda: lambda x: 1 - x * x,
    "add": lambda: operator.add,
    "add_any": lambda: operator.add,
    "sub": lambda: operator.sub,
    "mul": lambda: operator.mul,
    "div": lambda: _quotient,
    "max": lambda: _larger,
    "min": lambda: _smaller,
}

_QUESTIONS: dict[str, Callable[..., Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "is_finite": lambda x: arithmetic().isfinite(x),
}


def _entrywise(name: str) -> Rule:
    return lambda params, *x: each(_FUNCTIONS[name](), *x)


def _question(name: str) -> Rule:
    return lambda params, *x: each(_QUESTIONS[name], *x).astype(bool)


def _integer_pow(params: _Params, x: Any) -> Any:
    return each(lambda entry: _integer_power(entry, params["y"]), x)


def _clamp(params: _Params, low: Any, x: Any, high: Any) -> Any:
    return each(_smaller, each(_larger, x, low), high)


def _select_n(params: _Params, which: Any, *cases: Any) -> Any:
    chosen = cases[0]
    for number, case in enumerate(cases[1:], 1):
        chosen = np.where(np.asarray(which) == number, case, chosen)
    return chosen


def _convert(params: _Params, x: Any) -> Any:
    dtype = params["new_dtype"]
    if jnp.issubdtype(dtype, jnp.floating):
        return x
    return each(bool if dtype == np.bool_ else int, x).astype(dtype)


# ---- along axes -------------------------------------------------------------------------------------------


def _reduce_sum(params: _Params, x: Any) -> Any:
    return boxed(np.add.reduce(x, axis=tuple(params["axes"]), initial=arithmetic().zero))


def _extreme(better: Callable[..., Any], sign: int) -> Rule:
    """One axis after the other, the last first, so that the numbers of those to come hold."""

    def rule(params: _Params, x: Any) -> Any:
        start = sign * arithmetic().inf
        pick = np.frompyfunc(better, 2, 1)
        for axis in sorted(params["axes"], reverse=True):
            x = boxed(pick.reduce(x, axis=axis, initial=start))
        return x

    return rule


def _reduce_prod(params: _Params, x: Any) -> Any:
    return boxed(np.multiply.reduce(x, axis=tuple(params["axes"]), initial=arithmetic().one))


def _winner(find: Callable[..., Any]) -> Rule:
    def rule(params: _Params, x: Any) -> Any:
        (axis,) = params["axes"]
        return np.asarray(find(x, axis)).astype(params["index_dtype"])

    return rule


def _running(f: Callable[..., Any]) -> Rule:
    def rule(params: _Params, x: Any) -> Any:
        axis = params["axis"]
        along = np.flip(x, axis) if params["reverse"] else x
        sums = np.frompyfunc(f, 2, 1).accumulate(along, axis=axis)
        return np.flip(sums, axis) if params["reverse"] else sums

    return rule


def _dot_general(params: _Params, x: Any, y: Any) -> Any:
    (x_summed, y_summed), (x_batch, y_batch) = params["dimension_numbers"]
    x_free = [axis for axis in range(x.ndim) if axis not in (*x_summed, *x_batch)]
    y_free = [axis for axis in range(y.ndim) if axis not in (*y_summed, *y_batch)]
    batch = [x.shape[axis] for axis in x_batch]
    summed = int(np.prod([x.shape[axis] for axis in x_summed], initial=1))
    rows, columns = [x.shape[axis] for axis in x_free], [y.shape[axis] for axis in y_free]
    left = x.transpose(*x_batch, *x_free, *x_summed).reshape(*batch, -1 if x.size else 0, summed)
    right = y.transpose(*y_batch, *y_summed, *y_free).reshape(*batch, summed, -1 if y.size else 0)
    if not summed or not left.size or not right.size:
        return np.full((*batch, *rows, *columns), arithmetic().zero)
    return np.matmul(left, right).reshape(*batch, *rows, *columns)


RULES: dict[str, Rule] = {
    **{name: _entrywise(name) for name in _FUNCTIONS},
    **{name: _question(name) for name in _QUESTIONS},
    "integer_pow": _integer_pow,
    "clamp": _clamp,
    "select_n": _select_n,
    "convert_element_type": _convert,
    "reduce_sum": _reduce_sum,
    "reduce_prod": _reduce_prod,
    "reduce_max": _extreme(_larger, -1),
    "reduce_min": _extreme(_smaller, 1),
    "argmax": _winner(np.argmax),
    "argmin": _winner(np.argmin),
    "cumsum": _running(operator.add),
    "cumprod": _running(operator.mul),
    "cummax": _running(_larger),
    "cummin": _running(_smaller),
    "dot_general": _dot_general,
}

"""How many multiplications one equation takes, from its shapes and parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp

from jaxbackprop._jaxpr import Atom, Equation, spec

ELEMENTARY = 8
"""Multiplications in an elementary function: about what the polynomials take that compute it."""

SPECIAL = 20
"""In a special function: XLA's erf takes 13 in float32 and above 40 in float64."""


def equation_cost(equation: Equation, operands: Sequence[float | None]) -> int:
    """The multiplications of an equation that holds no program.

    Args:
        equation: which.
        operands: the numbers that are known among its operands.
    """
    name = equation.primitive.name
    if not equation.outvars or not jnp.issubdtype(spec(equation.outvars[0]).dtype, jnp.inexact):
        return 0
    if name in ("mul", "div", "rem"):
        factors = operands if name == "mul" else operands[1:]
        return 0 if any(map(_is_power_of_2, factors)) else size(equation.outvars[0])
    if name in _AN_ENTRY:
        return _AN_ENTRY[name] * size(equation.outvars[0])
    return _WHOLE[name](equation) if name in _WHOLE else 0


def size(atom: Atom) -> int:
    """The number of entries."""
    return math.prod(spec(atom).shape)


def _is_power_of_2(value: float | None) -> bool:
    return value is not None and abs(math.frexp(value)[0]) == 0.5


def _integer_pow(equation: Equation) -> int:
    exponent = equation.params["y"]
    squarings = max(abs(exponent).bit_length() - 1, 0)
    products = max(abs(exponent).bit_count() - 1, 0)
    return (squarings + products + (exponent < 0)) * size(equation.outvars[0])


def _dot_general(equation: Equation) -> int:
    contracted = equation.params["dimension_numbers"][0][0]
    summed = math.prod(spec(equation.invars[0]).shape[axis] for axis in contracted)
    return size(equation.outvars[0]) * summed


def _conv_general_dilated(equation: Equation) -> int:
    params = equation.params
    x, w, y = (
        [spec(atom).shape[axis] for axis in axes]
        for atom, axes in zip((*equation.invars, *equation.outvars), params["dimension_numbers"], strict=True)
    )
    names = ("window_strides", "padding", "lhs_dilation", "rhs_dilation")
    settings = zip(*(params[name] for name in names), strict=True)
    pairs = [
        _pairs(outputs, taps, entries, stride, hole, apart, low)
        for outputs, taps, entries, (stride, (low, _), hole, apart) in zip(
            y[2:], w[2:], x[2:], settings, strict=True
        )
    ]
    return y[0] * y[1] * w[1] * math.prod(pairs)


def _pairs(outputs: int, taps: int, entries: int, stride: int, hole: int, apart: int, low: int) -> int:
    """Along an axis, the pairs (o, t) for which o stride + t apart = j hole + low for an entry j."""
    if outputs < taps:
        outputs, stride, taps, apart = taps, apart, outputs, stride
    common = math.gcd(stride, hole)
    period = hole // common
    inverse = pow(stride // common, -1, period)
    count = 0
    for t in range(taps):
        ahead = low - t * apart
        if ahead % common:
            continue
        # o stride - ahead must be one of 0, hole, ..., (entries - 1) hole: every period-th o.
        least = max(0, -(-ahead // stride))
        most = min(outputs - 1, (ahead + (entries - 1) * hole) // stride)
        first = least + (ahead // common * inverse - least) % period
        count += max(0, (most - first) // period + 1)
    return count


def _argument(equation: Equation) -> int:
    return size(equation.invars[0])


def _scatter_mul(equation: Equation) -> int:
    return size(equation.invars[2])


def _cholesky(equation: Equation) -> int:
    *batch, n, _ = spec(equation.outvars[0]).shape
    # Column j: j squares and a root on the diagonal; j products and a quotient in each entry below.
    return math.prod(batch) * sum(j + ELEMENTARY + (n - 1 - j) * (j + 1) for j in range(n))


def _triangular_solve(equation: Equation) -> int:
    n = spec(equation.invars[0]).shape[-1]
    # Entry j: j products with those before it, and a quotient.
    each = (n - 1) / 2 if equation.params["unit_diagonal"] else (n + 1) / 2
    return int(size(equation.outvars[0]) * each)


_ELEMENTARY = (
    "acos acosh asin asinh atan atan2 atanh cbrt cos cosh exp exp2 expm1 log log1p logistic rsqrt sin sinh "
    "sqrt tan tanh"
)

_SPECIAL = (
    "bessel_i0e bessel_i1e digamma erf erf_inv erfc igamma igamma_grad_a igammac lgamma polygamma "
    "random_gamma_grad regularized_incomplete_beta zeta"
)

_AN_ENTRY: dict[str, int] = {
    "square": 1,
    "pow": 2 * ELEMENTARY + 1,
    "cumlogsumexp": 2 * ELEMENTARY,
    **dict.fromkeys(_ELEMENTARY.split(), ELEMENTARY),
    **dict.fromkeys(_SPECIAL.split(), SPECIAL),
}

_WHOLE: dict[str, Callable[[Equation], int]] = {
    "integer_pow": _integer_pow,
    "dot_general": _dot_general,
    "conv_general_dilated": _conv_general_dilated,
    "reduce_prod": _argument,
    "cumprod": _argument,
    "scatter-mul": _scatter_mul,
    "cholesky": _cholesky,
    "triangular_solve": _triangular_solve,
}

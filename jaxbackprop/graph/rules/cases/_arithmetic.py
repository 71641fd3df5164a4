"""Arithmetic, entry by entry."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import primitives

from jaxbackprop._specs import integer, real

from ._complex import number, parts, single
from ._row import Row

A = real((3, 4))
POSITIVE = real((3, 4), 0.5, 3.0)
ROW, COLUMN, NUMBER = real((1, 4)), real((3, 1)), real(())
EMPTY = real((0, 4))

# Operands that tie, and signed zeros.
TIES = (np.array([1.0, 2.0, 0.0, -0.0, -1.0]), np.array([1.0, 1.0, 0.0, 0.0, 3.0]))
KINKS = np.array([-1.0, -0.0, 0.0, 2.0])
LIMITS = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])


def _whole_power(a: jax.Array, n: jax.Array) -> jax.Array:
    # JAX's own rule mixes the two dtypes.
    with jax.numpy_dtype_promotion("standard"):
        return lax.pow(a, n)


def _rounded_to_half(x: jax.Array) -> jax.Array:
    return lax.reduce_precision(x, exponent_bits=5, mantissa_bits=10)


def _with_blocked(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """The product of x and a function of it that no gradient flows through."""
    return x * function(x)


def _through_bits(x: jax.Array) -> jax.Array:
    bits = lax.bitcast_convert_type(x, jnp.uint8)
    return x * lax.bitcast_convert_type(bits, x.dtype)


def _three_of(x: jax.Array, y: jax.Array, z: jax.Array, which: jax.Array) -> jax.Array:
    return lax.select_n(which, x, y, z)


def _to_another_dtype(x: jax.Array) -> jax.Array:
    return lax.convert_element_type(x, jnp.float32 if x.dtype == jnp.float16 else jnp.float16)


def _through_complex(x: jax.Array) -> jax.Array:
    x = single(x)
    z = lax.convert_element_type(x, jnp.complex128 if x.dtype == jnp.float64 else jnp.complex64)
    return lax.real(z * (2 + 3j))


def _product_in_one_dtype(a: jax.Array) -> jax.Array:
    return lax.mul(a, jnp.full(a.shape, 3, jnp.bfloat16), out_dtype=a.dtype)


def _barrier(a: jax.Array, n: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    a, n, b = lax.optimization_barrier((a, n, b))
    return a * b * n.astype(a.dtype), b


def _put(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.device_put((a, b))


def _broadcast(primitive: str, f: Callable[..., jax.Array], low: float = -3.0) -> tuple[Row, ...]:
    """Rows of a function of two operands: alike, and one of them smaller along an axis or a number."""
    full, row, column, number, empty = (
        real(spec.shape, low, 3.0) for spec in (A, ROW, COLUMN, NUMBER, EMPTY)
    )
    return (
        Row(primitive, f, (full, full)),
        Row(primitive, f, (full, row), say="b broadcast along axis 0"),
        Row(primitive, f, (row, column), say="both broadcast"),
        Row(primitive, f, (number, full), say="a a number"),
        Row(primitive, f, (full, number), say="b a number"),
        Row(primitive, f, (empty, number), say="empty"),
    )


def _clamped_between_numbers(x: jax.Array) -> jax.Array:
    low, high = jnp.asarray(-1.0, x.dtype), jnp.asarray(1.0, x.dtype)
    return lax.clamp(low, x, high)


ROWS: tuple[Row, ...] = (
    Row("neg", lax.neg, (A,)),
    *_broadcast("add", lax.add),
    Row("add_any", lambda a, b: primitives.add_jaxvals_p.bind(a, b), (A, A)),
    *_broadcast("sub", lax.sub),
    *_broadcast("mul", lax.mul),
    Row("mul", _product_in_one_dtype, (A,), say="of two dtypes"),
    *_broadcast("div", lax.div, 0.5),
    Row("div", lambda x: 1.0 / x, (POSITIVE,), say="one over b"),
    # It jumps: where a draw lies next to a jump differences say nothing.
    *(dataclasses.replace(row, smooth=not row.say) for row in _broadcast("rem", lax.rem, 0.5)),
    Row("rem", lax.rem, (real((3, 4), -9.0, 9.0), A), say="of either sign", smooth=False),
    *_broadcast("pow", lax.pow, 0.5),
    Row(
        "pow",
        _whole_power,
        (POSITIVE, integer((3, 4), -3, 4)),
        ((KINKS, np.array([0, 1, 2, 0], np.int32)), (np.zeros(4), np.array([0, 1, 2, 3], np.int32))),
        say="integers",
    ),
    Row("pow", _whole_power, (POSITIVE, integer((), 2, 4)), say="one integer"),
    Row(
        "pow",
        lambda x: lax.pow(x, jnp.full_like(x, 2.5)),
        (POSITIVE,),
        ((np.array([0.0, 1.0, 4.0]),),),
        say="a constant exponent",
    ),
    Row("pow", lambda b: lax.pow(jnp.zeros_like(b), b), (POSITIVE,), say="of zero"),
    *(
        Row("integer_pow", partial(lax.integer_pow, y=n), (POSITIVE,), special, say=f"n = {n}")
        for n, special in (
            (-3, ()),
            (-1, ((np.array([np.inf, -np.inf, 2.0]),),)),
            (1, ((KINKS,),)),
            (2, ((KINKS,),)),
            (3, ((KINKS,),)),
            (7, ()),
        )
    ),
    Row("integer_pow", lambda x: x * lax.integer_pow(x, 0), (A,), ((KINKS,),), say="n = 0"),
    Row("square", lax.square, (A,), ((KINKS,),)),
    Row("sqrt", lax.sqrt, (POSITIVE,), ((np.array([0.0, 1.0, np.inf]),),)),
    Row("rsqrt", lax.rsqrt, (POSITIVE,), ((np.array([0.0, 1.0, np.inf]),),)),
    Row("cbrt", lax.cbrt, (A,), ((np.array([0.0, 1.0, -8.0]),),)),
    *_broadcast("max", lax.max),
    Row("max", lax.max, (A, A), (TIES, (KINKS, np.array(0.0))), say="ties"),
    Row("max", lambda x: jnp.maximum(x, 0.0), (A,), ((KINKS,),), say="and 0"),
    *_broadcast("min", lax.min),
    Row("min", lax.min, (A, A), (TIES, (KINKS, np.array(0.0))), say="ties"),
    Row("abs", lax.abs, (A,), ((KINKS,),)),
    Row("abs", lambda a, b: lax.abs(number(a, b)), (A, A), ((KINKS, KINKS[::-1].copy()),), say="complex"),
    Row(
        "clamp",
        lax.clamp,
        (real((3, 4), -2.0, -0.5), A, real((3, 4), 0.5, 2.0)),
        ((np.full(5, -1.0), LIMITS, np.full(5, 1.0)), (np.full(5, 1.0), LIMITS, np.full(5, 1.0))),
    ),
    Row("clamp", _clamped_between_numbers, (A,), ((LIMITS,),), say="constants"),
    Row("select_n", lambda x, y: lax.select(x > y, x, y), (A, A)),
    Row("select_n", lambda x, y, c: lax.select_n(c > 0, x, y), (A, A, NUMBER), say="one condition"),
    Row("select_n", _three_of, (A, A, A, integer((3, 4), 0, 3)), say="three cases"),
    Row("select_n", _three_of, (A, A, A, integer((), 0, 3)), say="three cases, one condition"),
    Row("select_n", lambda x: lax.select_n(jnp.zeros(x.shape, jnp.int32), x), (A,), say="one case"),
    Row("convert_element_type", _to_another_dtype, (A,)),
    Row("convert_element_type", _through_complex, (A,), say="complex"),
    Row("reduce_precision", _rounded_to_half, (A,), smooth=False),
    Row("real", lambda a, b: lax.real(number(a, b)), (A, A)),
    Row("imag", lambda a, b: lax.imag(number(a, b)), (A, A)),
    Row("complex", lambda a, b: parts(lax.square(number(a, b))), (A, A)),
    Row("conj", lambda a, b: parts(lax.conj(number(a, b))), (A, A)),
    Row("conj", lambda x: parts(lax.conj(single(x))), (A,), say="of real numbers"),
    Row("copy", lambda x: jnp.array(x, copy=True), (A,)),
    Row("name", lambda x: checkpoint_name(x, "x"), (A,)),
    Row("optimization_barrier", _barrier, (A, integer((3, 4), 1, 5), A)),
    Row("device_put", _put, (A, A)),
    *(
        Row(name, partial(_with_blocked, function), (A,), ((KINKS,),))
        for name, function in (
            ("sign", lax.sign),
            ("floor", lax.floor),
            ("ceil", lax.ceil),
            ("round", lax.round),
            ("stop_gradient", lax.stop_gradient),
        )
    ),
    Row("bitcast_convert_type", _through_bits, (A,), smooth=False),
)

if hasattr(lax, "polynomial"):
    # What newer releases of JAX have, or can differentiate.
    newer: Any = lax
    ROWS += (
        Row("one_minus_square", newer.one_minus_square, (A,), ((KINKS,),)),
        Row("nextafter", lax.nextafter, (A, A)),
        Row("nextafter", lax.nextafter, (NUMBER, A), say="a a number"),
        Row("polynomial", lambda x, c: newer.polynomial(x, list(c)), (A, real((4,)))),
        Row("polynomial", lambda x, c, d: newer.polynomial(x, [c, d, c]), (COLUMN, ROW, A), say="broadcast"),
    )

"""Products of matrices, and what solves them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxbackprop._specs import integer, real

from ._complex import number, parts
from ._row import Row

Axes = tuple[tuple[tuple[int, ...], tuple[int, ...]], tuple[tuple[int, ...], tuple[int, ...]]]

NONE: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())


def _dot(say: str, a: tuple[int, ...], b: tuple[int, ...], axes: Axes, **settings: Any) -> Row:
    def f(a: jax.Array, b: jax.Array) -> jax.Array:
        return lax.dot_general(a, b, axes, **settings)

    return Row("dot_general", f, (real(a), real(b)), say=say)


def _wider_result(a: jax.Array, b: jax.Array) -> jax.Array:
    wide = jnp.float32 if a.dtype.itemsize == 2 else a.dtype
    return lax.dot_general(a, b, (((1,), (0,)), NONE), preferred_element_type=wide)


def _of_two_dtypes(a: jax.Array, b: jax.Array) -> jax.Array:
    other = jnp.float32 if a.dtype == jnp.float16 else jnp.float16
    return lax.dot_general(lax.convert_element_type(a, other), b, (((1,), (0,)), NONE))


def _of_integers(a: jax.Array, b: jax.Array) -> jax.Array:
    return lax.dot_general(a, b, (((1,), (0,)), NONE), preferred_element_type=b.dtype)


def _solve(left: bool, lower: bool, transpose: bool, unit: bool) -> Callable[..., Any]:
    def f(a: jax.Array, b: jax.Array) -> jax.Array:
        return lax.linalg.triangular_solve(
            a, b, left_side=left, lower=lower, transpose_a=transpose, unit_diagonal=unit
        )

    return f


def _factor(a: jax.Array) -> jax.Array:
    symmetric = jnp.matmul(a, jnp.matrix_transpose(a))
    return lax.linalg.cholesky(symmetric + jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape))


def _complex_factor(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    z = number(a, b)
    z = jnp.matmul(z, jnp.conj(jnp.matrix_transpose(z))) + jnp.eye(2, dtype=z.dtype)
    return parts(lax.linalg.cholesky(z))


# Triangles of these are far from singular.
TRIANGLE = real((3, 3), 1.0, 2.0)

ROWS: tuple[Row, ...] = (
    _dot("matrices", (3, 4), (4, 5), (((1,), (0,)), NONE)),
    _dot("a matrix and a vector", (3, 4), (4,), (((1,), (0,)), NONE)),
    _dot("vectors", (4,), (4,), (((0,), (0,)), NONE)),
    _dot("outer", (3,), (2, 2), (NONE, NONE)),
    _dot("scalars", (), (), (NONE, NONE)),
    _dot("aᵀ b", (4, 3), (4, 5), (((0,), (0,)), NONE)),
    _dot("a bᵀ", (3, 4), (5, 4), (((1,), (1,)), NONE)),
    _dot("a window's positions", (2, 3, 4), (4, 5), (((2,), (0,)), NONE)),
    _dot("attention", (2, 3, 4, 5), (2, 6, 4, 5), (((3,), (3,)), ((0, 2), (0, 2)))),
    _dot("batch axes in another order", (4, 2, 3), (5, 3, 2), (NONE, ((1, 2), (2, 1)))),
    _dot("two contracted, crosswise", (3, 2, 4, 5), (5, 6, 3), (((3, 0), (0, 2)), NONE)),
    _dot("all of one", (3, 2), (4, 2, 3, 2), (((1, 0), (1, 2)), NONE)),
    _dot("of nothing", (3, 0), (0, 2), (((1,), (0,)), NONE)),
    _dot("highest precision", (3, 4), (4, 5), (((1,), (0,)), NONE), precision=("highest", "default")),
    Row("dot_general", _wider_result, (real((3, 4)), real((4, 5))), say="wider result"),
    Row("dot_general", _of_two_dtypes, (real((3, 4)), real((4, 5))), say="of two dtypes"),
    Row("dot_general", _of_integers, (integer((3, 4), -3, 4), real((4, 2))), say="with integers"),
    Row("cholesky", _factor, (real((3, 3), -1.0, 1.0),)),
    Row("cholesky", _factor, (real((2, 2, 3, 3), -1.0, 1.0),), say="batch"),
    Row("cholesky", _complex_factor, (real((2, 2), -1.0, 1.0), real((2, 2), -1.0, 1.0)), say="complex"),
    *(
        Row("triangular_solve", _solve(left, lower, transpose, unit), (TRIANGLE, real(b)), say=say)
        for left, lower, transpose, unit, b, say in (
            (True, True, False, False, (3, 2), "a y = b, lower"),
            (True, False, False, False, (3, 4), "a y = b, upper"),
            (True, True, True, False, (3, 2), "aᵀ y = b, lower"),
            (False, True, False, False, (2, 3), "y a = b, lower"),
            (False, False, True, False, (4, 3), "y aᵀ = b, upper"),
            (True, True, False, True, (3, 2), "ones on the diagonal"),
            (False, False, False, True, (2, 3), "y a = b, ones on the diagonal"),
        )
    ),
    Row(
        "triangular_solve",
        _solve(True, True, False, False),
        (real((2, 3, 3), 1.0, 2.0), real((2, 3, 2))),
        say="batch",
    ),
)

"""Products of matrices, and what solves them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._rule import Local, rule

_Axes = tuple[Sequence[int], Sequence[int]]
_Numbers = tuple[_Axes, _Axes]
"""As lax.dot_general has them: the contracted axes of both operands, the batch's of both."""


@rule("dot_general", formula="da = dy bᵀ, db = aᵀ dy")
def _dot_general(at: Local, i: int, dy: jax.Array) -> jax.Array:
    contracted, batch = at.params["dimension_numbers"]
    other, precision = at.x[1 - i], at.params["precision"]
    mine, others = (_free(at.operands[k].ndim, contracted[k], batch[k]) for k in (i, 1 - i))
    # dy has the batch's axes, then a's free ones, then b's. Those that the other operand gave are summed.
    first = len(batch[0]) + (len(mine) if i == 0 else 0)
    summed, stacked = tuple(range(first, first + len(others))), tuple(range(len(batch[0])))
    # The other operand's contracted axes come in its own order.
    returned = tuple(contracted[i][k] for k in np.argsort(contracted[1 - i]))
    left, right, axes = dy, other, (*batch[i], *mine, *returned)
    numbers: _Numbers = ((summed, others), (stacked, tuple(batch[1 - i])))
    mirrored = (*batch[i], *returned, *mine)
    if _ordered(mirrored) and not _ordered(axes) and not isinstance(precision, lax.DotAlgorithm):
        # The other way round no transpose is needed.
        left, right, axes = other, dy, mirrored
        numbers = (numbers[0][::-1], numbers[1][::-1])
        precision = precision[::-1] if isinstance(precision, tuple) else precision
    left, right, numbers = _merged(left, right, numbers)
    product = lax.dot_general(
        left,
        right,
        numbers,
        precision=precision,
        preferred_element_type=at.params["preferred_element_type"],
    )
    if not _ordered(axes):
        product = lax.transpose(product, tuple(int(axis) for axis in np.argsort(axes)))
    return product.astype(at.operands[i].dtype)


def _merged(left: jax.Array, right: jax.Array, numbers: _Numbers) -> tuple[jax.Array, jax.Array, _Numbers]:
    """Neighbouring contracted axes as one: compilers copy an operand to contract several at once."""
    contracted, batch = numbers
    if len(contracted[0]) < 2 or any(np.any(np.diff(axes) != 1) for axes in contracted):
        return left, right, numbers
    gone = len(contracted[0]) - 1
    operands = []
    for operand, axes in ((left, contracted[0]), (right, contracted[1])):
        first, end = axes[0], axes[-1] + 1
        size = math.prod(operand.shape[first:end])
        operands.append(lax.reshape(operand, (*operand.shape[:first], size, *operand.shape[end:])))
    stacked = tuple(
        tuple(axis - gone * (axis > axes[0]) for axis in of)
        for of, axes in zip(batch, contracted, strict=True)
    )
    return operands[0], operands[1], (((contracted[0][0],), (contracted[1][0],)), (stacked[0], stacked[1]))


def _free(rank: int, contracted: Sequence[int], batch: Sequence[int]) -> tuple[int, ...]:
    """The axes of an operand that stay in the product as its own."""
    return tuple(axis for axis in range(rank) if axis not in contracted and axis not in batch)


def _ordered(axes: tuple[int, ...]) -> bool:
    return axes == tuple(range(len(axes)))


@rule("cholesky", formula="dx = y⁻ᵀ Φ(yᵀ dy) ȳ⁻¹, Φ: the lower triangle, its diagonal halved")
def _cholesky(at: Local, i: int, dy: jax.Array) -> jax.Array:
    # From y yᴴ = x: δy = y Φ(y⁻¹ δx y⁻ᴴ), and Φ is its own transpose. LAPACK leaves x above y's diagonal.
    y = jnp.tril(at.y[0])
    inner = jnp.matmul(jnp.matrix_transpose(y), dy, precision=lax.Precision.HIGHEST)
    diagonal = jnp.broadcast_to(jnp.eye(y.shape[-1], dtype=bool), y.shape)
    inner = lax.select(diagonal, inner * 0.5, jnp.tril(inner))
    inner = lax.linalg.triangular_solve(y, inner, left_side=True, lower=True, transpose_a=True)
    return lax.linalg.triangular_solve(jnp.conj(y), inner, left_side=False, lower=True)


@rule("triangular_solve", formula="db = a⁻ᵀ dy, da = -db yᵀ on the triangle (y = a⁻¹ b)")
def _triangular_solve(at: Local, i: int, dy: jax.Array) -> jax.Array:
    params = at.params
    db = lax.linalg.triangular_solve(at.x[0], dy, **{**params, "transpose_a": not params["transpose_a"]})
    if i == 1:
        return db
    y, db = at.y[0], -db
    # a y = b (or y a = b): what a gets is db yᵀ (or yᵀ db), and the transpose of that where aᵀ was solved.
    left, right = (db, y) if params["left_side"] != params["transpose_a"] else (y, db)
    if params["left_side"]:
        right = jnp.matrix_transpose(right)
    else:
        left = jnp.matrix_transpose(left)
    da = jnp.matmul(left, right, precision=lax.Precision.HIGHEST)
    skipped = 1 if params["unit_diagonal"] else 0
    return jnp.tril(da, -skipped) if params["lower"] else jnp.triu(da, skipped)

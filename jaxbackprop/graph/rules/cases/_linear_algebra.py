"""Factorizations and eigenvalues of matrices that are far from singular and whose eigenvalues are apart."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxbackprop._specs import real

from ._row import Row

SQUARE = real((3, 3), -1.0, 1.0)
BATCH = real((2, 3, 3), -1.0, 1.0)
TALL = real((4, 3), -1.0, 1.0)


def _spread(a: jax.Array) -> jax.Array:
    """Singular values and eigenvalues apart: 1, 3, 5, … are added to the diagonal."""
    rows, columns = a.shape[-2:]
    steps = jnp.arange(1.0, 2 * min(rows, columns), 2.0, dtype=a.dtype)
    own = jnp.zeros((rows, columns), a.dtype).at[jnp.arange(steps.size), jnp.arange(steps.size)].set(steps)
    return a / 4 + jnp.broadcast_to(own, a.shape)


def _symmetric(a: jax.Array) -> jax.Array:
    return _spread(a) + jnp.matrix_transpose(_spread(a))


def _eigh(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    vectors, values = lax.linalg.eigh(_symmetric(a), symmetrize_input=False)
    # Their signs are the library's choice.
    return jnp.square(vectors), values


def _svd(a: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    u, s, vt = lax.linalg.svd(_spread(a), full_matrices=False)
    return jnp.square(u), s, jnp.square(vt)


def _qr(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    q, r = lax.linalg.qr(_spread(a), full_matrices=False)
    return q, r


def _tridiagonal(below: jax.Array, middle: jax.Array, above: jax.Array, b: jax.Array) -> jax.Array:
    return lax.linalg.tridiagonal_solve(below, middle + 5, above, b)


THREE = real((4,), -1.0, 1.0)

ROWS: tuple[Row, ...] = (
    Row("lu", lambda a: lax.linalg.lu(_spread(a))[0], (SQUARE,)),
    Row("lu", lambda a: lax.linalg.lu(_spread(a))[0], (BATCH,), say="batch"),
    Row("lu", lambda a: lax.linalg.lu(_spread(a)[::-1])[0], (SQUARE,), say="rows exchanged"),
    Row("qr", _qr, (SQUARE,)),
    Row("qr", _qr, (TALL,), say="tall"),
    Row("eigh", _eigh, (SQUARE,)),
    Row("eigh", _eigh, (BATCH,), say="batch"),
    Row("svd", _svd, (SQUARE,)),
    Row("svd", _svd, (TALL,), say="tall"),
    Row("svd", _svd, (real((2, 3, 4), -1.0, 1.0),), say="wide, batch"),
    Row("svd", lambda a: lax.linalg.svd(_spread(a), compute_uv=False), (TALL,), say="values alone"),
    Row("eig", lambda a: jnp.abs(jnp.linalg.eigvals(_spread(a))), (SQUARE,)),
    Row("tridiagonal_solve", _tridiagonal, (THREE, THREE, THREE, real((4, 2)))),
)

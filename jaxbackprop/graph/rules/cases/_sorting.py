"""Sorting, and the greatest few."""

from __future__ import annotations

import jax
import numpy as np
from jax import lax

from jaxbackprop._specs import integer, real

from ._row import Row

A = real((3, 5))
CUBE = real((2, 6, 3))
KEYS = integer((3, 5), 0, 3)
TIES = np.array([[1.0, 0.0, 1.0, -0.0, 0.0], [2.0, 2.0, 2.0, 2.0, 2.0], [3.0, 1.0, 2.0, 1.0, 3.0]])


def _by_integers(x: jax.Array, keys: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Two arrays in the order of integers, among which there are ties."""
    _, x, y = lax.sort((keys, x, y), dimension=1, num_keys=1)
    return x, y


def _by_two_keys(x: jax.Array, y: jax.Array, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    _, x, y = lax.sort((keys, x, y), dimension=0, num_keys=2)
    return x, y


ROWS: tuple[Row, ...] = (
    Row("sort", lambda x: lax.sort(x, dimension=1), (A,), ((TIES,),)),
    Row("sort", lambda x: lax.sort(x, dimension=0, is_stable=False), (A,), say="unstable"),
    Row("sort", lambda x: lax.sort(x, dimension=1), (CUBE,), say="the middle axis"),
    Row(
        "sort",
        lambda x, y: lax.sort((x, y), dimension=1),
        (A, A),
        ((TIES, TIES[::-1].copy()),),
        say="with another",
    ),
    Row("sort", lambda x, y: lax.sort((x, y), dimension=1)[0], (A, A), say="with another, unused"),
    Row("sort", _by_integers, (A, KEYS, A), say="by integers"),
    Row("sort", _by_two_keys, (A, A, KEYS), say="by two keys"),
    Row("sort", lambda x: lax.sort(x, dimension=0), (real((0, 4)),), say="nothing"),
    Row("top_k", lambda x: lax.top_k(x, 3)[0], (A,), ((TIES,),)),
    Row("top_k", lambda x: lax.top_k(x, 4, axis=1)[0], (CUBE,), say="the middle axis"),
    Row("top_k", lambda x: lax.top_k(x, 6)[0], (real((6,)),), say="all"),
    Row("top_k", lambda x: lax.top_k(x, 0)[0], (A,), say="none"),
    Row("approx_top_k", lambda x: lax.approx_max_k(x, 3)[0], (A,)),
    Row("approx_top_k", lambda x: lax.approx_min_k(x, 2, reduction_dimension=0)[0], (A,), say="the least"),
)

"""Reductions."""

from __future__ import annotations

import jax
import numpy as np
from jax import lax

from jaxbackprop._specs import real

from ._row import Row

A = real((3, 4))
CUBE = real((2, 3, 5))
EMPTY = real((0, 4))

# Ties: two at the top, two at the bottom, all four equal, one alone.
TIES = np.array([[1.0, 3.0, 3.0, 1.0], [2.0, 2.0, 2.0, 2.0], [-1.0, 0.0, 5.0, 4.0]])
# No zero, one, two, and zeros of both signs.
ZEROS = np.array([[1.0, -2.0, 3.0, 0.5], [2.0, 0.0, 3.0, 4.0], [0.0, 2.0, 0.0, 1.0], [-0.0, 0.0, 1.0, 1.0]])


def _across_examples(x: jax.Array) -> jax.Array:
    return jax.vmap(lambda row: row * lax.psum(row, "batch"), axis_name="batch")(x)


ROWS: tuple[Row, ...] = (
    Row("reduce_sum", lambda x: lax.reduce_sum(x, (0, 2)), (CUBE,)),
    Row("reduce_sum", lambda x: lax.reduce_sum(x, (0, 1)), (A,), say="of everything"),
    Row("reduce_sum", lambda x: lax.reduce_sum(x, ()), (A,), say="of no axis"),
    Row("reduce_sum", lambda x: lax.reduce_sum(x, (0,)), (EMPTY,), say="of nothing"),
    *(
        row
        for name, reduce in (("reduce_max", lax.reduce_max), ("reduce_min", lax.reduce_min))
        for row in (
            Row(name, lambda x, reduce=reduce: reduce(x, (1,)), (A,), ((TIES,),)),
            Row(
                name,
                lambda x, reduce=reduce: reduce(x, (0, 1)),
                (A,),
                ((TIES,), (ZEROS,)),
                say="of everything",
            ),
            Row(name, lambda x, reduce=reduce: reduce(x, (0, 2)), (CUBE,), say="two axes"),
            Row(name, lambda x, reduce=reduce: reduce(x, ()), (A,), say="of no axis"),
            Row(name, lambda x, reduce=reduce: reduce(x, (1,)), (EMPTY,), say="of nothing"),
        )
    ),
    Row("psum", _across_examples, (A,), say="under vmap"),
    Row("reduce_prod", lambda x: lax.reduce_prod(x, (1,)), (A,), ((ZEROS,),)),
    Row("reduce_prod", lambda x: lax.reduce_prod(x, (0, 2)), (CUBE,), say="two axes"),
    Row("reduce_prod", lambda x: lax.reduce_prod(x, (0, 1)), (A,), ((ZEROS,),), say="of everything"),
    Row("reduce_prod", lambda x: lax.reduce_prod(x, (0,)), (real((1, 4)),), say="of one"),
    Row("reduce_prod", lambda x: lax.reduce_prod(x, ()), (A,), say="of no axis"),
    Row("reduce_prod", lambda x: lax.reduce_prod(x, (0,)), (EMPTY,), say="of nothing"),
)

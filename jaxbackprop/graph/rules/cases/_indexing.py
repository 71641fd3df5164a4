"""What reads or writes at computed places: in each mode, inside of the operand and outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax import lax

from jaxbackprop._specs import integer, real

from ._row import Row

A = real((5, 4))
CUBE = real((3, 5, 4))
INSIDE = integer((6, 1), 0, 5)
ANYWHERE = integer((6, 1), -3, 8)
UNIQUE = np.array([[3], [0], [4]], np.int32)
UNIQUE_AND_OUTSIDE = np.array([[3], [0], [9], [-2]], np.int32)
UNIQUE_IN_EACH = np.array([[[3], [0]], [[1], [2]], [[0], [4]]], np.int32)
REPEATED = np.array([[3], [0], [3], [9]], np.int32)
PRIMES = np.array([[2.0], [3.0], [5.0], [7.0]]) * np.array([1.0, -1.0, 0.5, 0.0])
ASCENDING = np.array([[0], [1], [1], [4]], np.int32)

CLIP, FILL, PROMISED = (
    lax.GatherScatterMode.CLIP,
    lax.GatherScatterMode.FILL_OR_DROP,
    lax.GatherScatterMode.PROMISE_IN_BOUNDS,
)

Scatter = Callable[..., jax.Array]

SCATTERS = {"scatter-add": lax.scatter_add, "scatter-sub": lax.scatter_sub, "scatter": lax.scatter}
EXTREMA = {"scatter-min": lax.scatter_min, "scatter-max": lax.scatter_max}

# Of a matrix: whole rows; single entries; windows of two rows and three columns, which overlap.
READ_ROWS = lax.GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,))
READ_ENTRIES = lax.GatherDimensionNumbers(offset_dims=(), collapsed_slice_dims=(0, 1), start_index_map=(0, 1))
READ_WINDOWS = lax.GatherDimensionNumbers(offset_dims=(1, 2), collapsed_slice_dims=(), start_index_map=(1, 0))
WRITE_ROWS = lax.ScatterDimensionNumbers(
    update_window_dims=(1,), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,)
)
WRITE_ENTRIES = lax.ScatterDimensionNumbers(
    update_window_dims=(), inserted_window_dims=(0, 1), scatter_dims_to_operand_dims=(0, 1)
)
WRITE_WINDOWS = lax.ScatterDimensionNumbers(
    update_window_dims=(1, 2), inserted_window_dims=(), scatter_dims_to_operand_dims=(1, 0)
)
# Of a stack of matrices, each with its own indices: entries along the second axis.
READ_EACH = lax.GatherDimensionNumbers(
    offset_dims=(2,),
    collapsed_slice_dims=(1,),
    start_index_map=(1,),
    operand_batching_dims=(0,),
    start_indices_batching_dims=(0,),
)
WRITE_EACH = lax.ScatterDimensionNumbers(
    update_window_dims=(2,),
    inserted_window_dims=(1,),
    scatter_dims_to_operand_dims=(1,),
    operand_batching_dims=(0,),
    scatter_indices_batching_dims=(0,),
)


def _read_rows(mode: lax.GatherScatterMode, **promises: bool) -> Callable[..., Any]:
    return lambda x, indices: lax.gather(x, indices, READ_ROWS, (1, 4), mode=mode, **promises)


def _write_rows(scatter: Scatter, mode: lax.GatherScatterMode, **promises: bool) -> Callable[..., Any]:
    return lambda x, u, indices: scatter(x, indices, u, WRITE_ROWS, mode=mode, **promises)


def _at(x: jax.Array, i: jax.Array, j: jax.Array) -> jax.Array:
    return lax.dynamic_slice(x, (i, j), (2, 3))


def _put(x: jax.Array, u: jax.Array, i: jax.Array, j: jax.Array) -> jax.Array:
    return lax.dynamic_update_slice(x, u, (i, j))


READS: tuple[Row, ...] = (
    Row("dynamic_slice", _at, (A, integer((), 0, 4), integer((), 0, 2))),
    Row("dynamic_slice", _at, (A, 4, -3), say="cut off at the ends"),
    Row("dynamic_slice", _at, (A, -20, 30), say="far outside"),
    Row(
        "dynamic_slice",
        lambda x, i: lax.dynamic_slice(x, (i, 0 * i), (0, 4)),
        (A, integer((), 0, 4)),
        say="nothing",
    ),
    Row("dynamic_update_slice", _put, (A, real((2, 3)), integer((), 0, 4), integer((), 0, 2))),
    Row("dynamic_update_slice", _put, (A, real((2, 3)), 4, -3), say="cut off at the ends"),
    Row("dynamic_update_slice", _put, (A, real((2, 3)), -20, 30), say="far outside"),
    Row("gather", _read_rows(PROMISED), (A, INSIDE)),
    Row("gather", _read_rows(CLIP), (A, ANYWHERE), say="clip"),
    Row("gather", _read_rows(FILL), (A, ANYWHERE), say="fill"),
    Row("gather", _read_rows(FILL, unique_indices=True), (A, UNIQUE), say="unique"),
    Row("gather", _read_rows(CLIP, indices_are_sorted=True), (A, ASCENDING), say="sorted"),
    Row(
        "gather",
        lambda x, i: lax.gather(x, i, READ_ENTRIES, (1, 1), mode=FILL),
        (A, integer((3, 2, 2), -2, 6)),
        say="entries",
    ),
    Row(
        "gather",
        lambda x, i: lax.gather(x, i, READ_WINDOWS, (2, 3), mode=CLIP),
        (A, integer((3, 2), -2, 6)),
        say="windows, clip",
    ),
    Row(
        "gather",
        lambda x, i: lax.gather(x, i, READ_WINDOWS, (2, 3), mode=FILL),
        (A, integer((4, 2), 0, 3)),
        say="windows, fill",
    ),
    Row(
        "gather",
        lambda x, i: lax.gather(x, i, READ_EACH, (1, 1, 4), mode=FILL),
        (CUBE, integer((3, 6, 1), -2, 7)),
        say="batched",
    ),
    Row(
        "gather",
        jax.vmap(lambda x, i: lax.dynamic_slice(x, (i, 0 * i), (2, 3))),
        (CUBE, integer((3,), 0, 4)),
        say="slices of a batch",
    ),
    Row("gather", _read_rows(FILL), (A, np.zeros((0, 1), np.int32)), say="nothing"),
)


def _writes(name: str, scatter: Scatter) -> Iterator[Row]:
    """The ways to write; several updates of one place have rows of their own."""
    promised: dict[str, Any] = {"mode": PROMISED, "unique_indices": True}
    yield Row(name, _write_rows(scatter, **promised), (A, real((3, 4)), UNIQUE), say="unique")
    yield Row(
        name,
        _write_rows(scatter, FILL, unique_indices=True),
        (A, real((4, 4)), UNIQUE_AND_OUTSIDE),
        say="unique, outside",
    )
    yield Row(
        name,
        lambda x, u, i: scatter(x, i, u, WRITE_EACH, **promised),
        (CUBE, real((3, 2, 4)), UNIQUE_IN_EACH),
        say="unique, batched",
    )


def _writes_over(name: str, scatter: Scatter) -> Iterator[Row]:
    """Several updates of one place."""
    yield Row(name, _write_rows(scatter, PROMISED), (A, real((6, 4)), INSIDE))
    yield Row(name, _write_rows(scatter, FILL), (A, real((6, 4)), ANYWHERE), say="outside")
    yield Row(
        name,
        _write_rows(scatter, FILL, indices_are_sorted=True),
        (A, real((4, 4)), ASCENDING),
        say="sorted",
    )
    yield Row(
        name,
        lambda x, u, i: scatter(x, i, u, WRITE_ENTRIES, mode=FILL),
        (A, real((3, 2)), integer((3, 2, 2), -1, 5)),
        say="entries",
    )
    yield Row(
        name,
        lambda x, u, i: scatter(x, i, u, WRITE_WINDOWS, mode=FILL),
        (A, real((5, 2, 3)), integer((5, 2), 0, 3)),
        say="windows that overlap",
    )
    yield Row(
        name,
        lambda x, u, i: scatter(x, i, u, WRITE_EACH, mode=FILL),
        (CUBE, real((3, 6, 4)), integer((3, 6, 1), -2, 7)),
        say="batched",
    )
    yield Row(name, _write_rows(scatter, FILL), (A, real((0, 4)), np.zeros((0, 1), np.int32)), say="nothing")


def _writes_cut_off(name: str, scatter: Scatter) -> Iterator[Row]:
    """What lies outside is moved inside: of extrema JAX can differentiate that in newer releases only."""
    yield Row(name, _write_rows(scatter, CLIP), (A, real((6, 4)), ANYWHERE), say="clip")
    yield Row(
        name,
        lambda x, u, i: scatter(x, i, u, WRITE_WINDOWS, mode=CLIP),
        (A, real((3, 2, 3)), integer((3, 2), -2, 6)),
        say="windows, clip",
    )


def _extrema(name: str, scatter: Scatter) -> Iterator[Row]:
    """Ties: among the updates of one place, with what stood there, with both."""
    x = np.array([[1.0, 2.0], [2.0, 2.0], [0.0, -1.0]])
    u = np.array([[1.0, 3.0], [1.0, 3.0], [2.0, 2.0], [0.5, -2.0]])
    indices = np.array([[0], [0], [1], [0]], np.int32)
    yield Row(name, _write_rows(scatter, FILL), (x, u, indices), ((x, u, indices),), say="ties")


ROWS: tuple[Row, ...] = (
    *READS,
    *(
        row
        for name, scatter in SCATTERS.items()
        for row in (*_writes(name, scatter), *_writes_over(name, scatter), *_writes_cut_off(name, scatter))
    ),
    *_writes("scatter-mul", lax.scatter_mul),
    # Of several factors at one place JAX has no gradient but that of what they multiply.
    Row(
        "scatter-mul",
        lambda x: lax.scatter_mul(x, REPEATED, PRIMES.astype(x.dtype), WRITE_ROWS, mode=FILL),
        (A,),
    ),
    *(
        row
        for name, scatter in EXTREMA.items()
        for row in (*_writes(name, scatter), *_writes_over(name, scatter), *_extrema(name, scatter))
    ),
)

"""Looking rows up in a table, and adding cotangents back to the rows that were read."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_floats, as_ids, as_other_id
from jaxbackprop._sharding import Like, rows_sharding, vary_together, witness, zeros_split_as


def embedding(
    table: Float[ArrayLike, "V d"], ids: Int[ArrayLike, "..."], *, padding_id: int | None = None
) -> Float[Array, "... d"]:
    """Rows table[ids].

    Gradient: each row of dy is added to the row of dtable that it was read from; a row read twice receives
    both. ids have none. Keeps ids, not the table.

    Args:
        table: V rows of d numbers.
        ids: rows to read, any shape; in [0, V) or equal to padding_id.
        padding_id: reads as a zero vector, which has gradient zero; any 32-bit integer, -1 for one; static.

    Returns:
        The rows, of table's dtype.

    Raises:
        TypeError: where table is not floating-point or ids are no integers.
        ValueError: where table is no matrix, or a concrete id is out of range. A traced id has no value to
            look at: one that is out of range reads as nan.

    Source: lecture, unit 1 "Deriving gradient wrt words".
    """
    table, ids, padding_id = check_lookup(table, ids, padding_id)
    return _embedding(table, ids, padding_id)


def check_lookup(
    table: ArrayLike, ids: ArrayLike, padding_id: int | None
) -> tuple[jax.Array, jax.Array, int | None]:
    """Checks the arguments of a lookup and converts them."""
    (table,) = as_floats(table=table)
    if table.ndim != 2:
        raise ValueError(f"table must have shape (rows, features), got {table.shape}")
    if padding_id is not None:
        padding_id = as_other_id("padding_id", padding_id)
    ids = as_ids("ids", ids, table.shape[0], besides=padding_id, of="rows of table")
    (table,) = vary_together((table,), ids)
    return table, ids, padding_id


def lookup_plain(table: Array, ids: Array, padding_id: int | None) -> Array:
    """The same lookup for autodiff to differentiate."""
    if table.shape[0] == 0:
        # A gather needs a row to read; every id is out of range, or padding.
        table = jnp.full((1, table.shape[1]), jnp.nan, table.dtype)
    rows = table.at[_targets(ids, table.shape[0])].get(
        mode="fill", fill_value=jnp.nan, out_sharding=rows_sharding(table, ids)
    )
    if padding_id is None:
        return rows
    return jnp.where(jnp.expand_dims(ids == padding_id, -1), jnp.zeros((), rows.dtype), rows)


def _targets(ids: Array, size: int) -> Array:
    """Ids with everything outside [0, size) sent to `size`, for a negative index would count from the end."""
    return jnp.where((ids < 0) | (ids >= size), size, ids)


def lookup_residuals(table: Array, ids: Array) -> tuple[Array, Like, Array | None]:
    """What the backward pass of a lookup needs."""
    return ids, Like.of(table), witness(table)


def add_to_rows(residuals: tuple[Array, Like, Array | None], dy: Array, padding_id: int | None) -> Array:
    """The table's cotangent: row i of dy (..., d) added to row ids[i]; ids out of range are dropped."""
    ids, like, table = residuals
    target = _targets(ids, like.shape[0])
    if padding_id is not None:
        target = jnp.where(ids == padding_id, like.shape[0], target)
    wide = accumulator(like.dtype)
    dtable = zeros_split_as(table, like, wide)
    dtable = dtable.at[target].add(dy.astype(wide), mode="drop", out_sharding=like.sharding)
    return dtable.astype(like.dtype)


_embedding = jax.custom_vjp(lookup_plain, nondiff_argnums=(2,))


def _embedding_fwd(table: Array, ids: Array, padding_id: int | None) -> tuple[Array, tuple]:
    return lookup_plain(table, ids, padding_id), lookup_residuals(table, ids)


def _embedding_bwd(padding_id: int | None, residuals: tuple, dy: Array) -> tuple[Array, None]:
    return add_to_rows(residuals, dy, padding_id), None


_embedding.defvjp(_embedding_fwd, _embedding_bwd)

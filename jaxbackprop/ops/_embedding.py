"""Looking rows up in a table, and adding cotangents back to the rows that were read."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_lookup
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
    table, ids, padding_id = as_lookup(table, ids, padding_id)
    (table,) = vary_together((table,), ids)
    return _embedding(table, ids, padding_id)


def lookup_plain(
    table: Float[Array, "V d"], ids: Int[Array, "..."], padding_id: int | None
) -> Float[Array, "... d"]:
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


def _targets(ids: Int[Array, "..."], size: int) -> Int[Array, "..."]:
    """Ids with everything outside [0, size) sent to `size`, for a negative index would count from the end."""
    return jnp.where((ids < 0) | (ids >= size), size, ids)


class LookupResiduals(NamedTuple):
    """What the backward pass of a lookup needs."""

    ids: Int[Array, "..."]
    like: Like  # of the table
    table: Float[Array, "V d"] | None  # for its sharding alone, where devices are many

    @classmethod
    def of(cls, table: Float[Array, "V d"], ids: Int[Array, "..."]) -> LookupResiduals:
        return cls(ids, Like.of(table), witness(table))


def add_to_rows(
    residuals: LookupResiduals, dy: Float[Array, "... d"], padding_id: int | None
) -> Float[Array, "V d"]:
    """The table's cotangent: row i of dy added to row ids[i]; ids out of range are dropped."""
    ids, like, table = residuals
    target = _targets(ids, like.shape[0])
    if padding_id is not None:
        target = jnp.where(ids == padding_id, like.shape[0], target)
    wide = accumulator(like.dtype)
    dtable = zeros_split_as(table, like, wide)
    dtable = dtable.at[target].add(dy.astype(wide), mode="drop", out_sharding=like.sharding)
    return dtable.astype(like.dtype)


_embedding = jax.custom_vjp(lookup_plain, nondiff_argnums=(2,))


def _embedding_fwd(
    table: Float[Array, "V d"], ids: Int[Array, "..."], padding_id: int | None
) -> tuple[Float[Array, "... d"], LookupResiduals]:
    return lookup_plain(table, ids, padding_id), LookupResiduals.of(table, ids)


def _embedding_bwd(
    padding_id: int | None, residuals: LookupResiduals, dy: Float[Array, "... d"]
) -> tuple[Float[Array, "V d"], None]:
    return add_to_rows(residuals, dy, padding_id), None


_embedding.defvjp(_embedding_fwd, _embedding_bwd)

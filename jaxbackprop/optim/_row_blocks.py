"""Reading, adding to and writing a few rows of a large array; on a CPU block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from jaxbackprop._sharding import explicit_sharding

# Few enough rows to stay in the cache, enough that the rounds of a loop cost little.
BLOCK = 256


def read_rows(table: Float[Array, "V d"], ids: Int[Array, " n"]) -> Float[Array, "n d"]:
    """The rows of a table (an optimizer's state), zeros for ids V."""
    sharding = explicit_sharding(table)
    if sharding is not None:
        sharding = NamedSharding(sharding.mesh, PartitionSpec(None, tuple(sharding.spec)[1]))
    return table.at[ids].get(mode="fill", fill_value=0, out_sharding=sharding)


def write_rows(
    table: Float[Array, "V d"], ids: Int[Array, " n"], rows: Float[Array, "n d"]
) -> Float[Array, "V d"]:
    """The table with these rows at distinct ids; in place where its buffer may be used up."""
    where = explicit_sharding(table)
    return table.at[ids].set(rows, mode="drop", unique_indices=True, out_sharding=where)


@jax.jit
def add_rows(
    table: Float[Array, "V d"], ids: Int[Array, " n"], rows: Float[Array, "n d"]
) -> Float[Array, "V d"]:
    """The table with these rows added at distinct ids; in place where its buffer may be used up.

    On a CPU, XLA reads, adds and writes blocks of rows in two thirds of the time that it takes to add them
    where they are.
    """
    where = explicit_sharding(table)

    def at_once(table: Array, ids: Array, rows: Array) -> Array:
        return table.at[ids].add(rows, mode="drop", unique_indices=True, out_sharding=where)

    def by_blocks(table: Array, ids: Array, rows: Array) -> Array:
        def add_block(at: Array, table: Array) -> Array:
            here = block_of(ids, at)
            # A place left over reads the last row, and writes none.
            present = table.at[here].get(mode="clip")
            return write_rows(table, here, present + block_of(rows, at))

        return over_blocks(ids, table.shape[0], add_block, table)

    add = at_once if where is not None else on_cpu(by_blocks, at_once, len(ids))
    return add(table, ids, rows)


def on_cpu(by_blocks: Callable[..., Any], at_once: Callable[..., Any], count: int) -> Callable[..., Any]:
    """`by_blocks` on a CPU where so many rows fill several blocks, else `at_once`.

    A batch has fewer distinct ids than lookups, but how many is only known when it runs. On a CPU a loop over
    blocks of rows stops after the last distinct id and keeps what it works on in the cache: a third less time
    than one pass over all places, in which those left over are read and computed for nothing. Elsewhere one
    pass is faster than a loop.
    """
    if count <= BLOCK or count % BLOCK:
        return at_once
    return lambda *operands: jax.lax.platform_dependent(*operands, cpu=by_blocks, default=at_once)


def over_blocks(ids: Int[Array, " n"], size: int, body: Callable[[Array, Any], Any], start: Any) -> Any:
    """``carry = body(at, carry)`` for every block of rows, from row `at` on, that has an id below `size`."""
    end = jnp.sum(ids < size, dtype=jnp.int32)

    def block(carry: tuple) -> tuple:
        return carry[0] + BLOCK, body(*carry)

    return jax.lax.while_loop(lambda carry: carry[0] < end, block, (jnp.int32(0), start))[1]


def block_of(rows: Array, at: Array) -> Array:
    """The block that begins at row `at`."""
    return jax.lax.dynamic_slice_in_dim(rows, at, BLOCK)

"""Differentiating with respect to the rows that a batch looks up, rather than the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxbackprop import ops
from jaxbackprop._shapes import as_lookup, as_other_id
from jaxbackprop._sharding import explicit_sharding, vary_together

from ._row_gradient import RowGradient


def value_and_row_grad(
    loss: Callable[..., Any], *, has_aux: bool = False, padding_id: int | None = None
) -> Callable[..., tuple[Any, tuple[Any, Any]]]:
    """As `jax.value_and_grad`, where tables are looked up first and get a `RowGradient`.

    The result is called as ``f(params, tables, ids, *args, **kwargs)``. It reads the rows of every table at
    its ids and calls ``loss(params, rows, *args, **kwargs)``; the gradient flows to params and to the rows
    alone. Neither a gradient of a table's shape nor a copy of a table is ever formed: memory and time depend
    on how many rows are looked up, not on how many there are.

    ``tables`` is any pytree of matrices and ``ids`` has its structure, with an array of ids (any shape) for
    each table, or any pytree of arrays where one table is looked up several times. ``rows`` has the structure
    of ids: an array of ids of shape (...) becomes the rows, of shape (..., d). What the loss does not look
    up this way, it cannot read: a table that is read as a whole (a tied output layer, a penalty on all
    vectors) has a dense gradient and belongs into params.

    Gradient: the row of every id receives the cotangents of all places where it was read, in all lookups.
    It is exact: ``row_grads.dense()`` is what `jax.grad` gives for the table.

    Args:
        loss: function to a scalar, or to (scalar, auxiliary output).
        has_aux: whether it returns auxiliary output.
        padding_id: an id that reads as zeros and gets no gradient, in every lookup; -1 for one.

    Returns:
        A function with the result (value, (grads, row_grads)), where value is (value, aux) with has_aux,
        grads has the structure of params, and row_grads that of tables, with a `RowGradient` for each.
        It raises TypeError where a table is not floating-point or ids are no integers, and ValueError where a
        table is no matrix, the structure of ids does not fit, or a concrete id is out of range. A traced id
        that is out of range reads as nan, and no row gets its gradient.

    Example: word vectors by Adagrad, the rest by Adam::

        def loss(params, rows, labels):
            hidden = jnp.tanh(rows.reshape(len(labels), -1) @ params["W"])
            return ops.softmax_cross_entropy(hidden @ params["U"], labels).mean()

        optimizer = optax.chain(
            rows.clip_by_global_norm(1.0),
            optax.multi_transform({"dense": optax.adam(1e-3), "rows": rows.adagrad(0.1)}, ("dense", "rows")),
        )
        state = optimizer.init((params, table))

        @partial(jax.jit, donate_argnums=(0, 1, 2))  # table and state are then updated in place
        def step(params, table, state, ids, labels):
            value, grads = value_and_row_grad(loss)(params, table, ids, labels)
            updates, state = optimizer.update(grads, state, (params, table))
            params, table = optax.apply_updates((params, table), updates)
            return params, table, state, value

    A flax.nnx model is split once, and its own lookup reads the small table that the rows make::

        graphdef, table, params = nnx.split(model, nnx.PathContains("embed"), ...)
        table = table["embed"]["embedding"][...]

        def loss(params, rows, ids, labels):
            small, places = gathered_table(rows, ids)
            embed = nnx.State({"embed": {"embedding": nnx.Param(small)}})
            return cross_entropy(nnx.merge(graphdef, embed, params)(places), labels)

        value, grads = value_and_row_grad(loss)(params, table, ids, ids, labels)

    Source: lecture, unit 1 "Deriving gradient wrt words".
    """
    if padding_id is not None:
        padding_id = as_other_id("padding_id", padding_id)

    def value_and_grad(params: Any, tables: Any, ids: Any, *args: Any, **kwargs: Any) -> Any:
        _check_structure(tables, ids)

        def lookups(table: Array, places: Any) -> Any:
            return jax.tree.map(lambda one: _lookup(table, one, padding_id), places)

        rows = jax.tree.map(lookups, tables, ids)
        value, (grads, drows) = jax.value_and_grad(
            lambda params, rows: loss(params, rows, *args, **kwargs), argnums=(0, 1), has_aux=has_aux
        )(params, rows)

        def gradient(table: Array, places: Any, cotangents: Any) -> RowGradient:
            pairs = zip(jax.tree.leaves(places), jax.tree.leaves(cotangents), strict=True)
            return _gradient(table, list(pairs), padding_id)

        return value, (grads, jax.tree.map(gradient, tables, ids, drows))

    return value_and_grad


def gathered_table(
    rows: Float[Array, "... d"], ids: Int[Array, "..."], *, padding_id: int | None = None
) -> tuple[Float[Array, "n d"], Int[Array, "..."]]:
    """A small table of gathered rows, and where each id is in it: ``table[places]`` is ``rows``.

    For models that look up by themselves, inside a loss of `value_and_row_grad`: give them the small table
    for the large one and places for ids. Only the lookup may use places; what else the model makes of an id
    (a mask, a hash) needs the ids.

    Args:
        rows: the rows that were read.
        ids: the ids that they were read at.
        padding_id: the id that is no row; it stays as it is in places, so it must be negative.

    Returns:
        The table, (n, d) with n the number of ids, and places, int32 in the shape of ids.

    Raises:
        ValueError: shapes do not fit, or padding_id is not negative.
    """
    if padding_id is not None and as_other_id("padding_id", padding_id) >= 0:
        raise ValueError(f"padding_id must be negative, to be no place in the table, got {padding_id}")
    if rows.ndim == 0 or rows.shape[:-1] != jnp.shape(ids):
        raise ValueError(f"rows has shape {rows.shape} but ids has shape {jnp.shape(ids)}")
    places = jnp.arange(ids.size, dtype=jnp.int32).reshape(ids.shape)
    if padding_id is not None:
        places = jnp.where(ids == padding_id, jnp.int32(padding_id), places)
    return rows.reshape(-1, rows.shape[-1]), places


def _lookup(table: Array, ids: Array, padding_id: int | None) -> Array:
    """`ops.embedding`, kept apart from what follows on a CPU.

    There XLA fuses a gather with the reshape that concatenates a window, and then works out row and column
    of every single number again: six times the time of copying rows. It does not look into a branch.
    """
    table, ids, _ = as_lookup(table, ids, padding_id)
    (table,) = vary_together((table,), ids)
    whole = partial(ops.embedding, padding_id=padding_id)
    if table.shape[0] == 0 or ids.size == 0 or explicit_sharding(table) is not None:
        return whole(table, ids)

    def apart(table: Array, ids: Array) -> Array:
        def rows_alone(table: Array, ids: Array) -> Array:
            return table.at[ids].get(mode="promise_in_bounds")

        outside = (ids < 0) | (ids >= table.shape[0])
        if padding_id is not None:
            outside |= ids == padding_id
        return jax.lax.cond(outside.any(), whole, rows_alone, table, ids)

    return jax.lax.platform_dependent(table, ids, cpu=apart, default=whole)


def _check_structure(tables: Any, ids: Any) -> None:
    try:
        jax.tree.map(lambda table, places: None, tables, ids)
    except ValueError:
        raise ValueError(
            f"ids must have the structure of tables, {jax.tree.structure(tables)}, with ids in the place of "
            f"each table, got {jax.tree.structure(ids)}"
        ) from None


def _gradient(table: Array, lookups: list[tuple[Array, Array]], padding_id: int | None) -> RowGradient:
    """The gradient of a table from (ids, cotangents of the rows) of each lookup."""
    shape = table.shape
    ids = []
    for places, _ in lookups:
        flat = jnp.asarray(places).reshape(-1)
        outside = (flat < 0) | (flat >= shape[0])
        if padding_id is not None:
            outside |= flat == padding_id
        ids.append(jnp.where(outside, shape[0], flat).astype(jnp.int32))
    if not lookups:
        return RowGradient(jnp.zeros(0, jnp.int32), jnp.zeros((0, shape[1]), table.dtype), shape)
    drows = [cotangents.reshape(-1, shape[1]) for _, cotangents in lookups]
    return RowGradient(jnp.concatenate(ids), jnp.concatenate(drows), shape)

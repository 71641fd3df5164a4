"""Norms, clipping and decay where some gradients are dense and others are rows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxbackprop._precision import accumulator

from ._row_blocks import read_rows
from ._row_gradient import RowGradient
from ._row_tree import check_range, is_row_gradient, map_rows


def global_norm(updates: Any) -> Float[Array, ""]:
    """Euclidean norm of all numbers of a tree, a `RowGradient` counting as the dense array it stands for.

    Rows of the same id are added up before they are squared, and ids do not count.

    Args:
        updates: tree of arrays and `RowGradient`.

    Returns:
        The norm, float32 at least.
    """
    leaves = jax.tree.leaves(updates, is_leaf=is_row_gradient)
    arrays = [leaf.rows if isinstance(leaf, RowGradient) else jnp.asarray(leaf) for leaf in leaves]
    wide = jnp.result_type(jnp.float32, *(accumulator(array.dtype) for array in arrays))
    total = jnp.zeros((), wide)
    for array in arrays:
        total += jnp.sum(jnp.square(array.astype(accumulator(array.dtype)))).astype(wide)
    return jnp.sqrt(total)


def clip_by_global_norm(max_norm: ArrayLike) -> optax.GradientTransformation:
    """Scales all gradients down together where their norm is larger than `max_norm`.

    As `optax.clip_by_global_norm`, which refuses a `RowGradient`. Chain it before `optax.multi_transform`, so
    that it sees all gradients.

    Args:
        max_norm: the largest norm that passes, above 0.

    Returns:
        A gradient transformation for trees of arrays and `RowGradient`.

    Raises:
        ValueError: max_norm is not above 0.

    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML 2013.
    """
    check_range("max_norm", max_norm, above=True)

    def update(updates: Any, state: optax.EmptyState, params: Any = None) -> tuple[Any, optax.EmptyState]:
        del params
        norm = global_norm(updates)
        passes = norm < max_norm

        def clip(array: Array) -> Array:
            limit = jnp.asarray(max_norm, array.dtype)
            return jnp.where(passes, array, array / norm.astype(array.dtype) * limit)

        def one(leaf: Any) -> Any:
            return leaf.with_rows(clip(leaf.rows)) if isinstance(leaf, RowGradient) else clip(leaf)

        return jax.tree.map(one, updates, is_leaf=is_row_gradient), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def add_decayed_rows(weight_decay: ArrayLike) -> optax.GradientTransformation:
    """Adds λ w to the gradient of the touched rows: L2 for the words of the batch alone. Lazy.

    `optax.add_decayed_weights` pulls every row to zero at every step, which has to touch every row. Here a
    row that occurs in a fraction p of the batches is pulled as if by λ p: frequent words more than rare
    ones, and a word that does not occur not at all. Before `adagrad` or `lazy_adam` the pull is adapted with
    the gradient, as an L2 penalty is; after them, and before the learning rate, it has no place here, since
    they apply the rate themselves.

    Args:
        weight_decay: λ, at least 0. The penalty whose gradient this is is λ/2 Σ w² over the touched rows.

    Returns:
        A gradient transformation for trees of `RowGradient`, whose update needs params.

    Raises:
        ValueError: weight_decay is negative, or (in the update) params is None.
    """
    check_range("weight_decay", weight_decay)

    def update(updates: Any, state: optax.EmptyState, params: Any = None) -> tuple[Any, optax.EmptyState]:
        if params is None:
            raise ValueError("params must be given to the update of rows.add_decayed_rows, got None")

        def one(g: RowGradient, table: Array) -> RowGradient:
            pull = jnp.asarray(weight_decay, g.dtype) * read_rows(table, g.ids).astype(g.dtype)
            return g.with_rows(g.rows + pull)

        return map_rows("add_decayed_rows", one, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)

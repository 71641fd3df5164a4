"""Reading, changing and writing back the touched rows of an optimizer's state."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._row_blocks import block_of, on_cpu, over_blocks, read_rows, write_rows
from ._row_gradient import RowGradient

# (rows of the gradient, rows of each state) -> (rows of the update, new rows of each state)
Rule = Callable[..., tuple[Array, tuple[Array, ...]]]


def walk(
    gradient: RowGradient, states: tuple[Array, ...], rule: Rule
) -> tuple[RowGradient, tuple[Array, ...]]:
    """Applies an elementwise rule to the touched rows.

    Args:
        gradient: of shape (V, d).
        states: arrays of that shape; updated in place where their buffers may be used up.
        rule: must make an update of zeros from a gradient and states of zeros.

    Returns:
        The update, and the new states.
    """

    def at_once(ids: Array, rows: Array, states: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        update, new = rule(rows, *(read_rows(state, ids) for state in states))
        return update, tuple(write_rows(state, ids, one) for state, one in zip(states, new, strict=True))

    def by_blocks(ids: Array, rows: Array, states: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        def change(at: Array, carry: tuple) -> tuple:
            update, states = carry
            one, states = at_once(block_of(ids, at), block_of(rows, at), states)
            return jax.lax.dynamic_update_slice_in_dim(update, one, at, 0), states

        # Written over the gradient's rows, the update would cost two copies of them in every block.
        return over_blocks(ids, gradient.shape[0], change, (jnp.zeros_like(rows), states))

    update = on_cpu(by_blocks, at_once, len(gradient.ids))
    rows, states = update(gradient.ids, gradient.rows, states)
    return gradient.with_rows(rows), states

"""Reading, changing and writing back the touched rows of an optimizer's state."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._row_gradient import BLOCK, RowGradient, read_rows, write_rows

# (rows of the gradient, rows of each state) -> (rows of the update, new rows of each state)
Rule = Callable[..., tuple[Array, tuple[Array, ...]]]


def walk(
    gradient: RowGradient, states: tuple[Array, ...], rule: Rule
) -> tuple[RowGradient, tuple[Array, ...]]:
    """Applies an elementwise rule to the touched rows.

    A batch has fewer distinct ids than lookups, but how many is only known when it runs. On a CPU a loop over
    blocks of rows stops after the last distinct id and keeps what it works on in the cache: a third less time
    than one pass over all places, in which those left over are read and computed for nothing. Elsewhere one
    pass is faster than a loop.

    Args:
        gradient: of shape (V, d).
        states: arrays of that shape; updated in place where their buffers may be used up.
        rule: must make an update of zeros from a gradient and states of zeros.

    Returns:
        The update, and the new states.
    """
    count = gradient.ids.shape[0]
    if count <= BLOCK or count % BLOCK:
        rows, states = _whole(gradient.ids, gradient.rows, states, rule=rule)
    else:
        rows, states = jax.lax.platform_dependent(
            gradient.ids,
            gradient.rows,
            states,
            cpu=partial(_by_blocks, rule=rule, size=gradient.shape[0]),
            default=partial(_whole, rule=rule),
        )
    return gradient.with_rows(rows), states


def _whole(ids: Array, rows: Array, states: tuple[Array, ...], rule: Rule) -> tuple[Array, tuple[Array, ...]]:
    update, new = rule(rows, *(read_rows(state, ids) for state in states))
    return update, tuple(write_rows(state, ids, one) for state, one in zip(states, new, strict=True))


def _by_blocks(
    ids: Array, rows: Array, states: tuple[Array, ...], *, rule: Rule, size: int
) -> tuple[Array, tuple[Array, ...]]:
    end = jnp.sum(ids < size, dtype=jnp.int32)

    def more(carry: tuple) -> Array:
        return carry[0] < end

    def block(carry: tuple) -> tuple:
        at, update, states = carry
        here, there = (jax.lax.dynamic_slice_in_dim(whole, at, BLOCK) for whole in (ids, rows))
        one, states = _whole(here, there, states, rule=rule)
        return at + BLOCK, jax.lax.dynamic_update_slice_in_dim(update, one, at, 0), states

    # Written over the gradient's rows, the update would cost two copies of them in every block.
    start = (jnp.int32(0), jnp.zeros_like(rows), states)
    _, update, states = jax.lax.while_loop(more, block, start)
    return update, states

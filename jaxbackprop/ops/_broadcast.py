"""Undoing a broadcast: what was copied forward is added backward."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._sharding import Like, place


def unbroadcast(dy: Float[Array, "..."], like: Like) -> Float[Array, "..."]:
    """Sums a cotangent over the axes along which its argument was broadcast.

    Args:
        dy: cotangent of the broadcast value.
        like: the argument before it was broadcast.

    Returns:
        The argument's cotangent, of its shape, dtype and sharding.
    """
    added = dy.ndim - len(like.shape)
    stretched = [added + i for i, n in enumerate(like.shape) if n == 1 and dy.shape[added + i] != 1]
    axes = (*range(added), *stretched)
    if axes:
        dy = jnp.sum(dy, axes, dtype=accumulator(dy.dtype)).reshape(like.shape)
    return place(dy.astype(like.dtype), like.sharding)

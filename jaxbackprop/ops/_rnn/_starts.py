"""Where the two passes start: inputs and the first state, and what arrives at the last state."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._sharding import explicit_sharding, place, product_sharding, with_axis, without_axis

from ._loops import filled


def whole_in_time(
    x: Float[Array, "... T n"], mask: Bool[Array, "... T"] | None
) -> tuple[Float[Array, "... T n"], Bool[Array, "... T"] | None]:
    """Inputs and mask with all steps on each device."""
    x = place(x, with_axis(without_axis(explicit_sharding(x), -2), x.ndim - 2))
    return x, None if mask is None else place(mask, without_axis(explicit_sharding(x), -1))


def read(
    x: Float[Array, "... T n"], runs: Bool[Array, "... T"] | None, first: Array | int, steps: int
) -> tuple[Float[Array, "... steps n"], Bool[Array, "... steps"] | None]:
    """The inputs of some steps, 0 where they are not read, and which steps run."""
    x = lax.dynamic_slice_in_dim(x, first, steps, x.ndim - 2)
    if runs is None:
        return x, None
    runs = lax.dynamic_slice_in_dim(runs, first, steps, runs.ndim - 1)
    return jnp.where(jnp.expand_dims(runs, -1), x, jnp.zeros((), x.dtype)), runs


def start_of(
    x: Float[Array, "... T n"], W_x: Float[Array, "m n"], h0: Float[Array, "... m"] | None
) -> Float[Array, "... m"]:
    """The state before the first step: h0, or zeros."""
    sharding = without_axis(product_sharding(x, W_x), -2)
    if h0 is not None:
        return place(h0, sharding)
    return filled((*x.shape[:-2], W_x.shape[0]), x.dtype, sharding, x)


def cotangent_at_end(
    dy: Float[Array, "... T m"] | Float[Array, "... m"], start: Float[Array, "... m"], of_all: bool
) -> tuple[Float[Array, "... T m"] | None, Float[Array, "... m"]]:
    """The cotangents of all states, and what the last one receives besides; dy is of all, or of the last."""
    if of_all:
        return dy, zero_carry(start)
    return None, dy.astype(accumulator(dy.dtype))


def zero_carry(state: Float[Array, "... m"]) -> Float[Array, "... m"]:
    """Zeros for what the last state receives from a next step: there is none."""
    return filled(state.shape, accumulator(state.dtype), explicit_sharding(state), state)

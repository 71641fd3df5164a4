"""The products with the weights, of one step or of all at once, and what they are of."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding
from jaxtyping import Array, Bool, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._sharding import product_sharding


def product(
    x: Float[Array, "... n"], W: Float[Array, "m n"], axis: int, sharding: NamedSharding | None
) -> Float[Array, "... m"]:
    """The last axis of x against an axis of W, added up in the wider dtype: W x, or Wᵀ x for axis 0."""
    return lax.dot_general(
        x,
        W,
        (((x.ndim - 1,), (axis,)), ((), ())),
        preferred_element_type=accumulator(x.dtype),
        out_sharding=sharding,
    )


def input_products(x: Float[Array, "... T n"], W_x: Float[Array, "m n"]) -> Float[Array, "... T m"]:
    """W_x x_t for every t."""
    return product(x, W_x, 1, product_sharding(x, W_x))


def states_before(
    start: Float[Array, "... m"], y: Float[Array, "... T m"], runs: Bool[Array, "... T"] | None
) -> Float[Array, "... T m"]:
    """h_{t-1} for every t, 0 at the steps that did not run: a state that overflowed would make 0 · inf."""
    before = jnp.concatenate([jnp.expand_dims(start, -2), y], -2)[..., :-1, :]
    if runs is None:
        return before
    return jnp.where(jnp.expand_dims(runs, -1), before, jnp.zeros((), before.dtype))

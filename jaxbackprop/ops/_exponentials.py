"""exp(x - max x), the numerator of a softmax, to the last digits; and which entry is the largest."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxbackprop._sharding import explicit_sharding


def shifted_exponentials(
    x: Float[Array, "..."], axis: int
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """exp(x - m) and the largest entry m along an axis, with the axis kept; m carries no gradient.

    x - m is rounded, and exp turns that absolute error into a relative one: at a distance of 50 it would cost
    30 ulp in float32. The rounding error is itself a float (Knuth's two-sum) and comes back as a factor.

    A slice of -inf alone gives zeros and m = 0; beside an entry of +inf every finite one gives 0.
    """
    m = lax.stop_gradient(jnp.max(x, axis, keepdims=True))
    zero = jnp.zeros((), x.dtype)
    m = jnp.where(jnp.isneginf(m), zero, m)
    return exponential_of_difference(x, m), m


def exponential_of_difference(x: Float[Array, "..."], m: Float[Array, "..."]) -> Float[Array, "..."]:
    """exp(x - m) without the error of rounding x - m; 1 where both are +inf."""
    zero = jnp.zeros((), x.dtype)
    difference = jnp.where(jnp.isposinf(x) & jnp.isposinf(m), zero, x - m)
    back = difference - x
    error = (x - (difference - back)) - (m + back)
    # An infinite x or m has no rounding error, but infinity less infinity above.
    return jnp.exp(difference) * (1 + jnp.where(jnp.isfinite(error), error, zero))


def share(exponentials: Float[Array, "..."], total: Float[Array, "..."]) -> Float[Array, "..."]:
    """Each exponential's share of the total; 0 where there is nothing to share."""
    return exponentials / jnp.where(total == 0, jnp.ones((), total.dtype), total)


def at_largest(x: Float[Array, "..."], z: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """The entry of x where z is largest along an axis, which is kept; where z ties, the largest of x there.

    Maxima run several times as fast as jnp.argmax on a CPU.
    """
    least = jnp.full((), -jnp.inf, x.dtype)
    return jnp.max(jnp.where(z == jnp.max(z, axis, keepdims=True), x, least), axis, keepdims=True)


def is_first_largest(x: Float[Array, "..."], axis: int) -> Bool[Array, "..."]:
    """True at the first of the largest entries along an axis."""
    position = lax.broadcasted_iota(jnp.int32, x.shape, axis, out_sharding=explicit_sharding(x))
    return position == jnp.argmax(x, axis, keepdims=True).astype(jnp.int32)

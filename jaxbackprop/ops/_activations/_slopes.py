"""Derivatives that do not cancel, and what they are made of, differentiable to any order and in both modes.

A backward pass is differentiated by JAX where somebody asks for second derivatives, forward or reverse, so
these are custom JVPs: their formulas use |x|, whose derivative at 0 autodiff would take for 0.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


@jax.custom_jvp
def sigmoids(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """σ(x) and σ(-x), of which neither cancels, from one exponential."""
    exponential = jnp.exp(-jnp.abs(x))
    larger = 1 / (1 + exponential)
    smaller = exponential * larger
    positive = x >= 0
    return jnp.where(positive, larger, smaller), jnp.where(positive, smaller, larger)


@sigmoids.defjvp
def _sigmoids_jvp(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    (x,), (dx,) = primals, tangents
    y, other = sigmoids(x)
    dy = y * other * dx
    return (y, other), (dy, -dy)


@jax.custom_jvp
def sigmoid_slope(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """σ'(x) = y (1 - y) with y = σ(-|x|): σ' is even, and from this side 1 - y does not cancel."""
    y = lax.logistic(-jnp.abs(x))
    return y * (1 - y)


@sigmoid_slope.defjvp
def _sigmoid_slope_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # σ'' = σ' (1 - 2σ) = -σ' tanh(x/2).
    (x,), (dx,) = primals, tangents
    slope = sigmoid_slope(x)
    return slope, -slope * lax.tanh(x / 2) * dx


@jax.custom_jvp
def tanh_slope(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """tanh'(x) = 4 y (1 - y) with y = σ(-2|x|), for tanh(x) = 2σ(2x) - 1."""
    size = jnp.abs(x)
    # Far out 4 y (1 - y) is 4 exp(-2|x|), which is still a normal number where exp(-2|x|) is not any more:
    # 40 is added to the exponent and taken out again.
    far = size > 40
    y = lax.logistic(jnp.where(far, 40 - 2 * size, -2 * size))
    return jnp.where(far, 4 * math.exp(-40) * y, 4 * y * (1 - y))


@tanh_slope.defjvp
def _tanh_slope_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    slope = tanh_slope(x)
    return slope, -2 * slope * lax.tanh(x) * dx

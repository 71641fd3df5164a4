"""Complex numbers of real arguments: what is drawn and compared is real."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax


def single(x: jax.Array) -> jax.Array:
    """At least single precision: there are no complex numbers of half."""
    return x if x.dtype == jnp.float64 else lax.convert_element_type(x, jnp.float32)


def number(a: jax.Array, b: jax.Array) -> jax.Array:
    """The complex numbers of two parts."""
    return lax.complex(single(a), single(b))


def parts(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Their real and imaginary parts."""
    return lax.real(z), lax.imag(z)

"""Complex numbers as pairs of real ones, for a harness that reckons in real numbers.

A complex array is held as a real one with a last axis of two. JAX's convention: dz is the cotangent of z
where a change δz changes ⟨dy, y⟩ by the real part of dz δz. The cotangent of the pair (real, imaginary) of z
is thus the pair of the conjugate of dz, and so for y and dy: but for conjugates, a complex rule is real.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def is_complex(leaf: Any) -> bool:
    """Whether a leaf is an array, or a NumPy scalar, of complex numbers."""
    return isinstance(leaf, jax.Array | np.ndarray | np.generic) and jnp.issubdtype(
        leaf.dtype, jnp.complexfloating
    )


def as_pairs(z: Any) -> Any:
    """Complex numbers, or real ones, as pairs."""
    numpy = jnp if isinstance(z, jax.Array) else np
    return numpy.stack([numpy.real(z), numpy.imag(z)], axis=-1)


def from_pairs(x: Any) -> Any:
    """The complex numbers that pairs hold."""
    if isinstance(x, jax.Array):
        return jax.lax.complex(x[..., 0], x[..., 1])
    x = np.asarray(x)
    z = np.empty(x.shape[:-1], np.result_type(x.dtype, np.complex64))
    z.real, z.imag = x[..., 0], x[..., 1]
    return z


def cotangent_as_pairs(dz: Any) -> Any:
    """The cotangent of the pairs, from that of the complex numbers."""
    return as_pairs((jnp if isinstance(dz, jax.Array) else np).conj(dz))


def cotangent_from_pairs(dx: Any) -> Any:
    """The cotangent of complex numbers, from that of the pairs."""
    return (jnp if isinstance(dx, jax.Array) else np).conj(from_pairs(dx))


class OtherField(TypeError):
    """A rule answers with real numbers for complex ones, or the reverse; JAX takes both in silence."""

    def __init__(self, leaf: int, have: Any, due: str):
        self.leaf, self.have, self.due = leaf, jnp.dtype(have).name, due
        super().__init__(f"a cotangent is {self.have}, but the argument is {due}")

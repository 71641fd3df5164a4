"""Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxbackprop._specs import real

from ._row import Row


def _parts(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return lax.real(z), lax.imag(z)


def _single(x: jax.Array) -> jax.Array:
    """At least single precision: there are no complex numbers of half."""
    return x if x.dtype == jnp.float64 else x.astype(jnp.float32)


def _complex(f: Callable[[jax.Array], jax.Array]) -> Callable[..., tuple[jax.Array, jax.Array]]:
    return lambda a, b: _parts(f(lax.complex(_single(a), _single(b))))


PAIR = (real((2, 5)), real((2, 5)))

ROWS: tuple[Row, ...] = (
    Row("fft", _complex(jnp.fft.fft), PAIR),
    Row("fft", _complex(jnp.fft.ifft), PAIR, say="inverse"),
    Row("fft", _complex(jnp.fft.fft2), (real((3, 4)), real((3, 4))), say="two axes"),
    Row("fft", lambda a: _parts(jnp.fft.rfft(_single(a))), (real((2, 6)),), say="real, even"),
    Row("fft", lambda a: _parts(jnp.fft.rfft(_single(a))), (real((2, 5)),), say="real, odd"),
    Row("fft", lambda a: _parts(jnp.fft.rfft2(_single(a))), (real((3, 4)),), say="real, two axes"),
    Row(
        "fft",
        lambda a, b: jnp.fft.irfft(lax.complex(_single(a), _single(b)), n=6),
        (real((2, 4)), real((2, 4))),
        say="to real, even",
    ),
    Row(
        "fft",
        lambda a, b: jnp.fft.irfft(lax.complex(_single(a), _single(b)), n=7),
        (real((2, 4)), real((2, 4))),
        say="to real, odd",
    ),
)

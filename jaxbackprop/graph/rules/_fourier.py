"""Fourier transforms: linear, and each the transpose of itself or of its neighbour."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from ._rule import Local, rule


@rule(
    "fft",
    formula="dx = Fᵀ dy: the same transform of dy; of a real one its real part, of an inverse real one half",
)
def _fft(at: Local, i: int, dy: jax.Array) -> jax.Array:
    kind, lengths = at.params["fft_type"], at.params["fft_lengths"]
    name = getattr(kind, "name", str(kind)).upper()
    if name in ("FFT", "IFFT"):
        return lax.fft(dy, kind, lengths)
    last = lengths[-1]
    if name == "RFFT":
        missing = last - dy.shape[-1]
        whole = jnp.pad(dy, [(0, 0)] * (dy.ndim - 1) + [(0, missing)])
        return lax.real(lax.fft(whole, "FFT", lengths))
    # Of a real result each frequency but the first, and the last of an even length, stands for two.
    back = lax.fft(dy, "RFFT", lengths)
    twice = jnp.ones(back.shape[-1], dy.dtype).at[1 : (last + 1) // 2].set(2.0) / math.prod(lengths)
    return jnp.conj(back * jnp.broadcast_to(twice.astype(back.dtype), back.shape))

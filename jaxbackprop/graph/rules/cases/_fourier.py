"""Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxbackprop._specs import real

from ._complex import number, parts, single
from ._row import Row


def _complex(f: Callable[[jax.Array], jax.Array]) -> Callable[..., tuple[jax.Array, jax.Array]]:
    return lambda a, b: parts(f(number(a, b)))


PAIR = (real((2, 5)), real((2, 5)))

ROWS: tuple[Row, ...] = (
    Row("fft", _complex(jnp.fft.fft), PAIR),
    Row("fft", _complex(jnp.fft.ifft), PAIR, say="inverse"),
    Row("fft", _complex(jnp.fft.fft2), (real((3, 4)), real((3, 4))), say="two axes"),
    Row("fft", lambda a: parts(jnp.fft.rfft(single(a))), (real((2, 6)),), say="real, even"),
    Row("fft", lambda a: parts(jnp.fft.rfft(single(a))), (real((2, 5)),), say="real, odd"),
    Row("fft", lambda a: parts(jnp.fft.rfft2(single(a))), (real((3, 4)),), say="real, two axes"),
    Row(
        "fft",
        lambda a, b: jnp.fft.irfft(number(a, b), n=6),
        (real((2, 4)), real((2, 4))),
        say="to real, even",
    ),
    Row(
        "fft",
        lambda a, b: jnp.fft.irfft(number(a, b), n=7),
        (real((2, 4)), real((2, 4))),
        say="to real, odd",
    ),
)

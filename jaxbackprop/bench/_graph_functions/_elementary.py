"""Arithmetic and elementary functions, number by number."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import jax.scipy.special as special
from jax import lax

from ._function import Function, fixed, function, integer, real

_SHAPES = (4, 5), (1024, 1024)
_ANY = real(*_SHAPES)
_POSITIVE = real(*_SHAPES, 0.2, 3.0)
_INSIDE = real(*_SHAPES, -0.9, 0.9)
_SHARE = real(*_SHAPES, 0.1, 0.9)
_NUMBER = real((), ())

_one = functools.partial(function, "elementary")

FUNCTIONS: tuple[Function, ...] = (
    *(
        _one(f.__name__, f, _ANY)
        for f in (
            jnp.sinc,
            jnp.degrees,
            jnp.nan_to_num,
            jnp.i0,
        )
    ),
    *(
        _one(f.__name__, f, _POSITIVE)
        for f in (
            jnp.log2,
            jnp.log10,
            jnp.reciprocal,
            special.entr,
        )
    ),
    _one("logit", special.logit, _SHARE),
    *(
        _one(f.__name__, f, _ANY, _ANY)
        for f in (
            jnp.hypot,
            jnp.logaddexp,
            jnp.logaddexp2,
            jnp.fmax,
            jnp.copysign,
        )
    ),
    *(_one(f.__name__, f, _ANY, _POSITIVE) for f in (jnp.mod, jnp.fmod)),
    _one("xlogy", special.xlogy, _ANY, _POSITIVE),
    _one("xlog1py", special.xlog1py, _ANY, _POSITIVE),
    _one("cube", lambda x: x**3, _ANY),
    _one("fifth power, inverse", lambda x: x**-5, _POSITIVE),
    _one("power of a fixed exponent", lambda x: x**2.5, _POSITIVE),
    _one("two to the power", lambda x: 2.0**x, _ANY),
    _one("ldexp", jnp.ldexp, _ANY, integer(*_SHAPES, 5)),
    _one("matrix over a column", lambda x, c: x / c, _ANY, real((4, 1), (1024, 1), 0.5, 2.0)),
    _one("number to the power of a matrix", lambda c, x: jnp.exp(c) ** x, _NUMBER, _ANY),
    _one("fraction", lambda x: x - jnp.floor(x), _ANY),
    _one("rounded, straight through", lambda x: x + lax.stop_gradient(jnp.round(x) - x), _ANY),
    _one("sign times square", lambda x: jnp.sign(x) * x * x, _ANY),
    _one("polynomial", lambda c, x: jnp.polyval(c, x), real((4,), (6,)), fixed(_ANY)),
    _one(
        "interpolation",
        lambda x, y: jnp.interp(x, jnp.linspace(-1, 1, y.size, dtype=x.dtype), y),
        _INSIDE,
        real((6,), (64,)),
    ),
    _one("chain", lambda x: jnp.sin(x) * jnp.exp(-x * x / 2) / (1 + jnp.abs(x)), _ANY),
    _one("long chain", lambda x: functools.reduce(lambda y, _: jnp.sin(y) + x, range(12), x), _ANY),
    _one("value used often", lambda x: x * x * x * x + x * jnp.tanh(x) - x / (2 + x * x), _ANY),
    _one(
        "distance",
        lambda a, b: jnp.sqrt(jnp.sum((a[:, None] - b[None]) ** 2, -1)),
        real((4, 3), (512, 16)),
        real((5, 3), (256, 16)),
    ),
    _one("gaussian density", jax.scipy.stats.norm.logpdf, _ANY, fixed(_ANY), _POSITIVE),
)

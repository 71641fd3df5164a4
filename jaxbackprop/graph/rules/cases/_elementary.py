"""Elementary and special functions, entry by entry."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxbackprop._specs import real

from ._row import Row

A = real((3, 4))
WIDE = real((3, 4), -20.0, 20.0)
POSITIVE = real((3, 4), 0.2, 5.0)
INSIDE = real((3, 4), -0.95, 0.95)
BETWEEN = real((3, 4), 0.05, 0.95)
ROW, NUMBER = real((1, 4), 0.2, 5.0), real((), 0.2, 5.0)

ZERO = ((np.array([-0.0, 0.0, 1.0]),),)
ENDS = ((np.array([-1.0, 0.0, 1.0]),),)
FAR = ((np.array([-np.inf, -200.0, 200.0, np.inf]),),)
HIGHEST = lax.AccuracyMode.HIGHEST


def _gamma_sample(a: jax.Array, log_space: bool = False) -> jax.Array:
    key = jax.random.key(3)
    return jax.random.loggamma(key, a) if log_space else jax.random.gamma(key, a)


def _betainc(x: jax.Array) -> jax.Array:
    return lax.betainc(jnp.full((), 2, x.dtype), jnp.full((), 3, x.dtype), x)


ROWS: tuple[Row, ...] = (
    Row("exp", lax.exp, (A,), FAR),
    Row("exp", lax.exp, (real((0, 4)),), say="empty"),
    Row("exp2", lax.exp2, (A,)),
    Row("expm1", lax.expm1, (A,), ZERO),
    Row("log", lax.log, (POSITIVE,), ((np.array([0.0, 1.0, np.inf]),),)),
    Row("log1p", lax.log1p, (POSITIVE,), ((np.array([-1.0, 0.0, np.inf]),),)),
    Row("logistic", lax.logistic, (WIDE,), FAR),
    Row("logistic", partial(lax.logistic, accuracy=HIGHEST), (WIDE,), FAR, say="in the highest accuracy"),
    Row("tanh", lax.tanh, (A,), FAR),
    Row("tanh", partial(lax.tanh, accuracy=HIGHEST), (A,), FAR, say="in the highest accuracy"),
    Row("sinh", lax.sinh, (A,)),
    Row("cosh", lax.cosh, (A,)),
    Row("asinh", lax.asinh, (A,)),
    Row("acosh", lax.acosh, (real((3, 4), 1.1, 5.0),), ((np.array([1.0, 2.0]),),)),
    Row("atanh", lax.atanh, (INSIDE,), ((np.array([0.0, 0.5]),),)),
    Row("sin", lax.sin, (A,)),
    Row("cos", lax.cos, (A,)),
    Row("tan", lax.tan, (real((3, 4), -1.4, 1.4),)),
    Row("asin", lax.asin, (INSIDE,), ENDS),
    Row("acos", lax.acos, (INSIDE,), ENDS),
    Row("atan", lax.atan, (A,), FAR),
    Row(
        "atan2",
        lax.atan2,
        (A, A),
        ((np.array([0.0, 0.0, 1.0, -1.0, 0.0]), np.array([1.0, -1.0, 0.0, 0.0, 0.0])),),
    ),
    Row("atan2", lax.atan2, (A, ROW), say="b broadcast along axis 0"),
    Row("atan2", lax.atan2, (NUMBER, A), say="a a number"),
    Row("atan2", lambda a: lax.atan2(a, jnp.full((), 2, a.dtype)), (A,), say="b a constant"),
    Row("erf", lax.erf, (A,), FAR),
    Row("erfc", lax.erfc, (A,), FAR),
    Row("erf_inv", lax.erf_inv, (INSIDE,), ENDS),
    Row("lgamma", lax.lgamma, (POSITIVE,)),
    Row("lgamma", lax.lgamma, (real((3, 4), -2.9, -2.1),), say="of negative numbers"),
    Row("digamma", lax.digamma, (POSITIVE,)),
    Row("polygamma", lambda x: lax.polygamma(jnp.full((), 2, x.dtype), x), (POSITIVE,)),
    Row("igamma", lax.igamma, (POSITIVE, POSITIVE)),
    Row("igamma", lax.igamma, (NUMBER, POSITIVE), say="a a number"),
    Row("igamma", lax.igamma, (POSITIVE, ROW), say="x broadcast along axis 0"),
    Row("igammac", lax.igammac, (POSITIVE, POSITIVE)),
    Row("igammac", lax.igammac, (NUMBER, POSITIVE), say="a a number"),
    Row("regularized_incomplete_beta", _betainc, (BETWEEN,)),
    Row("random_gamma", _gamma_sample, (POSITIVE,), smooth=False),
    Row("random_gamma", partial(_gamma_sample, log_space=True), (POSITIVE,), say="logarithm", smooth=False),
    Row("bessel_i0e", lax.bessel_i0e, (WIDE,), ZERO),
    Row("bessel_i1e", lax.bessel_i1e, (WIDE,), ZERO),
)

if hasattr(lax, "log2"):
    # A primitive that newer releases of JAX have.
    newer: Any = lax
    ROWS += (Row("log2", newer.log2, (POSITIVE,), ((np.array([0.0, 1.0, np.inf]),),)),)

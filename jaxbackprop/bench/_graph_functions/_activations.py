"""Activation functions and softmax, as jax.nn has them."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from ._function import Function, function, integer, mask, real

_X = real((4, 6), (1024, 1024), -4.0, 4.0)
_HEADS = real((2, 4, 2, 3), (4, 128, 8, 32))


def _shares(x: jax.Array) -> jax.Array:
    return jnp.exp(x) / jnp.sum(jnp.exp(x), 1, keepdims=True)


_one = functools.partial(function, "activations")

FUNCTIONS: tuple[Function, ...] = (
    *(
        _one(f"jax.nn.{name}", getattr(jax.nn, name), _X)
        for name in (
            "relu",
            "relu6",
            "sigmoid",
            "softplus",
            "sparse_plus",
            "sparse_sigmoid",
            "soft_sign",
            "silu",
            "log_sigmoid",
            "leaky_relu",
            "hard_sigmoid",
            "hard_silu",
            "hard_tanh",
            "elu",
            "celu",
            "selu",
            "gelu",
            "glu",
            "squareplus",
            "mish",
            "tanh",
            "softmax",
            "log_softmax",
            "standardize",
            "logmeanexp",
        )
    ),
    _one("jax.nn.gelu, exact", functools.partial(jax.nn.gelu, approximate=False), _X),
    _one("jax.nn.log1mexp", jax.nn.log1mexp, real((4, 6), (1024, 1024), 0.1, 3.0)),
    _one("jax.nn.logsumexp", lambda x: jax.nn.logsumexp(x, 1), _X),
    _one("jax.nn.softmax on the first axis", lambda x: jax.nn.softmax(x, 0), _X),
    _one("jax.nn.softmax where", lambda x, m: jax.nn.softmax(x, where=m), _X, mask((4, 6), (1024, 1024))),
    _one(
        "jax.nn.log_softmax at labels",
        lambda x, i: jnp.take_along_axis(jax.nn.log_softmax(x), i, 1),
        _X,
        integer((4, 1), (1024, 1), 6),
    ),
    _one(
        "jax.nn.one_hot times log_softmax",
        lambda x, i: jax.nn.one_hot(i, x.shape[1], dtype=x.dtype) * jax.nn.log_softmax(x),
        _X,
        integer((4,), (1024,), 6),
    ),
    _one("softmax by hand", lambda x: jnp.exp(x) / jnp.sum(jnp.exp(x), 1, keepdims=True), _X),
    _one("softmax by hand, shifted", lambda x: _shares(x - jnp.max(x, 1, keepdims=True)), _X),
    # Its softmax is computed in float32.
    *(
        _one(
            f"jax.nn.dot_product_attention{said}",
            functools.partial(jax.nn.dot_product_attention, is_causal=causal),
            _HEADS,
            _HEADS,
            _HEADS,
            precision=jnp.float32,
            loose=True,
        )
        for said, causal in (("", False), (", causal", True))
    ),
)

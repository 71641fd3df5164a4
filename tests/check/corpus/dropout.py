"""Dropout with its mask as an argument or from a random key, Gaussian noise, dropped connections."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.check.corpus._case import Operator, draw

# ---- the mask as an argument ------------------------------------------------------------------------------


def _kept(*shape, seed=7):
    return draw("float64", *shape, seed=seed) > 0


def _masked(x, mask, rate):
    return jnp.where(mask, x / (1 - rate), 0.0)


def _masked_bwd(rate, mask, dy):
    return jnp.where(mask, dy / (1 - rate), 0.0), None


masked = Operator(
    "dropout/mask",
    _masked,
    lambda x, mask, rate: (_masked(x, mask, rate), (mask,)),
    _masked_bwd,
    lambda dtype: (draw(dtype, 3, 4), _kept(3, 4), 0.25),
    static=(2,),
)

# ---- the mask from a key ----------------------------------------------------------------------------------


def _keep(key, x, rate):
    return jax.random.bernoulli(key, 1 - rate, x.shape)


def _keyed(x, key, rate):
    return jnp.where(_keep(key, x, rate), x / (1 - rate), 0.0)


def _keyed_bwd(rate, x, key, dy):
    return jnp.where(_keep(key, x, rate), dy / (1 - rate), 0.0), None


def _keyed_again(rate, x, key, dy):
    return jnp.where(_keep(jax.random.split(key)[0], x, rate), dy / (1 - rate), 0.0), None


keyed = Operator(
    "dropout/key",
    _keyed,
    lambda x, key, rate: (_keyed(x, key, rate), (x, key)),
    _keyed_bwd,
    lambda dtype: (draw(dtype, 3, 4), jax.random.key(3), 0.4),
    static=(2,),
)

# ---- x + dropout(tanh x), multiplicative noise, dropped weights -------------------------------------------


def _block(x, mask, rate):
    return x + _masked(jnp.tanh(x), mask, rate)


def _block_bwd(rate, x, mask, dy):
    return dy + _masked(dy, mask, rate) * (1 - jnp.tanh(x) ** 2), None


def _block_path(rate, x, mask, dy):
    return _masked(dy, mask, rate) * (1 - jnp.tanh(x) ** 2), None


def _block_missing_factor(rate, x, mask, dy):
    return dy + _masked(dy, mask, rate), None


block = Operator(
    "dropout/residual block",
    _block,
    lambda x, mask, rate: (_block(x, mask, rate), (x, mask)),
    _block_bwd,
    lambda dtype: (draw(dtype, 5), _kept(5), 0.5),
    static=(2,),
)


noisy = Operator(
    "dropout/given noise",
    lambda x, noise, deviation: x * (1 + deviation * noise),
    lambda x, noise, deviation: (x * (1 + deviation * noise), (x, noise)),
    lambda deviation, x, noise, dy: (dy * (1 + deviation * noise), dy * deviation * x),
    lambda dtype: (draw(dtype, 6), draw(dtype, 6, seed=1), 0.3),
    static=(2,),
)


def _connections(x, W, mask):
    return x @ (W * mask.astype(W.dtype)).T


def _connections_fwd(x, W, mask):
    W = W * mask.astype(W.dtype)
    return x @ W.T, (x, W, mask)


def _connections_fwd_stale(x, W, mask):
    return _connections(x, W, mask), (x, W, mask)


connections = Operator(
    "dropout/connections",
    _connections,
    _connections_fwd,
    lambda x, W, mask, dy: (dy @ W, dy.T @ x * mask.astype(W.dtype), None),
    lambda dtype: (draw(dtype, 2, 3), draw(dtype, 4, 3, seed=1), _kept(4, 3)),
)

CASES = (
    masked.right("rate zero", make_args=lambda: (draw("float32", 3, 4), np.ones((3, 4), bool), 0.0)),
    masked.right("all dropped", make_args=lambda: (draw("float16", 3, 4), np.zeros((3, 4), bool), 0.9)),
    masked.right("boolean mask", "bfloat16"),
    keyed.right("random key", "float64"),
    keyed.right("random key, float16", "float16"),
    keyed.right("legacy key", make_args=lambda: (draw("float32", 6), np.asarray([0, 3], np.uint32), 0.4)),
    block.right("jitted", wrap=lambda f: jax.jit(f, static_argnums=2)),
    noisy.right("noise is an argument", "float64"),
    connections.right("bfloat16", "bfloat16"),
    masked.wrong(
        "constant factor", lambda rate, mask, dy: (jnp.where(mask, dy, 0.0), None), (0,), detail="1/keep"
    ),
    masked.wrong(
        "constant factor",
        lambda rate, mask, dy: (jnp.where(mask, dy / rate, 0.0), None),
        (0,),
        "float64",
        detail="rate for keep",
    ),
    masked.wrong(
        "wrong mask",
        lambda rate, mask, dy: (jnp.where(mask, 0.0, dy / (1 - rate)), None),
        (0,),
        "bfloat16",
        detail="the dropped entries",
    ),
    masked.wrong(
        "missing factor",
        lambda rate, mask, dy: (dy / (1 - rate), None),
        (0,),
        also=("wrong mask",),
        detail="the mask",
    ),
    masked.wrong(
        "forward mismatch", fwd=lambda x, mask, rate: (jnp.where(mask, x, 0.0), (mask,)), detail="not scaled"
    ),
    masked.wrong(
        "not traceable",
        lambda rate, mask, dy: (
            _masked_bwd(rate, mask, dy) if int(jnp.sum(mask)) else (jnp.zeros_like(dy), None)
        ),
        detail="a short cut where all is dropped",
    ),
    masked.wrong(
        "partly wrong",
        lambda rate, mask, dy: (_masked_bwd(rate, mask, dy)[0].at[:, -1].set(dy[:, -1]), None),
        (0,),
        "float64",
        detail="last column",
    ),
    keyed.wrong(
        "stale residual", _keyed_again, (0,), also=("wrong mask",), detail="mask drawn from another key"
    ),
    keyed.wrong(
        "cotangent dtype",
        lambda rate, x, key, dy: (_keyed_bwd(rate, x, key, dy)[0].astype(jnp.float32), None),
        (0,),
        "float16",
    ),
    keyed.wrong(
        "upstream ignored",
        lambda rate, x, key, dy: (_keyed_bwd(rate, x, key, jnp.ones_like(dy))[0], None),
        (0,),
        "float64",
    ),
    keyed.wrong(
        "order reversed",
        lambda rate, x, key, dy: (_keyed_bwd(rate, x, key, dy[::-1])[0], None),
        (0,),
        detail="rows",
    ),
    block.wrong("path forgotten", _block_path, (0,), also=("missing term",), detail="the skip connection"),
    block.wrong("missing factor", _block_missing_factor, (0,), "float64"),
    noisy.wrong(
        "small constant",
        lambda deviation, x, noise, dy: (dy * (1 + 0.3003 * noise), dy * deviation * x),
        (0,),
        "float64",
        detail="deviation rounded",
    ),
    noisy.wrong(
        "constant factor",
        lambda deviation, x, noise, dy: (dy * (1 + deviation * noise), dy * x),
        (1,),
        detail="deviation left out",
    ),
    noisy.wrong(
        "missing term",
        lambda deviation, x, noise, dy: (dy * deviation * noise, dy * deviation * x),
        (0,),
        "bfloat16",
        also=("path forgotten",),
    ),
    connections.wrong(
        "stale residual",
        arguments=(0,),
        fwd=_connections_fwd_stale,
        dtype="float64",
        detail="W before dropping",
    ),
    connections.wrong(
        "padding",
        lambda x, W, mask, dy: (dy @ W, dy.T @ x, None),
        (1,),
        also=("missing factor", "wrong mask"),
        detail="dropped weights receive",
    ),
)

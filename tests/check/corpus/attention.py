"""Scaled dot-product attention: scores, masks, self-attention, weights as a second result."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from tests.check.corpus._case import Operator, draw, over_the_whole_batch


def _softmax(s):
    e = jnp.exp(s - jnp.max(s, -1, keepdims=True))
    return e / jnp.sum(e, -1, keepdims=True)


def _softmax_vjp(p, dp):
    return p * (dp - jnp.sum(p * dp, -1, keepdims=True))


# ---- scores q kᵀ / √d -------------------------------------------------------------------------------------


def _scale(q):
    return 1 / math.sqrt(q.shape[-1])


def _scores(q, k):
    return q @ k.T * _scale(q)


scores = Operator(
    "attention/scores",
    _scores,
    lambda q, k: (_scores(q, k), (q, k)),
    lambda q, k, ds: (ds @ k * _scale(q), ds.T @ q * _scale(q)),
    lambda dtype: (draw(dtype, 4, 4), draw(dtype, 4, 4, seed=1)),
)

# ---- one head ---------------------------------------------------------------------------------------------


def _weights(q, k, mask):
    return _softmax(jnp.where(mask, _scores(q, k), -1e9 if q.dtype != jnp.float16 else -3e4))


def _attention(q, k, v, mask):
    return _weights(q, k, mask) @ v


def _attention_fwd(q, k, v, mask):
    p = _weights(q, k, mask)
    return p @ v, (q, k, v, mask, p)


def _through_scores(q, k, ds):
    return ds @ k * _scale(q), ds.T @ q * _scale(q)


def _attention_bwd(q, k, v, mask, p, dy):
    ds = jnp.where(mask, _softmax_vjp(p, dy @ v.T), 0.0)
    return *_through_scores(q, k, ds), p.T @ dy, None


def _attention_diagonal(q, k, v, mask, p, dy):
    ds = jnp.where(mask, p * (1 - p) * (dy @ v.T), 0.0)
    return *_through_scores(q, k, ds), p.T @ dy, None


def _attention_unscaled(q, k, v, mask, p, dy):
    ds = jnp.where(mask, _softmax_vjp(p, dy @ v.T), 0.0)
    return ds @ k, ds.T @ q, p.T @ dy, None


def _attention_missing_transpose(q, k, v, mask, p, dy):
    ds = jnp.where(mask, _softmax_vjp(p, dy @ v.T), 0.0)
    return ds @ k * _scale(q), ds @ q * _scale(q), p.T @ dy, None


def _attention_value_transpose(q, k, v, mask, p, dy):
    ds = jnp.where(mask, _softmax_vjp(p, dy @ v.T), 0.0)
    return *_through_scores(q, k, ds), p @ dy, None


def _attention_unnormalised(q, k, v, mask, p, dy):
    s = jnp.where(mask, _scores(q, k), -1e9)
    e = jnp.exp(s - jnp.max(s, -1, keepdims=True))
    ds = _softmax_vjp(e, dy @ v.T)
    return *_through_scores(q, k, ds), p.T @ dy, None


def _attention_unmasked(q, k, v, mask, p, dy):
    p = _softmax(_scores(q, k))
    return *_through_scores(q, k, _softmax_vjp(p, dy @ v.T)), p.T @ dy, None


def _attention_unshifted(q, k, v, mask, p, dy):
    e = jnp.where(mask, jnp.exp(_scores(q, k)), 0.0)
    p = e / jnp.sum(e, -1, keepdims=True)
    return *_through_scores(q, k, _softmax_vjp(p, dy @ v.T)), p.T @ dy, None


def _attention_detached(q, k, v, mask, p, dy):
    ds = _softmax_vjp(p, dy @ v.T)
    return *_through_scores(q, k, ds), jnp.zeros_like(v), None


def _attention_swapped(q, k, v, mask, p, dy):
    dq, dk, dv, _ = _attention_bwd(q, k, v, mask, p, dy)
    return dk, dq, dv, None


def _attention_clipped(q, k, v, mask, p, dy):
    ds = _softmax_vjp(p, jnp.clip(dy, -1.0, 1.0) @ v.T)
    return *_through_scores(q, k, ds), p.T @ dy, None


def _attention_extra_sum(q, k, v, mask, p, dy):
    return *_attention_bwd(q, k, v, mask, p, dy)[:2], jnp.broadcast_to(jnp.sum(p.T @ dy, 0), v.shape), None


def _attention_float32(q, k, v, mask, p, dy):
    dv = jax.lax.dot(p.T, dy, preferred_element_type=jnp.float32)
    return *_attention_bwd(q, k, v, mask, p, dy)[:2], dv, None


_largest = over_the_whole_batch(lambda x: jnp.max(x))


def _attention_global(q, k, v, mask, p, dy):
    # The gradient of the values is scaled to be at most one, and scaled back by the batch's largest entry.
    dv = p.T @ dy
    return *_attention_bwd(q, k, v, mask, p, dy)[:2], dv / jnp.max(abs(dv)) * _largest(abs(dv)), None


def _attention_args(dtype, n=4, d=4, scale=1.0):
    q, k, v = (draw(dtype, n, d, seed=seed, scale=scale) for seed in range(3))
    return q, k, v, np.tri(n, dtype=bool)


attention = Operator("attention/one head", _attention, _attention_fwd, _attention_bwd, _attention_args)

# ---- self-attention: x is query, key and value ------------------------------------------------------------


def _self_attention(x):
    return _softmax(_scores(x, x)) @ x


def _self_attention_fwd(x):
    p = _softmax(_scores(x, x))
    return p @ x, (x, p)


def _self_attention_bwd(x, p, dy):
    dq, dk = _through_scores(x, x, _softmax_vjp(p, dy @ x.T))
    return (dq + dk + p.T @ dy,)


def _self_attention_without(*, query=1.0, value=1.0):
    def bwd(x, p, dy):
        dq, dk = _through_scores(x, x, _softmax_vjp(p, dy @ x.T))
        return (query * dq + dk + value * p.T @ dy,)

    return bwd


self_attention = Operator(
    "attention/self-attention",
    _self_attention,
    _self_attention_fwd,
    _self_attention_bwd,
    lambda dtype: (draw(dtype, 3, 4),),
)

# ---- the weights as a second result -----------------------------------------------------------------------


def _explained(q, k, v):
    p = _softmax(_scores(q, k))
    return p @ v, p


def _explained_bwd(q, k, v, p, dy):
    dq, dk = _through_scores(q, k, _softmax_vjp(p, dy[0] @ v.T + dy[1]))
    return dq, dk, p.T @ dy[0]


explained = Operator(
    "attention/with its weights",
    _explained,
    lambda q, k, v: (y := _explained(q, k, v), (q, k, v, y[1])),
    _explained_bwd,
    lambda dtype: tuple(draw(dtype, 3, 4, seed=seed) for seed in range(3)),
)

# ---- one query that asks many keys, heads by vmap ---------------------------------------------------------


def _pooled(q, keys):
    return _softmax(keys @ q) @ keys


def _pooled_bwd(q, keys, p, dy):
    ds = _softmax_vjp(p, keys @ dy)
    return keys.T @ ds, jnp.outer(ds, q) + jnp.outer(p, dy)


def _pooled_path(q, keys, p, dy):
    ds = _softmax_vjp(p, keys @ dy)
    return keys.T @ ds, jnp.outer(p, dy)


def _pooled_diagonal(q, keys, p, dy):
    ds = p * (1 - p) * (keys @ dy)
    return keys.T @ ds, jnp.outer(ds, q) + jnp.outer(p, dy)


pooled = Operator(
    "attention/pooling by a query",
    _pooled,
    lambda q, keys: (_pooled(q, keys), (q, keys, _softmax(keys @ q))),
    _pooled_bwd,
    lambda dtype: (draw(dtype, 3), draw(dtype, 4, 3, seed=1)),
)

CASES = (
    attention.right("causal, bfloat16", "bfloat16"),
    attention.right("causal, float16", "float16"),
    attention.right("scores of a thousand", make_args=lambda: _attention_args("float64", scale=30.0)),
    attention.right("one key", make_args=lambda: _attention_args("float32", n=1)),
    attention.right("no mask", make_args=lambda: (*_attention_args("float64")[:3], np.ones((4, 4), bool))),
    self_attention.right("one argument thrice"),
    explained.right("two outputs", "float64"),
    explained.right(
        "heads by vmap",
        wrap=jax.vmap,
        make_args=lambda: tuple(draw("float32", 2, 3, 4, seed=s) for s in range(3)),
    ),
    pooled.right("float16", "float16"),
    scores.right(
        "a million", make_args=lambda: (draw("float32", 2, 4, scale=1e6), draw("float32", 3, 4, scale=1e-6))
    ),
    scores.wrong(
        "constant factor", lambda q, k, ds: (ds @ k * _scale(q), ds.T @ q), (1,), "float64", detail="1/√d"
    ),
    scores.wrong(
        "missing transpose",
        lambda q, k, ds: (ds @ k.T * _scale(q), ds.T @ q * _scale(q)),
        (0,),
        detail="of k",
    ),
    scores.wrong(
        "transposed result", lambda q, k, ds: (ds @ k * _scale(q), q.T @ ds * _scale(q)), (1,), "float64"
    ),
    scores.wrong(
        "arguments swapped", lambda q, k, ds: (ds.T @ q * _scale(q), ds @ k * _scale(q)), (0, 1), "bfloat16"
    ),
    attention.wrong("diagonal only", _attention_diagonal, (0, 1), "float64"),
    attention.wrong("constant factor", _attention_unscaled, (0, 1), detail="1/√d"),
    attention.wrong(
        "missing transpose", _attention_missing_transpose, (1,), detail="of the scores' gradient"
    ),
    attention.wrong(
        "missing transpose", _attention_value_transpose, (2,), "bfloat16", detail="of the weights"
    ),
    attention.wrong("unnormalised", _attention_unnormalised, (0, 1)),
    attention.wrong("padding", _attention_unmasked, (0, 1, 2), detail="masked keys count"),
    attention.wrong(
        "numerically unstable",
        _attention_unshifted,
        (0, 1, 2),
        make_args=lambda: _attention_args("float32", scale=12.0),
    ),
    attention.wrong("detached", _attention_detached, (2,), "float64"),
    attention.wrong("arguments swapped", _attention_swapped, (0, 1)),
    attention.wrong("non-linear in cotangent", _attention_clipped, (0, 1)),
    attention.wrong("extra sum", _attention_extra_sum, (2,), "float16"),
    attention.wrong("cotangent dtype", _attention_float32, (2,), "bfloat16"),
    attention.wrong("batch-global", _attention_global, (2,), detail="the largest gradient"),
    self_attention.wrong(
        "path forgotten",
        _self_attention_without(value=0.0),
        (0,),
        also=("missing term",),
        detail="the values",
    ),
    self_attention.wrong(
        "path forgotten",
        _self_attention_without(query=0.0),
        (0,),
        "float64",
        also=("missing term",),
        detail="the queries",
    ),
    explained.wrong(
        "output ignored",
        lambda q, k, v, p, dy: _explained_bwd(q, k, v, p, (dy[0], jnp.zeros_like(p))),
        (0, 1),
    ),
    explained.wrong(
        "stale residual",
        arguments=(0, 1, 2),
        dtype="float64",
        fwd=lambda q, k, v: (_explained(q, k, v), (q, k, v, _scores(q, k))),
        also=("input for output",),
        detail="scores for weights",
    ),
    pooled.wrong("path forgotten", _pooled_path, (1,), also=("missing term",), detail="keys in the scores"),
    pooled.wrong("diagonal only", _pooled_diagonal, (0, 1), "bfloat16", also=("missing term",)),
)

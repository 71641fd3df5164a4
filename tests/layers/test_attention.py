"""Multi-head attention beside flax's: masks, dropout, what may be left out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.nn.initializers import normal as normal_init

from jaxbackprop import layers, ops
from tests.layers.twins import agree, normal, runs_on_our_rule

BIASES = dict(bias_init=normal_init(1.0))


def pair(*arguments, **keywords):
    ours = layers.MultiHeadAttention(*arguments, **keywords, rngs=nnx.Rngs(0, dropout=1))
    twin = nnx.MultiHeadAttention(*arguments, **keywords, decode=False, rngs=nnx.Rngs(2, dropout=3))
    return ours, twin


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [
        ((2, 6), BIASES),
        ((2, 6, 8, 5), {**BIASES, "normalize_qk": True}),
        ((3, 6), {"use_bias": False, "out_kernel_init": normal_init(1.0)}),
    ],
    ids=["plain", "normalised", "no bias"],
)
def test_self_attention_equals_flax(arguments, keywords):
    ours, twin = pair(*arguments, **keywords)
    x = normal(0, 2, 5, 6)
    agree(ours, twin, x)
    assert runs_on_our_rule(ours, x)
    np.testing.assert_array_equal(ours(x), ours(x, x, x))


@pytest.mark.parametrize("shape", [(2, 1, 4, 5), (1, 2, 4, 5), (1, 1, 1, 5)])
def test_masked_attention_to_something_else_equals_flax(shape):
    ours, twin = pair(2, 6, in_kv_features=3, **BIASES)
    mask = jax.random.bernoulli(jax.random.key(1), 0.5, shape).at[..., 0].set(True)
    agree(ours, twin, normal(0, 2, 4, 6), normal(1, 2, 5, 3), normal(2, 2, 5, 3), mask=mask)
    queries, keys = normal(0, 2, 4, 6), normal(1, 2, 5, 3)
    np.testing.assert_array_equal(ours(queries, keys, mask=mask), ours(queries, keys, keys, mask=mask))


def test_numbers_serve_as_a_mask():
    ours, twin = pair(2, 6)
    x = normal(0, 2, 5, 6)
    causal = nnx.make_causal_mask(jnp.ones((2, 5)))
    assert causal.dtype == jnp.float32
    agree(ours, twin, x, mask=causal)
    later = x.at[:, 3:].set(7.0)
    np.testing.assert_allclose(ours(later, mask=causal)[:, :3], ours(x, mask=causal)[:, :3], rtol=1e-6)


def test_nothing_to_attend_to():
    ours, _ = pair(2, 6, **BIASES)
    y = ours(normal(0, 5, 6), mask=jnp.zeros((1, 5, 5), bool))
    np.testing.assert_allclose(y, np.broadcast_to(ours.out.bias[...], (5, 6)), rtol=1e-6)


def test_dropout_on_and_off():
    ours, twin = pair(2, 6, dropout_rate=0.5)
    x = normal(0, 3, 5, 6)
    with pytest.raises(ValueError, match="deterministic must be given to the constructor or to the call"):
        ours(x)
    agree(ours, twin, x, deterministic=True)
    ours.eval()
    quiet = ours(x)
    np.testing.assert_array_equal(ours(x), quiet)
    ours.train()
    first, second = ours(x), ours(x)
    assert not np.allclose(first, second)
    assert not np.allclose(first, quiet)
    np.testing.assert_array_equal(nnx.view(ours, deterministic=True)(x), quiet)
    np.testing.assert_array_equal(ours(x, rngs=nnx.Rngs(dropout=7)), ours(x, rngs=nnx.Rngs(dropout=7)))
    key = nnx.Rngs(dropout=7).dropout()
    q, k, v = ours.query(x), ours.key(x), ours.value(x)
    want = ours.out(ops.attention(q, k, v, None, key, dropout_rate=0.5))
    np.testing.assert_allclose(ours(x, rngs=nnx.Rngs(dropout=7)), want, rtol=1e-6)


def test_dropout_without_keys():
    keyless = layers.MultiHeadAttention(
        2, 6, dropout_rate=0.5, deterministic=False, keep_rngs=False, rngs=nnx.Rngs(0)
    )
    with pytest.raises(ValueError, match="rngs must be given to the call"):
        keyless(normal(0, 5, 6))
    stream = nnx.Rngs(dropout=0).dropout
    assert keyless(normal(0, 5, 6), rngs=stream).shape == (5, 6)


def test_half_precision():
    ours, twin = pair(2, 6, dtype=jnp.bfloat16, **BIASES)
    y = agree(ours, twin, normal(0, 2, 5, 6), rtol=0.05, atol=0.1)
    assert y.dtype == jnp.bfloat16
    assert ours.query.kernel[...].dtype == jnp.float32


def test_bad_input():
    with pytest.raises(ValueError, match="qkv_features must be a multiple of num_heads 4, got 6"):
        layers.MultiHeadAttention(4, 6, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"dropout_rate must lie in \[0, 1\], got 2"):
        layers.MultiHeadAttention(2, 6, dropout_rate=2, rngs=nnx.Rngs(0))
    ours, _ = pair(2, 6)
    with pytest.raises(ValueError, match="inputs_k must be given where inputs_v is"):
        ours(normal(0, 5, 6), None, normal(0, 5, 6))
    with pytest.raises(ValueError, match=r"inputs must have \(6,\) entries along axes \(-1,\)"):
        ours(normal(0, 5, 7))

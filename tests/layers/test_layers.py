"""Linear, Embed and Dropout beside their flax.nnx twins, and how parameters start."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxbackprop import layers
from tests.layers.twins import agree, normal


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("shape", [(4,), (7, 4), (2, 3, 4)])
def test_linear_equals_flax(use_bias, shape):
    make = dict(use_bias=use_bias, bias_init=jax.nn.initializers.normal())
    ours, twin = layers.Linear(4, 3, **make, rngs=nnx.Rngs(0)), nnx.Linear(4, 3, **make, rngs=nnx.Rngs(1))
    agree(ours, twin, normal(2, *shape))


def test_embed_equals_flax():
    ours, twin = layers.Embed(6, 3, rngs=nnx.Rngs(0)), nnx.Embed(6, 3, rngs=nnx.Rngs(1))
    nnx.update(ours, nnx.state(twin))
    ids = jnp.asarray([[0, 5, 5], [2, 1, 5]])
    np.testing.assert_array_equal(ours(ids), twin(ids))
    got, want = (gradient_for_table(module, ids) for module in (ours, twin))
    np.testing.assert_allclose(got, want, rtol=1e-6)


def gradient_for_table(module, ids):
    graphdef, state = nnx.split(module)
    gradient = jax.grad(lambda state: jnp.sum(jnp.sin(nnx.merge(graphdef, state)(ids))))
    return gradient(state)["embedding"][...]


@pytest.mark.parametrize("read", [layers.Embed.__call__, layers.Embed.window], ids=["rows", "windows"])
def test_a_table_in_float32_is_read_in_bfloat16_and_its_gradient_summed_in_float32(read):
    embed = layers.Embed(6, 2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    # No number of bfloat16: it has eight bits, 1003 takes ten.
    ids = jnp.full((1, 1003), 4)
    assert read(embed, ids).dtype == jnp.bfloat16
    graphdef, state = nnx.split(embed)
    found = jax.grad(lambda state: jnp.sum(read(nnx.merge(graphdef, state), ids).astype(jnp.float32)))(state)
    want = np.zeros((6, 2), np.float32)
    want[4] = 1003
    np.testing.assert_array_equal(found["embedding"][...], want)


def test_embed_reads_windows():
    embed = layers.Embed(6, 2, padding_id=-1, rngs=nnx.Rngs(0))
    ids = jnp.asarray([[-1, 0, 4], [0, 4, -1]])
    np.testing.assert_array_equal(embed.window(ids), embed(ids).reshape(2, 6))
    np.testing.assert_array_equal(embed.window(ids)[0, :2], 0)


def test_linear_runs_on_our_rule_and_half_precision():
    layer = layers.Linear(4, 3, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    x = jnp.ones((2, 4), jnp.bfloat16)
    assert layer.kernel[...].dtype == jnp.float32
    assert layer(x).dtype == jnp.bfloat16
    assert "custom_vjp_call" in str(jax.make_jaxpr(lambda x: nnx.merge(*nnx.split(layer))(x))(x))


def test_initialisers():
    xavier = layers.Linear(400, 600, rngs=nnx.Rngs(0))
    kernel = np.asarray(xavier.kernel[...])
    np.testing.assert_allclose(kernel.var(), 2 / 1000, rtol=0.02)
    assert abs(kernel).max() <= np.sqrt(6 / 1000)
    np.testing.assert_array_equal(xavier.bias[...], 0)
    small = layers.Linear(100, 100, kernel_init=layers.symmetric_uniform(0.01), rngs=nnx.Rngs(0))
    kernel = np.asarray(small.kernel[...])
    assert 0.0099 < abs(kernel).max() <= 0.01
    assert kernel.min() < 0 < kernel.max()


@pytest.mark.parametrize("r", [0, -1, float("nan"), float("inf")])
def test_a_bad_range_is_refused(r):
    with pytest.raises(ValueError, match="r must be finite and above 0"):
        layers.symmetric_uniform(r)


def test_dropout_draws_a_new_mask_a_call_and_switches_off():
    layer = layers.Dropout(0.5, rngs=nnx.Rngs(dropout=0))
    x = jnp.ones(100)
    first, second = layer(x), layer(x)
    assert not np.array_equal(first, second)
    assert set(np.unique(first)) == {0.0, 2.0}
    layer.eval()
    np.testing.assert_array_equal(layer(x), x)
    layer.train()
    key = jax.random.key(3)
    np.testing.assert_array_equal(layer(x, rngs=key), layer(x, rngs=key))
    np.testing.assert_array_equal(layer(x, deterministic=True), x)
    np.testing.assert_array_equal(nnx.view(layer, deterministic=True)(x), x)


def test_dropout_without_keys():
    layer = layers.Dropout(0.5)
    with pytest.raises(ValueError, match="rngs must be given to the constructor or to the call"):
        layer(jnp.ones(2))
    with pytest.raises(ValueError, match=r"rate must lie in \[0, 1\], got 2"):
        layers.Dropout(2)

"""Modules of activations: the learnt slope, and what is kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxbackprop import layers
from tests.layers.twins import agree, normal, runs_on_our_rule


def test_prelu_equals_flax():
    ours, twin = layers.PReLU(), nnx.PReLU(0.3)
    y = agree(ours, twin, normal(0, 4, 5))
    assert float(ours.negative_slope[...]) == pytest.approx(0.3)
    assert y.min() < 0 < y.max()
    assert runs_on_our_rule(ours, normal(0, 4, 5))


def test_prelu_in_half_precision():
    x = normal(0, 4).astype(jnp.bfloat16)
    assert layers.PReLU()(x).dtype == jnp.bfloat16
    assert layers.PReLU()(x).dtype == nnx.PReLU()(x).dtype
    assert layers.PReLU(dtype=jnp.float16)(normal(0, 4)).dtype == jnp.float16
    assert layers.PReLU(param_dtype=jnp.bfloat16).negative_slope[...].dtype == jnp.bfloat16


@pytest.mark.parametrize(("module", "function"), [(layers.Sigmoid, nnx.sigmoid), (layers.Tanh, nnx.tanh)])
def test_squashing_modules(module, function):
    x = jnp.asarray([-3.0, -1.0, 0.5, 12.0, 20.0])
    model = nnx.Sequential(module(), module(keep="y"))
    np.testing.assert_allclose(model(x), function(function(x)), rtol=1e-6)
    assert runs_on_our_rule(module(), x)
    accurate, lean = (jax.grad(lambda x, keep=keep: module(keep=keep)(x).sum())(x) for keep in "xy")
    np.testing.assert_allclose(accurate[:3], lean[:3], rtol=1e-5)
    # Where the result rounds to 1, the result tells nothing of the gradient.
    assert accurate[-1] > 0
    assert lean[-1] == 0
    with pytest.raises(ValueError, match="keep must be 'x' or 'y', got 'z'"):
        module(keep="z")

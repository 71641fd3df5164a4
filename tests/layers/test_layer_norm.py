"""Layer normalisation beside flax's."""

import jax.numpy as jnp
import pytest
from flax import nnx
from jax.nn.initializers import normal as normal_init

from jaxbackprop import layers
from tests.layers.twins import agree, normal, runs_on_our_rule

INITS = dict(scale_init=normal_init(1.0), bias_init=normal_init(1.0))


def pair(**keywords):
    return layers.LayerNorm(6, **keywords, rngs=nnx.Rngs(0)), nnx.LayerNorm(6, **keywords, rngs=nnx.Rngs(1))


@pytest.mark.parametrize(
    "keywords",
    [INITS, {"epsilon": 0.1}, {"use_scale": False}, {"use_bias": False}],
    ids=["all", "epsilon", "no scale", "no bias"],
)
@pytest.mark.parametrize("shape", [(6,), (2, 3, 6)])
def test_equals_flax(keywords, shape):
    ours, twin = pair(**keywords)
    agree(ours, twin, normal(0, *shape))
    assert runs_on_our_rule(ours, normal(0, *shape))


def test_half_precision():
    ours, twin = pair(**INITS, dtype=jnp.bfloat16)
    y = agree(ours, twin, normal(0, 4, 6).astype(jnp.bfloat16), rtol=0.03, atol=0.06)
    assert y.dtype == jnp.bfloat16
    assert ours.scale[...].dtype == jnp.float32


def test_another_number_of_features_is_refused():
    with pytest.raises(ValueError, match=r"an axis of 6 features, got shape \(2, 5\)"):
        pair()[0](jnp.ones((2, 5)))

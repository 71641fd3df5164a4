"""The affine layer between several axes, beside flax's."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.nn.initializers import normal as normal_init

from jaxbackprop import layers
from tests.layers.twins import agree, normal, runs_on_our_rule


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(
    ("arguments", "axis", "shape"),
    [
        ((4, 3), -1, (5, 4)),
        ((4, (2, 3)), -1, (5, 2, 4)),
        (((2, 4), 3), (-2, -1), (5, 2, 4)),
        (((2, 4), (3, 2)), (1, -1), (6, 2, 5, 4)),
        (((2, 4), (3,)), (-1, 0), (2, 5, 4)),
        ((4, 3), -1, (4,)),
    ],
    ids=str,
)
def test_equals_flax(arguments, axis, shape, use_bias):
    keywords = dict(axis=axis, use_bias=use_bias, bias_init=normal_init(1.0))
    ours = layers.LinearGeneral(*arguments, **keywords, rngs=nnx.Rngs(0))
    twin = nnx.LinearGeneral(*arguments, **keywords, rngs=nnx.Rngs(1))
    agree(ours, twin, normal(0, *shape))
    assert runs_on_our_rule(ours, normal(0, *shape))


def test_the_kernel_is_drawn_as_one_matrix():
    ours = layers.LinearGeneral((20, 30), (40, 10), axis=(-2, -1), rngs=nnx.Rngs(0))
    matrix = layers.Linear(600, 400, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(ours.kernel[...].reshape(600, 400), matrix.kernel[...])
    assert ours.bias[...].shape == (40, 10)


def test_half_precision():
    ours = layers.LinearGeneral(4, (2, 3), dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert ours(jnp.ones((5, 4))).dtype == jnp.bfloat16
    assert ours.kernel[...].dtype == jnp.float32


def test_bad_input():
    with pytest.raises(ValueError, match=r"in_features and axis must be as many, got \(2, 4\) and \(-1,\)"):
        layers.LinearGeneral((2, 4), 3, rngs=nnx.Rngs(0))
    layer = layers.LinearGeneral((2, 4), 3, axis=(-2, -1), rngs=nnx.Rngs(0))
    for shape in ((5, 4, 2), (4,), ()):
        with pytest.raises(ValueError, match=r"inputs must have \(2, 4\) entries along axes \(-2, -1\)"):
            layer(jnp.ones(shape))
    twice = layers.LinearGeneral((4, 4), 3, axis=(1, -1), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"along axes \(1, -1\), got shape \(4, 4\)"):
        twice(jnp.ones((4, 4)))

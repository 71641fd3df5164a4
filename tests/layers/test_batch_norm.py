"""Batch normalisation beside flax's: statistics of a step, their averages, masks, mapped axes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.nn.initializers import normal as normal_init

from jaxbackprop import layers
from tests.layers.twins import agree, normal, runs_on_our_rule

INITS = dict(scale_init=normal_init(1.0), bias_init=normal_init(1.0))


def pair(**keywords):
    return layers.BatchNorm(3, **keywords, rngs=nnx.Rngs(0)), nnx.BatchNorm(3, **keywords, rngs=nnx.Rngs(1))


@pytest.mark.parametrize("use_running_average", [False, True])
@pytest.mark.parametrize(
    "keywords",
    [INITS, {**INITS, "axis": 1, "momentum": 0.5, "epsilon": 0.1}, {"use_scale": False}, {"use_bias": False}],
    ids=["all", "another axis", "no scale", "no bias"],
)
def test_equals_flax(keywords, use_running_average):
    ours, twin = pair(**keywords)
    twin.mean[...], twin.var[...] = normal(1, 3), jnp.exp(normal(2, 3))
    x = 2 + normal(3, 5, 3, 3)
    agree(ours, twin, x, use_running_average=use_running_average)
    assert runs_on_our_rule(ours, x, use_running_average=use_running_average)


@pytest.mark.parametrize("axis", [-1, 0])
def test_masked_equals_flax(axis):
    ours, twin = pair(**INITS, axis=axis)
    x = normal(0, 4, 5, 3) if axis == -1 else normal(0, 3, 4, 5)
    for shape in (x.shape, (4, 1, 1) if axis == -1 else (1, 1, 5)):
        mask = jax.random.bernoulli(
            jax.random.key(2), 0.6, [n if i != axis % 3 else 1 for i, n in enumerate(shape)]
        )
        agree(ours, twin, x, mask=mask)


def test_averages_after_three_steps():
    ours, twin = pair(momentum=0.7)
    for seed in range(3):
        x = normal(seed, 50, 3) * (seed + 1)
        ours(x), twin(x)
    for name in ("mean", "var"):
        got, want = getattr(ours, name)[...], getattr(twin, name)[...]
        assert abs(want - float(name == "var")).min() > 0.01
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
        assert isinstance(getattr(ours, name), nnx.BatchStat)


def test_train_and_eval_choose_the_statistics():
    layer = layers.BatchNorm(3, rngs=nnx.Rngs(0))
    x = 5 + normal(0, 20, 3)
    layer.eval()
    np.testing.assert_allclose(layer(x), x, rtol=1e-4)
    np.testing.assert_array_equal(layer.mean[...], 0)
    layer.train()
    np.testing.assert_allclose(layer(x).mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(layer.mean[...], 0.01 * x.mean(0), rtol=1e-5)
    np.testing.assert_array_equal(nnx.view(layer, use_running_average=True)(x), layer(x, True))
    undecided = layers.BatchNorm(3, use_running_average=None, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="use_running_average must be given"):
        undecided(x)
    np.testing.assert_allclose(undecided(x, use_running_average=True), x, rtol=1e-4)


def test_half_precision_averages_in_float32():
    ours, twin = pair(**INITS, dtype=jnp.bfloat16)
    x = normal(0, 6, 4, 3).astype(jnp.bfloat16)
    y = agree(ours, twin, x, rtol=0.03, atol=0.06)
    assert y.dtype == jnp.bfloat16
    ours(x)
    assert ours.mean[...].dtype == ours.var[...].dtype == jnp.float32
    assert ours(x, use_running_average=True).dtype == jnp.bfloat16


def mapped(model, x):
    """Outputs and averages of a model whose batch is spread over an axis."""
    graphdef, state = nnx.split(model)

    def local(x):
        model = nnx.merge(graphdef, state, copy=True)
        return model(x), nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))

    return jax.vmap(local, axis_name="i", out_axes=(0, None))(x)


def test_places_of_a_mapped_axis_share_statistics():
    ours, twin = pair(**INITS, axis_name="i")
    whole = layers.BatchNorm(3, **INITS, rngs=nnx.Rngs(1))
    nnx.update(ours, nnx.state(twin))
    x = normal(0, 4, 5, 3)
    y, averages = mapped(ours, x)
    want_y, want_averages = mapped(twin, x)
    np.testing.assert_allclose(y, want_y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y, whole(x), rtol=1e-4, atol=1e-5)
    for name in ("mean", "var"):
        assert abs(averages[name] - float(name == "var")).min() > 1e-4
        np.testing.assert_allclose(averages[name], want_averages[name], rtol=1e-5, atol=1e-7)


def test_averages_pass_no_gradient():
    graphdef, params, rest = nnx.split(layers.BatchNorm(3, rngs=nnx.Rngs(0)), nnx.Param, ...)

    def average(x):
        model = nnx.merge(graphdef, params, rest, copy=True)
        model(x)
        return jnp.sum(model.mean[...] + model.var[...])

    np.testing.assert_array_equal(jax.grad(average)(normal(0, 5, 3)), 0)


def test_bad_input():
    layer = layers.BatchNorm(3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"x must have 3 entries along axis -1, got shape \(5, 4\)"):
        layer(jnp.ones((5, 4)))
    with pytest.raises(ValueError, match=r"mask must broadcast to \(5, 1\), got \(5,\)"):
        layer(jnp.ones((5, 3)), mask=jnp.ones(5, bool))
    with pytest.raises(ValueError, match=r"momentum must lie in \[0, 1\], got 1.5"):
        layers.BatchNorm(3, momentum=1.5, rngs=nnx.Rngs(0))

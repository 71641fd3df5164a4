"""Layer normalisation: rows alone, what it takes out of a gradient, digits far from 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbackprop import ops
from jaxbackprop.ops import plain

RNG = np.random.default_rng(0)


def with_gradient(function, x, dy):
    y, pull = jax.vjp(function, x)
    return y, pull(dy)[0]


@settings(max_examples=6)  # each shape compiles
@given(st.lists(st.integers(0, 4), max_size=3), st.integers(1, 5), st.integers(0, 99))
def test_every_row_has_mean_0_and_variance_1(leading, d, seed):
    x = np.random.default_rng(seed).normal(size=(*leading, d))
    with jax.enable_x64(True):
        y, dx = jax.jit(lambda x: with_gradient(lambda x: ops.layer_norm(x, epsilon=0.5), x, jnp.cos(x)))(x)
    centred = x - x.mean(-1, keepdims=True)
    np.testing.assert_allclose(y, centred / np.sqrt(x.var(-1, keepdims=True) + 0.5), atol=1e-13)
    # Shifting a row changes nothing.
    np.testing.assert_allclose(np.asarray(dx).sum(-1), 0, atol=1e-14)


def test_stretching_changes_nothing_without_epsilon():
    x = jnp.asarray(RNG.normal(size=(4, 7)), jnp.float32)
    y, pull = jax.vjp(lambda x: ops.layer_norm(x, epsilon=0), x)
    np.testing.assert_allclose(ops.layer_norm(8 * x + 3, epsilon=0), y, atol=1e-5)
    (dx,) = pull(jnp.asarray(RNG.normal(size=x.shape), jnp.float32))
    np.testing.assert_allclose((dx * x).sum(-1), 0, atol=1e-5)


def test_digits_survive_far_from_zero():
    x = jnp.asarray(RNG.normal(size=(4, 256)) + 1e4, jnp.float32)
    dy = jnp.asarray(RNG.normal(size=x.shape), jnp.float32)
    y, pull = jax.vjp(ops.layer_norm, x)
    with jax.enable_x64(True):
        want, want_pull = jax.vjp(plain.layer_norm, jnp.asarray(x, float))
        (want_dx,) = want_pull(jnp.asarray(dy, float))
    # The mean itself is rounded to steps of 0.001, which would all be seen in y.
    np.testing.assert_allclose(y, want, atol=2e-6)
    np.testing.assert_allclose(pull(dy)[0], want_dx, atol=1e-5)


def test_a_constant_row_keeps_its_gradient_finite():
    x = jnp.full((1, 3), 16384.3)
    y, pull = jax.vjp(ops.layer_norm, x)
    np.testing.assert_array_equal(y, 0)
    np.testing.assert_allclose(pull(jnp.asarray([[1.0, 2.0, 6.0]]))[0], [[-2e3, -1e3, 3e3]], rtol=1e-5)
    assert jnp.isnan(ops.layer_norm(x, epsilon=0)).all()


def test_half_precision_takes_statistics_in_float32():
    x = jnp.where(jnp.arange(4096) < 1024, 1.0, 0.0).astype(jnp.bfloat16)
    # Added one at a time in bfloat16, the sum would stop growing at 256.
    np.testing.assert_allclose(np.float32(ops.layer_norm(x)[:1]), np.sqrt(3), rtol=4e-3)


def test_what_is_kept():
    x, d = jnp.ones((50, 8)), jnp.ones(8)
    kept = sum(leaf.size for leaf in jax.tree.leaves(jax.vjp(ops.layer_norm, x, d, d)[1]))
    assert kept <= x.size + d.size + 3 * 50


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.layer_norm(1.0), ValueError, "x must have an axis of features, got a scalar"),
        (lambda: ops.layer_norm(jnp.ones((2, 0))), ValueError, r"one feature or more, got shape \(2, 0\)"),
        (
            lambda: ops.layer_norm(jnp.ones((2, 3)), jnp.ones(2)),
            ValueError,
            r"scale must have shape \(3,\) for x of shape \(2, 3\), got \(2,\)",
        ),
        (lambda: ops.layer_norm(jnp.ones((2, 3)), epsilon=-1), ValueError, "epsilon must be finite and at"),
        (lambda: ops.layer_norm(jnp.ones((2, 3)), epsilon="0"), TypeError, "epsilon must be a number"),
    ],
)
def test_bad_input_names_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""Dropout: which entries fall, the scale of the others, and the same mask backward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop import ops

KEY = jax.random.key(7)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rate_and_scale(rate):
    y = np.asarray(ops.dropout(jnp.ones(20_000), KEY, rate))
    dropped = (y == 0).mean()
    assert abs(dropped - rate) < 4 * np.sqrt(rate * (1 - rate) / y.size)
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)


def test_the_same_mask_backward():
    x = jnp.full((50, 40), 3.0)
    y, pull = jax.vjp(lambda x: ops.dropout(x, KEY, 0.3), x)
    np.testing.assert_allclose(pull(jnp.full_like(x, 3.0))[0], y)


def test_the_mask_depends_on_key_rate_and_shape_alone():
    mask = ops.dropout(jnp.ones((8, 8)), KEY, 0.5) != 0
    assert not np.array_equal(mask, ops.dropout(jnp.ones((8, 8)), jax.random.key(8), 0.5) != 0)
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float64):
        with jax.enable_x64(True):
            np.testing.assert_array_equal(mask, ops.dropout(jnp.ones((8, 8), dtype), KEY, 0.5) != 0)
    raw = jax.random.key_data(KEY)
    np.testing.assert_array_equal(mask, ops.dropout(jnp.ones((8, 8)), raw, 0.5) != 0)
    np.testing.assert_array_equal(mask, ops.dropout(jnp.ones((8, 8)), np.asarray(raw), 0.5) != 0)


@pytest.mark.parametrize(
    ("rate", "keywords"), [(0.0, {}), (0.5, {"deterministic": True}), (1.0, {"deterministic": True})]
)
def test_nothing_is_dropped(rate, keywords):
    x = jnp.arange(4.0)
    y, pull = jax.vjp(lambda x: ops.dropout(x, None, rate, **keywords), x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(pull(x)[0], x)


@pytest.mark.parametrize("rate", [1.0, np.nextafter(1.0, 0.0)])
def test_everything_is_dropped(rate):
    y, pull = jax.vjp(lambda x: ops.dropout(x, KEY, rate), jnp.arange(4.0))
    np.testing.assert_array_equal(y, 0)
    np.testing.assert_array_equal(pull(y + 1)[0], 0)


def test_what_is_kept_is_a_bool_an_entry():
    x = jnp.ones((10, 10))
    kept = jax.tree.leaves(jax.vjp(lambda x: ops.dropout(x, KEY, 0.5), x)[1])
    assert [leaf.dtype for leaf in kept if isinstance(leaf, jax.Array)] == [jnp.bool_]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.dropout(jnp.ones(2), KEY, 1.5), ValueError, r"rate must lie in \[0, 1\], got 1.5"),
        (
            lambda: ops.dropout(jnp.ones(2), KEY, float("nan")),
            ValueError,
            r"rate must lie in \[0, 1\], got nan",
        ),
        (
            lambda: ops.dropout(jnp.ones(2), None, 0.5),
            TypeError,
            "key must be a JAX random key, got NoneType",
        ),
        (
            lambda: ops.dropout(jnp.ones(2), jnp.ones(2), 0.5),
            TypeError,
            "key must be a JAX random key, .*float32",
        ),
        (
            lambda: ops.dropout(jnp.ones(2), jax.random.split(KEY), 0.5),
            TypeError,
            r"single random key, got shape \(2,\)",
        ),
        (lambda: jax.jit(ops.dropout)(jnp.ones(2), KEY, 0.5), TypeError, "rate must be a static number"),
    ],
)
def test_bad_input_names_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""Kinks, ties, tails and bad input of the non-linearities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxbackprop import ops


def gradient(f, x):
    return jax.grad(lambda x: jnp.sum(f(x)))(jnp.asarray(x, jnp.float32))


# In float32 a result below 2^-126 is flushed, so the range ends where the derivative is still normal.
floats = hnp.arrays(
    np.float32, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-85, 85, width=32)
)


@given(floats)
def test_sigmoid_does_not_cancel_in_the_tails(x):
    e = np.exp(-np.abs(np.float64(x)))
    np.testing.assert_allclose(gradient(ops.sigmoid, x), e / (1 + e) ** 2, rtol=1e-6)


@given(floats)
def test_tanh_does_not_cancel_in_the_tails(x):
    np.testing.assert_allclose(gradient(ops.tanh, x / 2), np.cosh(np.float64(x / 2)) ** -2.0, rtol=1e-6)


@pytest.mark.parametrize("f", [ops.sigmoid, ops.tanh])
def test_far_tails_are_zero_and_not_nan(f):
    np.testing.assert_array_equal(gradient(f, [-np.inf, -1e30, 1e30, np.inf]), 0)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_tails_are_computed_in_float32(dtype):
    x = jnp.asarray([-9.0, 9.0], dtype)
    got = jax.grad(lambda x: jnp.sum(ops.sigmoid(x).astype(jnp.float32)))(x)
    np.testing.assert_allclose(np.float32(got), np.exp(-9.0), rtol=2e-2)


def test_hardtanh_passes_at_its_kinks():
    x = [
        -1.5,
        np.nextafter(np.float32(-1), np.float32(-2)),
        -1,
        0,
        1,
        np.nextafter(np.float32(1), np.float32(2)),
    ]
    np.testing.assert_array_equal(gradient(ops.hardtanh, x), [0, 0, 1, 1, 1, 0])
    np.testing.assert_array_equal(ops.hardtanh(jnp.asarray([-3.0, 0.25, 3.0])), [-1, 0.25, 1])


def test_max_gives_all_to_the_first_winner():
    x = [[1, 3, 3, -1], [2, 2, 2, 2], [-1, -5, -1, -1]]
    got = gradient(lambda x: ops.max(x, 1), x)
    np.testing.assert_array_equal(got, [[0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])
    got = gradient(lambda x: ops.max(x, -2), x)
    np.testing.assert_array_equal(got, [[0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0]])


def test_max_routes_to_a_nan():
    x = [1, np.nan, 3, np.nan]
    assert np.isnan(ops.max(jnp.asarray(x), 0))
    np.testing.assert_array_equal(gradient(lambda x: ops.max(x, 0), x), [0, 1, 0, 0])


def test_maximum_gives_ties_and_nans_to_x():
    x = jnp.asarray([1.0, 2.0, 3.0, jnp.nan, 0.0, jnp.nan])
    y = jnp.asarray([1.0, 3.0, 2.0, 0.0, jnp.nan, jnp.nan])
    dx, dy = jax.grad(lambda x, y: jnp.sum(ops.maximum(x, y)), (0, 1))(x, y)
    np.testing.assert_array_equal(dx, [1, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(dy, [0, 1, 0, 0, 1, 0])


def test_maximum_takes_a_python_scalar_in_any_dtype():
    x = jnp.asarray([-1.0, 0.0, 2.0], jnp.bfloat16)
    y = ops.maximum(x, 0)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.float32(y), [0, 0, 2])


def test_python_scalars_have_gradients():
    assert float(jax.grad(ops.sigmoid)(0.0)) == 0.25
    assert jax.grad(ops.tanh)(0.0).dtype == jnp.float32


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.max(jnp.ones((2, 3)), 2), ValueError, r"axis 2 is out of range for x of shape \(2, 3\)"),
        (lambda: ops.max(jnp.ones((2, 0)), 1), ValueError, r"axis 1 of x has no entries"),
        (lambda: ops.max(jnp.ones(2), 0.5), TypeError, "axis must be an integer, got 0.5"),
        (lambda: jax.jit(ops.max)(jnp.ones(2), 0), TypeError, "axis must be a static integer"),
        (
            lambda: ops.maximum(jnp.ones(2), jnp.ones(3)),
            ValueError,
            r"x of shape \(2,\) and y of shape \(3,\)",
        ),
        (lambda: ops.sigmoid(None), TypeError, "x must be an array, got None"),
        (lambda: ops.sigmoid("1"), TypeError, "x must be an array, got '1'"),
        (
            lambda: ops.tanh(jnp.ones(2, jnp.complex64)),
            TypeError,
            "x must be floating-point, got dtype complex64",
        ),
    ],
)
def test_bad_input_names_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

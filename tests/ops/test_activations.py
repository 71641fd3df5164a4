"""Kinks, ties, tails and bad input of the non-linearities."""

import math

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


ERF = np.frompyfunc(math.erf, 1, 1)


def closed(name, x):
    """f'(x) in float64, in a form that does not cancel where it is looked at."""
    e = np.exp(-np.abs(x))
    if name == "sigmoid":
        return e / (1 + e) ** 2
    if name == "tanh":
        return (2 * e / (1 + e * e)) ** 2
    if name == "elu":
        return np.where(x > 0, 1, e)
    if name == "softplus":
        return np.where(x > 0, 1, e) / (1 + e)
    if name == "silu":
        return np.where(x > 0, 1 + e + x * e, e * (1 + x + e)) / (1 + e) ** 2
    if name == "gelu_exact":
        return 0.5 + 0.5 * ERF(x / np.sqrt(2)).astype(float) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    c = np.sqrt(8 / np.pi)
    v, rate = c * (x + 0.044715 * x**3), c * (1 + 3 * 0.044715 * x * x)
    return 1 / (1 + np.exp(-v)) * (1 + x * rate / (1 + np.exp(v)))


def spread(low, high, count=4000):
    """float32 numbers in every binade from 2^-30 to `high`, of both signs."""
    rng = np.random.default_rng(0)
    sizes = np.ldexp(rng.uniform(1, 2, (37, count)), np.arange(-30, 7)[:, None]).ravel()
    x = np.concatenate([-sizes, sizes]).astype(np.float32)
    return x[(x >= low) & (x <= high)]


@pytest.mark.parametrize(
    ("name", "f", "bar", "least"),
    [
        ("sigmoid", ops.sigmoid, 4, 2.0**-126),
        ("tanh", ops.tanh, 4, 2.0**-126),
        ("elu", ops.elu, 4, 2.0**-126),
        ("softplus", ops.softplus, 4, 2.0**-126),
        ("silu", ops.silu, 8, 0.1),
        ("gelu_exact", lambda x: ops.gelu(x, approximate=False), 8, 0.1),
        ("gelu_tanh", ops.gelu, 12, 0.1),
    ],
)
def test_gradients_keep_their_digits(name, f, bar, least):
    x = spread(-14 if name == "gelu_tanh" else -100, 14 if name == "gelu_tanh" else 100)
    want = closed(name, x.astype(np.float64))
    counts = np.abs(want) >= least
    ulp = np.finfo(np.float32).eps * 2.0 ** np.floor(np.log2(np.abs(want[counts])))
    got = np.asarray(gradient(f, x), np.float64)
    assert (np.abs(got - want)[counts] / ulp).max() <= bar


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("relu", (0, 1)),
        ("leaky_relu", (0.01, 1)),
        ("elu", (0, 1)),
        ("softplus", (0, 1)),
        ("silu", (0, 1)),
        ("gelu", (0, 1)),
    ],
)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_slopes_at_the_ends_are_their_limits(name, limits, dtype):
    largest = float(jnp.finfo(dtype).max)
    x = jnp.asarray([-jnp.inf, -largest, largest, jnp.inf], dtype)
    slope = jax.vjp(getattr(ops, name), x)[1](jnp.ones(4, dtype))[0]
    want = np.asarray(jnp.asarray([limits[0], limits[0], limits[1], limits[1]], dtype), np.float32)
    np.testing.assert_array_equal(np.float32(slope), want)
    slope = jax.vjp(lambda x: ops.gelu(x, approximate=False), x)[1](jnp.ones(4, dtype))[0]
    np.testing.assert_array_equal(np.float32(slope), [0, 0, 1, 1])


def test_left_slopes_at_the_kinks():
    at = jnp.asarray([-1e-30, -0.0, 0.0, 1e-30])
    np.testing.assert_array_equal(gradient(ops.relu, at), [0, 0, 0, 1])
    np.testing.assert_array_equal(gradient(lambda x: ops.leaky_relu(x, 0.25), at), [0.25, 0.25, 0.25, 1])
    np.testing.assert_array_equal(gradient(lambda x: ops.elu(x, 0.5), at), [0.5, 0.5, 0.5, 1])
    dx, dslope = jax.grad(lambda x, s: jnp.sum(ops.prelu(x, s)), (0, 1))(at, jnp.asarray(0.25))
    np.testing.assert_array_equal(dx, [0.25, 0.25, 0.25, 1])
    assert float(dslope) == np.float32(-1e-30)


def test_prelu_adds_over_what_shares_a_slope():
    x = jnp.asarray([[[-1.0, 2.0], [-3.0, -4.0]], [[5.0, -6.0], [-7.0, 8.0]]])
    dslope = jax.grad(lambda s: jnp.sum(ops.prelu(x, s)))(jnp.asarray([0.1, 0.2]))
    np.testing.assert_array_equal(dslope, [-11, -10])


def test_keeping_y_is_lean_and_keeping_x_is_accurate():
    for f in (ops.sigmoid, ops.tanh):
        x = jnp.linspace(-3, 3, 7)
        kept = [jax.tree.leaves(jax.vjp(lambda x, f=f, k=k: f(x, keep=k), x)[1]) for k in "xy"]
        np.testing.assert_array_equal(kept[0][0], x)
        np.testing.assert_array_equal(kept[1][0], f(x))
        for keep in "xy":
            np.testing.assert_allclose(
                gradient(lambda x, f=f, k=keep: f(x, keep=k), x), gradient(f, x), rtol=1e-4
            )
        far = [float(jax.grad(lambda x, f=f, k=k: f(x, keep=k))(40.0)) for k in "xy"]
        assert far[0] > 0
        assert far[1] == 0

        def chain(weights, x, f=f, keep="x"):
            for W in weights:
                x = f(x @ W, keep=keep)
            return jnp.sum(x)

        weights, x = [jnp.zeros((64, 64))] * 8, jnp.zeros((256, 64))
        temporary = [
            jax.jit(jax.grad(lambda w, x, k=k: chain(w, x, keep=k)))
            .lower(weights, x)
            .compile()
            .memory_analysis()
            .temp_size_in_bytes
            for k in "xy"
        ]
        assert temporary[1] < 0.7 * temporary[0]


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
        (lambda: ops.tanh(1.0, keep="h"), ValueError, "keep must be 'x' or 'y', got 'h'"),
        (lambda: ops.leaky_relu(1.0, float("nan")), ValueError, "slope must be finite, got nan"),
        (lambda: ops.leaky_relu(1.0, "a"), TypeError, "slope must be a number, got 'a'"),
        (lambda: jax.jit(ops.elu)(1.0, 2.0), TypeError, "alpha must be a static number"),
        (lambda: ops.gelu(1.0, approximate=1), TypeError, "approximate must be a static bool, got 1"),
        (
            lambda: ops.prelu(jnp.ones((2, 3)), jnp.ones(2)),
            ValueError,
            r"slope of shape \(2,\) does not broadcast to x of shape \(2, 3\)",
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

"""The truth itself: autodiff in float64, differences that know their error, and how rounding blurs it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.check import Point, Program, extrapolated_differences, float64_on_cpu
from jaxbackprop.check._truth import fourth_differences, nearby_line


def program(f, *args):
    return Program(f, Point.of(*args))


def test_settings_are_the_callers_again():
    before = [
        getattr(jax.config, name)
        for name in ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion")
    ]
    with float64_on_cpu():
        assert jnp.zeros(1).dtype == jnp.float64
        assert (jnp.zeros(1) + np.float32(1)).dtype == jnp.float64
    after = [
        getattr(jax.config, name)
        for name in ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion")
    ]
    assert before == after
    assert jnp.zeros(1).dtype == jnp.float32


def test_a_point_knows_what_is_differentiable():
    args = ({"W": np.ones((2, 2), np.float32), "n": 3}, jnp.arange(2), None, "same", 0.5, jnp.asarray(2.0))
    point = Point.of(*args)
    assert point.arguments == (0, 5)
    assert point.paths == ("['W']", "")
    put = point.put((np.zeros((2, 2)), np.ones(())))
    assert put[0]["n"] == 3
    assert put[3] == "same"
    np.testing.assert_array_equal(put[0]["W"], 0)


def test_autodiff_runs_in_float64_whatever_the_input():
    f = lambda x: jnp.exp(x) / 3  # noqa: E731
    (gradient,) = program(f, np.float32([0.5, 1.5])).gradient(jnp.float64, (np.ones(2),))
    np.testing.assert_allclose(gradient, np.exp([0.5, 1.5]) / 3, rtol=1e-15)


SMOOTH = {
    "exp": (jnp.exp, np.exp),
    "sine of a square": (lambda x: jnp.sin(x * x), lambda x: 2 * x * np.cos(x * x)),
    "a fast decay": (lambda x: jnp.exp(-50 * x * x), lambda x: -100 * x * np.exp(-50 * x * x)),
    "logistic": (lambda x: 1 / (1 + jnp.exp(-x)), lambda x: 1 / (2 + np.exp(x) + np.exp(-x))),
    "a large constant": (lambda x: 1e8 + x, np.ones_like),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_differences_are_within_their_own_error(name):
    f, derivative = SMOOTH[name]
    x = np.linspace(-3, 3, 25)
    estimate = extrapolated_differences(program(f, x), (np.ones(25),), 0)
    assert np.all(np.abs(estimate.value - derivative(x)) <= 10 * estimate.error)
    scale = 1e8 if name == "a large constant" else 1.0
    assert np.all(estimate.error < 1e-9 * scale)


@given(st.floats(-1e4, 1e4), st.integers(1, 6))
def test_differences_of_a_polynomial_are_exact(x, degree):
    estimate = extrapolated_differences(program(lambda x: x**degree, np.array([x])), (np.ones(1),), 0)
    want = degree * x ** (degree - 1)
    assert abs(estimate.value[0] - want) <= 1e-7 * max(1.0, abs(x)) ** (degree - 1)


def test_differences_of_some_entries():
    x = np.arange(12.0).reshape(3, 4)
    estimate = extrapolated_differences(
        program(jnp.square, x), (np.ones((3, 4)),), 0, entries=np.array([5, 11])
    )
    np.testing.assert_allclose(estimate.value, [10, 22], rtol=1e-9)


def test_differences_at_a_kink_say_that_they_do_not_know():
    estimate = extrapolated_differences(program(jnp.abs, np.array([1e-3, 0.5])), (np.ones(2),), 0)
    assert estimate.error[0] > 1e-6 or abs(estimate.value[0] - 1) < 10 * estimate.error[0]
    assert abs(estimate.value[1] - 1) < 1e-9


def test_differences_of_one_argument_among_several_with_a_cotangent():
    W, x = np.arange(6.0).reshape(2, 3), np.array([1.0, -2.0, 0.5])
    dy = np.array([10.0, -1.0])
    estimate = extrapolated_differences(program(lambda W, x: W @ x, W, x), (dy,), 0)
    np.testing.assert_allclose(estimate.value, np.outer(dy, x), atol=1e-9)


def test_the_truths_own_noise_is_seen_where_a_formula_cancels():
    x = np.array([0.5, 8.0, 15.0])
    # The derivative of tanh as 1 - y² has lost all but a few digits at 15.
    at = program(jnp.tanh, x)
    line = [at.gradient(jnp.float64, (np.ones(3),), floats) for floats in nearby_line(at.floats)]
    (noise,) = fourth_differences(line)
    exact = np.cosh(x) ** -2
    (gradient,) = at.gradient(jnp.float64, (np.ones(3),))
    assert abs(gradient[2] - exact[2]) > 1e-5 * exact[2]
    assert np.all(np.abs(gradient - exact) <= 8 * (noise + 1e-16 * exact))
    assert noise[0] < 1e-15

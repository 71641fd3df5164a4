"""Derivatives by extrapolated differences, with their errors."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.check import Layout, Point
from jaxbackprop.check._differences import Differences, Directions, flat


def of(f, *args, traced=True, eps=0.0):
    """Differences of a function of arrays, at them."""
    layout = Layout.of(args, trace_floats=True)
    return Differences(f, layout, traced=traced, eps=eps), layout


ONE = (np.ones(()),)


def along(f, *args, dy=ONE, **how):
    differences, layout = of(f, *args, **how)
    floats = tuple(layout.leaves[i] for i in layout.floats)
    directions = Directions.of(floats, np.random.default_rng(0))
    return directions, differences.along(Point(layout.leaves, dy), directions)


def test_few_entries_move_one_by_one():
    directions = Directions.of((np.zeros((2, 3)), np.zeros(())), np.random.default_rng(0))
    np.testing.assert_array_equal(directions.ways, np.eye(7))
    np.testing.assert_array_equal(directions.entries, np.arange(7))


def test_of_many_some_entries_move_and_every_leaf_as_a_whole():
    directions = Directions.of((np.zeros(100), np.zeros(3)), np.random.default_rng(0), limit=48)
    count = len(directions.entries)
    assert count == 9
    assert len(directions.ways) == count + 2
    np.testing.assert_array_equal(np.argmax(directions.ways[:count], 1), directions.entries)
    assert np.all(np.sum(directions.ways[:count] != 0, 1) == 1)
    np.testing.assert_array_equal(np.abs(directions.ways[count:]), [[1] * 100 + [0] * 3, [0] * 100 + [1] * 3])
    assert set(directions.entries[-3:]) == {100, 101, 102}


def test_no_entries_at_all():
    assert Directions.of((np.zeros((0, 2)),), np.random.default_rng(0)).ways.shape == (0, 0)


@given(st.floats(-3, 3), st.floats(-2, 2).filter(lambda d: abs(d) > 0.1))
def test_the_error_is_honest_and_small(x, dy):
    _, estimate = along(lambda x: np.sin(3 * x), np.asarray(x), dy=(np.asarray(dy),), traced=False)
    off = np.abs(estimate.value - 3 * dy * np.cos(3 * x))
    assert np.all(off <= 20 * estimate.error)
    assert np.all(estimate.error <= 1e-8)


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e4])
def test_at_every_scale(scale, traced):
    x = scale * np.asarray([1.0, -2.0, 0.5])
    _, estimate = along(lambda x: (x * x).sum(), x, traced=traced)
    np.testing.assert_allclose(estimate.value, 2 * x, rtol=1e-8)


def test_several_results_and_arguments():
    W, x = np.asarray([[1.0, 2.0], [3.0, 4.0]]), np.asarray([5.0, 6.0])
    dy = np.asarray([1.0, -1.0]), np.asarray(2.0)
    _, estimate = along(lambda W, x: (W @ x, (x**3).sum()), W, x, dy=dy)
    want = np.concatenate([np.outer(dy[0], x).ravel(), W.T @ dy[0] + 6 * x**2])
    np.testing.assert_allclose(estimate.value, want, rtol=1e-9)


def test_integers_stay():
    _, estimate = along(lambda T, i: T[i], np.asarray([1.0, 2.0, 3.0]), np.asarray([2, 2]), dy=(np.ones(2),))
    np.testing.assert_allclose(estimate.value, [0, 0, 2], atol=1e-9)


def test_a_result_without_a_cotangent_may_be_infinite():
    _, estimate = along(
        lambda x: (x * np.inf, 2 * x), np.asarray([1.0]), dy=(np.zeros(1), np.ones(1)), traced=False
    )
    np.testing.assert_allclose(estimate.value, [2], rtol=1e-9)


def test_a_coarse_function_says_so():
    def coarse(x):
        return jnp.sin(x.astype(jnp.float32)).astype(x.dtype).sum()

    x = np.asarray([0.3, 0.7])
    _, estimate = along(coarse, x, eps=1e-7)
    assert np.all(np.abs(estimate.value - np.cos(x)) <= 20 * estimate.error)
    assert np.all(estimate.error > 1e-9)


def test_what_is_not_traced_is_in_float64_too():
    """A function in JAX that cannot be traced, whatever the caller's x64 setting."""

    def branching(x):
        return jnp.sin(x).sum() if x[0] > 0 else jnp.cos(x).sum()

    x = np.asarray([0.3, 0.7])
    _, estimate = along(branching, x, traced=False)
    np.testing.assert_allclose(estimate.value, np.cos(x), rtol=1e-8)


def test_a_kink_has_a_large_error():
    _, estimate = along(lambda x: np.abs(x - 0.999).sum(), np.asarray([1.0]), traced=False)
    assert estimate.error[0] < 1e-6
    np.testing.assert_allclose(estimate.value, 1, rtol=1e-6)


def test_one_short_step_on_either_side():
    differences, layout = of(
        lambda x, y: (np.abs(x) * y).sum(), np.asarray([1.0, -1.0]), np.asarray([2.0, 3.0]), traced=False
    )
    gradient = differences.gradient(Point(layout.leaves, (np.ones(()),)))
    np.testing.assert_allclose(gradient, [2, -3, 1, 1], rtol=1e-6)


def test_not_finite_without_a_warning():
    """Warnings are errors here."""
    _, estimate = along(np.tanh, np.asarray([1.0, np.inf]), dy=(np.ones(2),), traced=False)
    assert estimate.value.shape == (2,)


def test_leaves_as_one_vector():
    np.testing.assert_array_equal(flat((np.ones((1, 2)), np.zeros(()))), [1, 1, 0])
    assert flat(()).shape == (0,)

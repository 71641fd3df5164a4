"""What rounding explains, and what it must not excuse."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import Answer, Evaluator, Layout, Point
from jaxbackprop.check._rounding import (
    EPS,
    backward_error,
    blur,
    fourth_differences,
    jittered,
    largest,
    nearby_line,
    noise_in_float64,
    term_sizes,
)

ONE = np.ones(())


def layout(*dtypes, shape=(3,)):
    return Layout.of(tuple(np.ones(shape).astype(dtype) for dtype in dtypes))


def test_the_largest_finite_magnitude():
    assert largest(np.asarray([-3.0, 2.0, np.inf, np.nan])) == 3
    assert largest(np.asarray([np.nan])) == 0
    assert largest(np.zeros(0)) == 0


def test_a_derivative_near_a_sum_that_cancels_is_allowed_the_rounding_of_its_terms():
    point = Point((np.asarray([2.0, -4.0]),), (np.asarray([1.0, 3.0]),))
    assert backward_error(point, 0, term_sizes(point, (np.asarray([5.0, -1.0]),))) == (5 + 3) / 4
    # What is not finite says nothing, and of an argument of zeros nothing is a part.
    assert backward_error(point, 0, term_sizes(point, (np.asarray([np.inf, 1.0]),))) == 0
    assert backward_error(Point((np.zeros(2),), point.dy), 0, 1.0) == 0


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16])
def test_moved_by_a_unit_in_the_last_place_of_the_leafs_own_dtype(dtype):
    point = Point((np.asarray([1.0, -2.0, 3.0]),), (np.ones(3),))
    eps = float(jnp.finfo(dtype).eps)
    moved = jittered(layout(dtype), point, None, 0)
    (x,) = moved.leaves
    np.testing.assert_array_equal(x, x.astype(dtype).astype(float))
    np.testing.assert_allclose(x, point.leaves[0], rtol=1.5 * eps)
    assert 0 < np.max(np.abs(moved.dy[0] - 1)) <= eps
    again, other = jittered(layout(dtype), point, None, 0), jittered(layout(dtype), point, None, 1)
    np.testing.assert_array_equal(moved.dy, again.dy)
    assert np.any(moved.dy[0] != other.dy[0])


def test_integers_are_not_moved():
    mixed = Layout.of((np.ones(2), np.arange(2)))
    moved = jittered(mixed, Point(mixed.leaves, (ONE,)), 0.1, 0)
    np.testing.assert_array_equal(moved.leaves[1], [0, 1])
    assert np.all(np.abs(moved.leaves[0] - 1) <= 0.1)
    assert np.all(moved.leaves[0] != 1)


def noise(want, near, eps=EPS, y=ONE):
    at = Point((np.ones(3),), (ONE,))
    (found,) = noise_in_float64(layout(float), at, (np.asarray(want),), (y,), [(np.asarray(near),)], eps)
    return found


def test_noise_in_float64_follows_how_far_rounding_moves_the_truth():
    want = np.asarray([1.0, 2.0, 3.0])
    still = noise(want, want)
    assert np.all(still < 1e-9)
    moved = noise(want, want + np.asarray([1e-12, 0, 0]))
    assert moved[0] - still[0] == pytest.approx(1e-10)
    np.testing.assert_array_equal(moved[1:], still[1:])
    # Where the function computes in less than float64, all of it grows.
    assert np.all(noise(want, want, eps=100 * EPS) >= 99 * still)


def test_a_jump_is_no_rounding():
    want = np.asarray([1.0, 2.0, 3.0])
    assert np.all(noise(want, want + 1) < 1e-6)
    assert np.all(np.isfinite(noise(want, want * np.nan)))


def answer(gradient, dtype=np.float32):
    return Answer((ONE.astype(dtype),), (ONE.astype(dtype),), (np.asarray(gradient, dtype),))


def test_in_their_own_dtypes_rounding_explains_some_units_and_autodiffs_own_error():
    at = Point((np.ones(3),), (ONE,))
    truth = answer([1.0, -2.0, 0.5], np.float64)
    eps = float(np.finfo(np.float32).eps)
    alone = blur(layout(np.float32), at, truth, [], 0.0)
    assert alone.error == (0.0,)
    assert alone.finite == (True,)
    assert 64 * eps < alone.noise[0] < 128 * eps
    # A loop that stops early is no more exact than that.
    assert blur(layout(np.float32), at, truth, [], 1e-3).noise[0] > 1e-2
    off = blur(layout(np.float32), at, truth, [(answer([1.0, -2.0, 0.75]), truth)], 0.0)
    assert off.error == (0.25,)
    assert off.noise[0] == pytest.approx(2 + alone.noise[0])
    infinite = blur(layout(np.float32), at, truth, [(answer([1.0, np.inf, 0.5]), truth)], 0.0)
    assert infinite.finite == (False,)
    assert infinite.error == (0.0,)


def test_the_coarsest_dtype_of_arguments_and_results_counts():
    at = Point((np.ones(3), np.ones(3)), (ONE,))
    both = layout(np.float32, jnp.bfloat16)
    truth = Answer((ONE,), (ONE,), (np.ones(3), np.ones(3)))
    found = blur(both, at, truth, [], 0.0)
    assert found.noise[0] == pytest.approx(found.noise[1])
    assert found.noise[0] > 0.1


def test_the_truths_own_noise_is_seen_where_a_formula_cancels():
    x = np.array([0.5, 8.0, 15.0])
    # The derivative of tanh as 1 - y² has lost all but a few digits at 15.
    evaluator = Evaluator.of(jnp.tanh, Layout.of((x,)), np.float64)
    line = [evaluator.run_one(Point(floats, (np.ones(3),))).gradient for floats in [(x,), *nearby_line((x,))]]
    (noise,) = fourth_differences(line[1:])
    exact = np.cosh(x) ** -2
    (gradient,) = line[0]
    assert abs(gradient[2] - exact[2]) > 1e-5 * exact[2]
    assert np.all(np.abs(gradient - exact) <= 8 * (noise + 1e-16 * exact))
    assert noise[0] < 1e-15

"""Which answers pass where a function has no one gradient."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.check import Evaluator, Layout, Point
from jaxbackprop.check._kinks import _nearest, judge_in_hull, kink, nearby_mean
from tests.check.observed import observe
from tests.check.rules import normal, rule


def seen(gradient, at, answer, at_point=None, part=None):
    """A function's gradient around a point, and what is said of an answer there."""
    at, answer = np.asarray(at, float), np.asarray(answer, float)

    def gradients(moves):
        return np.stack([np.asarray(gradient(at + move), float) for move in moves])

    part = np.arange(at.size) if part is None else part
    at_point = np.asarray(gradient(at) if at_point is None else at_point, float)
    return judge_in_hull(answer, at_point, part, np.ones_like(at), gradients, np.random.default_rng(0))


def of_max(x):
    """The gradient of the maximum of a vector."""
    return np.eye(x.size)[np.argmax(x)]


def of_sum_of_absolutes(x):
    return np.sign(x)


def test_a_smooth_point_is_none():
    assert seen(np.cos, [0.3, -2.0], [1.0, 1.0]) is None
    assert seen(lambda x: 2 * x, [0.0, 0.0], [0.0, 0.0]) is None


def test_beside_a_kink_is_smooth():
    assert seen(np.sign, [1e-3], [1.0]) is None


@pytest.mark.parametrize("slope", [-1.0, -0.3, 0.0, 1.0])
def test_between_the_slopes_is_valid(slope):
    assert seen(np.sign, [0.0], [slope]).outside <= 1e-3


@pytest.mark.parametrize(("slope", "off"), [(1.5, 0.25), (-2.0, 0.5), (3.0, 1.0)])
def test_beyond_the_slopes_is_off_by_a_part_of_the_spread(slope, off):
    kink = seen(np.sign, [0.0], [slope])
    assert kink.spread == 2
    assert kink.outside == pytest.approx(off, rel=1e-3)


@pytest.mark.parametrize("answer", [[np.nan], [np.inf]])
def test_what_is_not_finite_is_no_subgradient(answer):
    assert seen(np.sign, [0.0], answer).outside == np.inf


@pytest.mark.parametrize("answer", [[1, 0, 0], [0, 0, 1], [0.5, 0, 0.5], [0.1, 0, 0.9]])
def test_a_tie_shared_between_its_winners(answer):
    assert seen(of_max, [2.0, 1.0, 2.0], answer).outside <= 1e-3


@pytest.mark.parametrize("answer", [[1, 0, 1], [0, 1, 0], [0.5, 0, 0], [1.5, 0, -0.5]])
def test_a_tie_given_elsewhere(answer):
    assert seen(of_max, [2.0, 1.0, 2.0], answer).outside > 0.1


@given(st.integers(2, 9), st.integers(0, 99))
def test_every_corner_of_a_box_is_reached(n, seed):
    """The gradients of |x|₁ at 0 fill a box, of whose corners few are met by chance."""
    rng = np.random.default_rng(seed)
    corner = rng.choice([-1.0, 1.0], n)
    assert seen(of_sum_of_absolutes, np.zeros(n), corner).outside <= 1e-2
    assert seen(of_sum_of_absolutes, np.zeros(n), corner * rng.uniform(-1, 1, n)).outside <= 1e-2
    assert seen(of_sum_of_absolutes, np.zeros(n), 1.2 * corner).outside > 0.05


def test_a_concave_kink():
    def of_min(x):
        return np.eye(x.size)[np.argmin(x)]

    assert seen(of_min, [1.0, 1.0, 5.0], [0.0, 1.0, 0.0]).outside <= 1e-3
    assert seen(of_min, [1.0, 1.0, 5.0], [1.0, 1.0, 0.0]).outside > 0.1


def test_autodiff_that_stands_apart_is_not_the_truth():
    """As where a masked square root gives 0 at a point and the slope 3 all around."""
    assert seen(lambda x: 3 + 0 * x, [1.0], [3.0], at_point=[0.0]).outside == 0
    assert seen(lambda x: 3 + 0 * x, [1.0], [0.0], at_point=[0.0]).outside == np.inf
    assert seen(lambda x: 3 + 0 * x, [1.0], [0.0], at_point=[3.0]) is None


def test_only_the_part_in_question_counts():
    kink = seen(np.sign, [0.0, 0.0], [9.0, 0.5], part=np.asarray([1]))
    assert kink.outside <= 1e-3
    assert seen(np.sign, [0.0, 1.0], [9.0, 1.0], part=np.asarray([1])) is None


@given(st.integers(1, 5), st.integers(1, 8), st.integers(0, 99))
def test_the_nearest_point_of_a_hull(n, corners, seed):
    rng = np.random.default_rng(seed)
    hull, point = rng.normal(size=(corners, n)), 2 * rng.normal(size=n)
    nearest = _nearest(point, hull)
    # No corner is further toward the point: the condition for the nearest.
    assert np.max((hull - nearest) @ (point - nearest)) <= 1e-4 * (1 + np.linalg.norm(point - nearest))
    inside = rng.dirichlet(np.ones(corners)) @ hull
    np.testing.assert_allclose(_nearest(inside, hull), inside, atol=5e-3)


def test_a_point_beside_its_neighbours():
    """The kink of |x|'s square root as autodiff sees it: nan there, ±1 around."""
    truth = Evaluator.of(lambda x: jnp.sqrt(x * x), Layout.of((np.zeros(2),)), np.float64)
    mean, spread = nearby_mean(truth, Point((np.asarray([3.0, 0.0]),), (np.asarray([2.0, 1.0]),)), 0)
    assert mean[0] == pytest.approx(2)
    assert -1 <= mean[1] <= 1
    assert spread <= 2.1
    mean, spread = nearby_mean(truth, Point((np.asarray([3.0, -2.0]),), (np.asarray([2.0, 1.0]),)), 0)
    np.testing.assert_allclose(mean, [2, -1], rtol=1e-6)
    assert spread < 1e-6


def test_the_kink_of_a_leaf_among_others():
    def positive(x, y):
        return jnp.maximum(x, 0.0) * y

    def backward(r, dy):
        x, y = r
        return (x > 0).astype(dy.dtype) * y * dy, jnp.maximum(x, 0.0) * dy

    at = jnp.asarray([0.0, 1.0], jnp.float32)
    session, observed = observe(rule(positive, backward), at, normal(2))
    base = observed.comparisons[0]
    assert kink(session, base, 0).outside <= 1e-3
    assert kink(session, base, 1) is None
    off = dataclasses.replace(base, got=base.got._replace(gradient=(7 + base.want[0], base.want[1])))
    assert kink(session, off, 0).outside > 0.1

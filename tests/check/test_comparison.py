"""The rule beside the truth."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from jaxbackprop.check._comparison import compare, usual_sizes, worst_violation
from jaxbackprop.check._sampling import Kind
from tests.check.observed import observe, of_sine
from tests.check.rules import elementwise


def test_the_entry_furthest_beyond_its_noise():
    got, want = np.asarray([[1.0, 2.0], [3.0, 4.0]]), np.asarray([[1.0, 2.5], [3.1, 4.0]])
    noise = np.asarray([[0.1, 0.1], [0.01, 0.1]])
    worst = worst_violation(got, want, noise)
    assert worst.index == (1, 0)
    assert (worst.got, worst.want, worst.noise) == (3.0, 3.1, 0.01)
    assert worst_violation(got, want, 1.0) is None


def test_what_is_not_finite_is_furthest_and_without_a_truth_nothing_is_asked():
    assert worst_violation(np.asarray([9.0, np.nan]), np.zeros(2), 1.0).index == (1,)
    assert worst_violation(np.asarray([9.0, np.inf]), np.zeros(2), 1.0).index == (1,)
    assert worst_violation(np.asarray([9.0, np.nan]), np.asarray([np.inf, np.nan]), 1.0) is None
    assert worst_violation(np.zeros(0), np.zeros(0), 1.0) is None


def test_every_point_has_its_truth_and_its_noise():
    session, observed = of_sine()
    assert [one.kind for one in observed.comparisons] == [kind for kind, _ in session.sample.points]
    for one in observed.comparisons:
        np.testing.assert_allclose(one.want[0], np.cos(one.point.leaves[0]) * one.point.dy[0], rtol=1e-14)
        np.testing.assert_allclose(one.y[0], np.sin(one.point.leaves[0]), rtol=1e-14)
        assert np.all(one.noise[0] > 0)
        assert one.redrawn != one.kind.given
        assert one.violation(0) is None


def test_the_usual_size_of_gradients_is_part_of_the_noise():
    _, observed = of_sine()
    (size,) = usual_sizes(observed.comparisons)
    usual = [np.max(np.abs(one.want[0])) for one in observed.comparisons if one.kind.usual]
    assert size == max(usual)
    scaled = next(one for one in observed.comparisons if one.kind is Kind.LARGE_SCALE)
    assert np.max(np.abs(scaled.want[0])) > 1e3 * size
    zero = next(one for one in observed.comparisons if one.kind is Kind.ZERO)
    assert np.all(zero.noise[0] >= 32 * np.finfo(float).eps * size)


def test_where_the_function_or_a_redrawn_truth_is_not_finite_there_is_no_comparison():
    log = elementwise(jnp.log, lambda x: 1 / x)
    _, observed = observe(log, jnp.asarray([0.5, 2.0], jnp.float32))
    kinds = {one.kind for one in observed.comparisons}
    assert {Kind.BASE, Kind.ZERO} <= kinds
    assert Kind.FLIPPED not in kinds


def test_differences_alone_leave_out_what_is_for_linearity():
    session, _ = of_sine()
    found = compare(dataclasses.replace(session, truth=None), session.sample.points[:5])
    assert [one.kind for one in found] == [Kind.BASE, Kind.FRESH]
    for one in found:
        np.testing.assert_allclose(one.want[0], np.cos(one.point.leaves[0]) * one.point.dy[0], rtol=1e-8)

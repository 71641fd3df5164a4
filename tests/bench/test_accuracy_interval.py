"""Intervals of accuracies against scipy's, and against what must hold of them."""

import numpy as np
import pytest
from scipy import stats

from jaxbackprop.bench._accuracy_interval import half_width, paired_difference


def test_half_width_is_that_of_students_t():
    right = np.random.default_rng(0).random((3, 200)) < 0.8
    each = right.mean(1)
    low, high = stats.t.interval(0.95, 2, loc=each.mean(), scale=stats.sem(each))
    assert half_width(right) == pytest.approx((high - low) / 2)
    assert half_width(right[:1]) is None


def test_equal_systems_do_not_differ():
    right = np.random.default_rng(0).random((3, 200)) < 0.8
    found = paired_difference(right, right, samples=200)
    assert (found.mean, found.low, found.high) == (0, 0, 0)


def test_pairs_make_the_interval_narrow_and_seeds_make_it_wide():
    draw = np.random.default_rng(0)
    a = draw.random((3, 500)) < 0.8
    # Right wherever a is, and in every tenth of the other sentences.
    b = a & (draw.random((3, 500)) < 0.9)
    paired = paired_difference(a, b, samples=2_000)
    assert 0 < paired.low < paired.mean < paired.high
    assert paired.mean == pytest.approx(a.mean() - b.mean())
    alone = paired_difference(a, b[:, draw.permutation(500)], samples=2_000)
    assert alone.high - alone.low > 1.5 * (paired.high - paired.low)
    uneven = np.stack([b[0], b[1], np.zeros(500, bool)])
    wide = paired_difference(a, uneven, samples=2_000)
    assert wide.high - wide.low > 5 * (paired.high - paired.low)
    swapped = paired_difference(b, a, samples=2_000)
    assert (swapped.low, swapped.high) == pytest.approx((-paired.high, -paired.low))


def test_its_interval_is_that_of_the_normal_approximation():
    right = np.random.default_rng(1).random((1, 2_000)) < [[0.7]]
    found = paired_difference(right, np.zeros_like(right), samples=4_000)
    error = 1.96 * right.std() / np.sqrt(2_000)
    assert found.high - found.low == pytest.approx(2 * error, rel=0.1)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"a has shape \(2, 3\) but b has \(2, 4\)"):
        paired_difference(np.ones((2, 3), bool), np.ones((2, 4), bool))

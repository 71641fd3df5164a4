import numpy as np
import pytest
from scipy import stats

from jaxbackprop.lecture._statistics import exponent, paired


def test_the_interval_is_students():
    first, second = np.random.default_rng(0).normal(size=(2, 6))
    found = paired(first.tolist(), second.tolist())
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx((first - second).mean())


def test_more_comparisons_make_it_wider():
    first, second = [0.3, 0.4, 0.5], [0.2, 0.2, 0.25]
    one, three = paired(first, second), paired(first, second, 3)
    assert three.low < one.low < one.high < three.high


def test_it_misses_as_seldom_as_it_says():
    rng = np.random.default_rng(0)
    differences = [paired(*rng.normal(size=(2, 5)).tolist()) for _ in range(1000)]
    assert 0.03 < np.mean([each.above or each.below for each in differences]) < 0.07


@pytest.mark.parametrize(
    ("shift", "above", "below"), [(1, True, False), (-1, False, True), (0, False, False)]
)
def test_above_and_below(shift, above, below):
    found = paired([shift + each for each in (0.1, -0.1, 0.05)], [0, 0, 0])
    assert (found.above, found.below) == (above, below)


def test_an_exponent():
    assert exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)

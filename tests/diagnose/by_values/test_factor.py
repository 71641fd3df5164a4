"""One factor everywhere, and where it may come from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diagnose.by_values.rules import LOG_SUM_EXP, evidence, linear_evidence, normal, suspicions


@given(st.floats(0.05, 20).filter(lambda c: abs(c - 1) > 0.05), st.sampled_from([1, -1]))
def test_any_factor_is_told(c, sign):
    def rule(x, W, b, dy):
        return dy @ W, sign * c * dy.T @ x, dy.sum(0)

    first = suspicions(linear_evidence(rule))[0]
    assert (first.label, first.leaf) == ("constant factor", 1)
    assert f"{sign * c:.4g} times" in first.message


@pytest.mark.parametrize(
    ("factor", "origin"),
    [
        (lambda n, m: 1 / n, ": 1/3 = 1/x.shape[0]"),
        (lambda n, m: -n, ": -3 = -x.shape[0]"),
        (lambda n, m: 2, "is 2 times what it should be"),
        (lambda n, m: (m - 1) / m, ": (n - 1)/n, with n = 4 = x.shape[1]"),
    ],
)
def test_the_origin_of_a_factor_is_guessed(factor, origin):
    def rule(x, W, b, dy):
        return dy @ W, factor(*x.shape) * dy.T @ x, dy.sum(0)

    assert origin in suspicions(linear_evidence(rule, n=3))[0].message


@pytest.mark.parametrize("factor", [1 / 3, 3.0, -3.0, 0.75, 0.5, 4.0])
def test_a_length_that_a_factor_only_happens_to_equal_is_not_named(factor):
    def rule(x, W, b, dy):
        return dy @ W, factor * dy.T @ x, dy.sum(0)

    message = suspicions(linear_evidence(rule, n=3))[0].message
    assert f"{factor:.4g} times what it should be" in message
    assert "shape" not in message


def test_a_length_that_cannot_be_varied_is_a_guess():
    def rule(x, W, b, dy):
        assert x.shape[0] == 3
        return dy @ W, 3 * dy.T @ x, dy.sum(0)

    message = suspicions(linear_evidence(rule, n=3))[0].message
    assert "is 3 times what it should be: perhaps 3 = x.shape[0]" in message


def test_a_factor_that_is_an_argument_is_named():
    found = suspicions(
        evidence(
            lambda x, keep: x * keep,
            lambda x, keep, dy: (dy * keep, (dy * x).sum()),
            lambda x, keep, dy: (dy * keep * keep, (dy * x).sum()),
            normal(5),
            np.asarray(0.8),
            names=("dx", "dkeep"),
        )
    )
    assert found[0].label == "constant factor"
    assert "keep times" in found[0].message


@pytest.mark.parametrize("shape", [(4, 4), (3, 5)])
def test_a_sum_over_the_wrong_axis_of_a_logarithm_of_sums_is_named(shape):
    case = evidence(*LOG_SUM_EXP, normal(*shape))
    first = suspicions(case)[0]
    assert first.label == "wrong axis"
    assert first.message == "dx is normalised, or summed, over the wrong one of axes 0 and 1"


def test_what_is_not_zero_where_it_should_be_is_no_small_constant():
    keep = np.asarray([1.0, 1, 1, 1, 0])

    def forgets(x, dy):
        return (1.005 * np.cos(x) * dy * keep + 1e-3 * (1 - keep) * dy,)

    found = suspicions(
        evidence(lambda x: np.sin(x) * keep, lambda x, dy: (np.cos(x) * dy * keep,), forgets, normal(5))
    )
    assert "small_error" not in {one.found_by for one in found}

"""At a tie each of several gradients may be a valid share, and together they are more than there is."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import check_pair, check_vjp
from tests.check.rules import rule

quick = functools.partial(check_vjp, effort="quick")

A = jnp.asarray([1.0, 2.0, 3.0], jnp.float32)
B = jnp.asarray([1.0, 0.0, 5.0], jnp.float32)
TEN = 0.3 * jnp.arange(10, dtype=jnp.float32)


def maximum(share, other, size=1.0):
    """The larger of two arrays, in other units each; at a tie they get these shares of its gradient."""

    def backward(r, dy):
        a, b = r[0], r[1] / size
        first = jnp.where(a == b, share, (a > b).astype(dy.dtype))
        second = jnp.where(a == b, other, (b > a).astype(dy.dtype))
        return size * first * dy, second * dy

    return rule(lambda a, b: size * jnp.maximum(a, b / size), backward)


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.25, 0.75)])
@pytest.mark.parametrize("args", [(A, B), (TEN, TEN)])
def test_all_of_it_in_any_shares(shares, args):
    report = quick(maximum(*shares), *args)
    assert report.ok, report


@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.0, 0.0), (0.75, 0.75), (0.25, 0.25)])
@pytest.mark.parametrize("args", [(A, B), (TEN, TEN)])
def test_more_or_less_than_there_is(shares, args):
    report = quick(maximum(*shares), *args)
    assert report.wrong_arguments == (0, 1)
    assert "not together" in report.findings[0].message
    assert report.findings[0].mistakes == ("wrong winner",)


def test_in_other_units():
    assert quick(maximum(0.5, 0.5, 1e3), A, 1e3 * A).ok
    assert not quick(maximum(1.0, 1.0, 1e3), A, 1e3 * A).ok


@pytest.mark.parametrize("count", [1, 3])
def test_ties_that_redraws_bring(count):
    at = A[:count] + 0.5, A[::-1][:count] + 0.125
    assert not quick(maximum(1.0, 1.0), *at).ok
    assert quick(maximum(0.5, 0.5), *at).ok


def test_ties_of_two_scalars_that_redraws_bring():
    assert not quick(maximum(1.0, 1.0), jnp.float32(0.5), jnp.float32(0.75)).ok
    assert quick(maximum(0.0, 1.0), jnp.float32(0.5), jnp.float32(0.75)).ok


def clipped(edge, lows, highs):
    """X between two bounds; at a bound, how much x gets and how much that bound."""

    def backward(r, dy):
        x, low, high = r
        between, below, above = ((x > low) & (x < high), x < low, x > high)
        dx = jnp.where((x == low) | (x == high), edge, between.astype(dy.dtype))
        dlow = jnp.where(x == low, lows, below.astype(dy.dtype))
        dhigh = jnp.where(x == high, highs, above.astype(dy.dtype))
        return dx * dy, jnp.sum(dlow * dy), jnp.sum(dhigh * dy)

    return rule(lambda x, low, high: jnp.minimum(jnp.maximum(x, low), high), backward)


def test_an_array_and_its_bounds():
    at = jnp.asarray([-1, 0, 0.5, 1, 2], jnp.float32), jnp.float32(0), jnp.float32(1)
    assert quick(clipped(1, 0, 0), *at).ok
    assert quick(clipped(0, 1, 1), *at).ok
    assert not quick(clipped(1, 1, 1), *at).ok
    apart = jnp.asarray([-1, 0.5, 0.25, 1.5, 2], jnp.float32), *at[1:]
    assert quick(clipped(1, 0, 0), *apart).ok
    assert not quick(clipped(1, 1, 1), *apart).ok


def largest(share):
    """The largest of a vector; `share` says what each gets of those tied, ones among zeros."""
    return rule(lambda x: jnp.max(x), lambda r, dy: (dy * share((r[0] == jnp.max(r[0])).astype(dy.dtype)),))


def of_the_first(count):
    """Equal shares for so many of those that are tied."""

    def share(tied):
        chosen = tied * (jnp.cumsum(tied) <= count).astype(tied.dtype)
        return chosen / jnp.sum(chosen)

    return share


@pytest.mark.parametrize("count", [1, 4, 10])
def test_ten_entries_that_share(count):
    report = quick(largest(of_the_first(count)), jnp.full(10, 2.0, jnp.float32))
    assert report.ok, report


@pytest.mark.parametrize(
    "share", [lambda tied: tied, lambda tied: 2 * of_the_first(2)(tied), lambda tied: 0.05 * tied]
)
def test_ten_entries_that_get_more_or_less_than_there_is(share):
    assert not quick(largest(share), jnp.full(10, 2.0, jnp.float32)).ok


def test_three_arrays():
    def backward(shared, r, dy):
        a, b, c = r
        top = jnp.maximum(jnp.maximum(a, b), c)
        won = [(x == top).astype(dy.dtype) for x in r]
        return tuple(dy * w / (sum(won) if shared else 1) for w in won)

    for shared in (True, False):
        op = rule(lambda a, b, c: jnp.maximum(jnp.maximum(a, b), c), functools.partial(backward, shared))
        assert quick(op, A, A, A).ok is shared


def test_a_difference_of_which_both_get_a_sign():
    def backward(other, r, dy):
        return dy * jnp.where(r[0] >= r[1], 1.0, -1.0).astype(dy.dtype), dy * other(*r).astype(dy.dtype)

    def gap(a, b):
        return jnp.abs(a - b)

    for other, right in (
        (lambda a, b: jnp.where(a >= b, -1.0, 1.0), True),
        (lambda a, b: jnp.where(b >= a, 1.0, -1.0), False),
    ):
        assert quick(rule(gap, functools.partial(backward, other)), A, B).ok is right


def test_a_pair_judged_by_differences():
    def shares(to_both):
        return lambda a, b, dy: (dy * (a >= b), dy * ((b >= a) if to_both else (b > a)))

    a, b = np.asarray(A, np.float64), np.asarray(B, np.float64)
    assert check_pair(np.maximum, shares(False), a, b, effort="quick").ok
    assert not check_pair(np.maximum, shares(True), a, b, effort="quick").ok


def test_a_leaf_that_is_wrong_elsewhere_does_not_blame_another():
    op = rule(
        lambda a, b: jnp.maximum(a, b),
        lambda r, dy: (dy * (r[0] >= r[1]).astype(dy.dtype), 3 * dy * (r[1] > r[0]).astype(dy.dtype)),
    )
    assert quick(op, A, B).wrong_arguments == (1,)

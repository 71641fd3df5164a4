"""Autodiff and differences that disagree: through comparisons, and where a kink lies within a step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import check_pair, check_vjp
from tests.check.rules import elementwise, normal, rule

quick = functools.partial(check_vjp, effort="quick")


def halved(high, low, up, steps):
    """Bisection: `up` says where the root is higher."""

    def step(_, ends):
        low, high = ends
        middle = (low + high) / 2
        return jnp.where(up(middle), middle, low), jnp.where(up(middle), high, middle)

    return sum(jax.lax.fori_loop(0, steps, step, (low, high))) / 2


def cubic_root(steps):
    """The root x of x³ + x = a."""

    def f(a):
        ten = jnp.full_like(a, 10.0)
        return halved(ten, -ten, lambda x: x**3 + x < a, steps)

    def make(factor):
        return rule(
            f,
            lambda r, dy: (factor * dy / (3 * r[0] ** 2 + 1),),
            fwd=lambda a: ((x := f(a)), (x,)),
        )

    return make


def simplex(factor):
    """The projection to the simplex, its threshold by bisection."""

    def f(v):
        shift = halved(jnp.max(v), jnp.min(v) - 1, lambda t: jnp.sum(jnp.maximum(v - t, 0)) > 1, 60)
        return jnp.maximum(v - shift, 0)

    def bwd(r, dy):
        kept = r[0] > 0
        mean = jnp.sum(jnp.where(kept, dy, 0)) / jnp.sum(kept, dtype=dy.dtype)
        return (factor * jnp.where(kept, dy - mean, 0),)

    return rule(f, bwd, fwd=lambda v: ((y := f(v)), (y,)))


def quantile(factor):
    """A median found by counting."""

    def f(x):
        count = jnp.sum(x[None] <= x[:, None], 1)
        return jnp.sum(jnp.where(count == 2, jax.lax.stop_gradient(x), 0))

    def bwd(r, dy):
        return (factor * dy * (jnp.sum(r[0][None] <= r[0][:, None], 1) == 2).astype(dy.dtype),)

    return rule(f, bwd)


def solved(factor):
    """A fixed point x = cos(a x) from which autodiff is kept away."""

    def f(a):
        return jax.lax.stop_gradient(
            jax.lax.fori_loop(0, 80, lambda _, x: x - (x - jnp.cos(a * x)) / (1 + a * jnp.sin(a * x)), a)
        )

    def bwd(r, dy):
        a, x = r
        return (-factor * dy * x * jnp.sin(a * x) / (1 + a * jnp.sin(a * x)),)

    return rule(f, bwd, fwd=lambda a: ((x := f(a)), (a, x)))


CASES = {
    "bisection": (cubic_root(60), normal(3)),
    "bisection of 30 steps": (cubic_root(30), normal(3)),
    "projection": (simplex, 2 * normal(5)),
    "counting": (quantile, normal(3)),
    "fixed point": (solved, jnp.array([0.5, 0.8])),
}


@pytest.mark.parametrize("name", CASES)
def test_differences_side_with_the_rule(name):
    make, x = CASES[name]
    report = quick(make(1.0), x)
    assert report.ok, report
    assert any("is not its derivative" in note and "oracle_vjp" in note for note in report.notes)
    report = quick(make(1.5), x)
    assert report.wrong_arguments == (0,)


def test_a_wrong_rule_is_told_the_slope():
    (found,) = quick(cubic_root(60)(1.5), normal(3)).findings
    assert abs(found.got / found.want - 1.5) < 1e-6
    assert found.mistakes[0] == "constant factor"


def test_a_rule_that_agrees_with_autodiff_alone_is_wrong():
    f = cubic_root(60)(1.0).__wrapped__
    assert not check_vjp(rule(f, lambda r, dy: (0 * dy,)), normal(3)).ok


def test_neither_sides_with_a_straight_through_rule():
    op = elementwise(lambda x: jnp.round(x), jnp.ones_like)
    assert not quick(op, normal(3)).ok
    assert quick(op, normal(3), oracle_vjp=lambda x, dy: (dy,)).ok


def numpy_root(a):
    low, high = np.full_like(a, -10.0), np.full_like(a, 10.0)
    for _ in range(30):
        middle = (low + high) / 2
        up = middle**3 + middle < a
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    return (low + high) / 2


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_pairs_that_move_in_jumps(factor):
    report = check_pair(
        numpy_root,
        lambda a, dy: (factor * dy / (3 * numpy_root(a) ** 2 + 1),),
        np.asarray(normal(3), np.float64),
        effort="quick",
    )
    assert report.ok == (factor == 1), report


def step(x):
    return x + jnp.where(x > 0, 1, 0).astype(x.dtype)


def unit(n):
    return lambda x: jnp.arange(x.size) == n(x)


KINKS = {
    "relu": (elementwise(lambda x: jnp.maximum(x, 0), lambda x: (x > 0).astype(x.dtype)), (0, 1, -2)),
    "abs": (elementwise(jnp.abs, jnp.sign), (0, 0.5)),
    "leaky": (
        elementwise(lambda x: jnp.where(x > 0, x, x / 64), lambda x: jnp.where(x > 0, x**0, x**0 / 64)),
        (0, 3),
    ),
    "hardtanh": (
        elementwise(lambda x: jnp.clip(x, -1, 1), lambda x: (jnp.abs(x) < 1).astype(x.dtype)),
        (1, 0.3, -2),
    ),
    "floor": (elementwise(lambda x: x * jnp.floor(x), jnp.floor), (1, 0.3)),
    "jump": (elementwise(step, jnp.ones_like), (0, 1)),
    "sign": (elementwise(lambda x: x * x * jnp.sign(x), lambda x: 2 * jnp.abs(x)), (0, 1)),
    "max": (
        rule(lambda x: jnp.max(x), lambda r, dy: (dy * unit(jnp.argmax)(r[0]).astype(dy.dtype),)),
        (1, 1, 0.5),
    ),
    "sort": (rule(lambda x: jnp.sort(x), lambda r, dy: (dy[jnp.argsort(jnp.argsort(r[0]))],)), (1, 1, 0.5)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", KINKS)
def test_kinks_within_a_step(name, dtype):
    op, at = KINKS[name]
    with jax.enable_x64(dtype == np.float64):
        for n, aside in enumerate((1e-7, -1e-6, 1e-5) if dtype == np.float32 else (-1e-7,)):
            x = jnp.asarray(np.asarray(at, dtype) + dtype(aside) * (np.arange(len(at)) == 0))
            # The oracle has differences asked at quick effort too.
            report = quick(op, x, oracle=op.__wrapped__, seed=n)
            assert report.ok, (aside, report)


def test_a_wrong_rule_beside_a_kink():
    op = elementwise(lambda x: jnp.maximum(x, 0), lambda x: jnp.where(x > 0, x**0, x**0 / 100))
    for at in (-1e-6, -1.0):
        assert quick(op, jnp.asarray([at, 2.0], np.float32)).wrong_arguments == (0,)


@pytest.mark.parametrize("aside", [1e-7, -1e-6, 1e-5])
def test_pairs_beside_a_kink(aside):
    x = np.array([aside, 1.0, -2.0])
    right = check_pair(lambda x: np.maximum(x, 0), lambda x, dy: (dy * (x > 0),), x, effort="quick")
    assert right.ok, right
    wrong = check_pair(lambda x: np.maximum(x, 0), lambda x, dy: (dy * (x > -3),), x, effort="quick")
    assert wrong.wrong_arguments == (0,)

"""What redraws keep of the arguments is noted, and whether the rule needs it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import check_pair, check_vjp
from tests.check.rules import normal, rule

quick = functools.partial(check_vjp, effort="quick")
ROWS = normal(5, 2)


def segments(sort=lambda ids: ids):
    def total(x, ids):
        return jax.ops.segment_sum(x, ids, 3)

    return rule(total, lambda r, dy: (dy[sort(r[1])], None))


def reordered(bwd):
    return rule(lambda x, order: x[order], lambda r, dy: (bwd(r[1], dy), None))


def trapezoids(width):
    """The area under y over times that ascend, with another width of a step in the rule for y."""

    def backward(r, dy):
        y, t = r
        w, middle, zero = width(jnp.diff(t)) / 2, (y[1:] + y[:-1]) / 2, jnp.zeros(1, t.dtype)
        before, after = (jnp.concatenate([zero, a]) for a in (w, middle))
        return dy * (jnp.concatenate([w, zero]) + before), dy * (after - jnp.concatenate([middle, zero]))

    return rule(lambda y, t: jnp.sum((y[1:] + y[:-1]) / 2 * jnp.diff(t)), backward)


def masked(power):
    return rule(
        lambda x, mask: jnp.sum(x * mask**2), lambda r, dy: (dy * r[1] ** power, 2 * dy * r[0] * r[1])
    )


def cross_entropy(total):
    def loss(z, targets):
        return -jnp.sum(targets * jax.nn.log_softmax(z))

    def backward(r, dy):
        z, t = r
        return dy * (jax.nn.softmax(z) * total(t) - t), -dy * jax.nn.log_softmax(z)

    return rule(loss, backward)


def of_row(t):
    return jnp.sum(t, -1, keepdims=True)


IDS, ORDER = jnp.asarray([0, 0, 1, 2, 2]), jnp.asarray([2, 0, 3, 1, 4])
TIMES = jnp.asarray([0.0, 0.5, 1.5, 2.0, 4.0], jnp.float32)
MASK = jnp.asarray([1.0, 0.0, 1.0, 1.0], jnp.float32)
ONE_HOT = jnp.eye(4, dtype=jnp.float32)[:3]
CASES = {
    "ids ascending": (segments(), segments(jnp.sort), (ROWS, IDS)),
    "order a permutation": (
        reordered(lambda order, dy: jnp.zeros_like(dy).at[order].add(dy)),
        reordered(lambda order, dy: dy[jnp.argsort(order)]),
        (ROWS, ORDER),
    ),
    "t ascending": (trapezoids(lambda w: w), trapezoids(jnp.abs), (normal(5), TIMES)),
    "mask zeros and ones": (masked(2), masked(1), (normal(4), MASK)),
    "targets rows with a single one": (
        cross_entropy(of_row),
        cross_entropy(lambda t: 1),
        (normal(3, 4), ONE_HOT),
    ),
}


def kept(report):
    return [note for note in report.notes if note.startswith("redraws keep")]


@pytest.mark.parametrize("said", CASES)
def test_a_rule_that_needs_what_is_kept(said):
    right, needs, args = CASES[said]
    report = quick(right, *args)
    assert report.ok, report
    (note,) = kept(report)
    assert note.startswith(f"redraws keep {said}: where it is ")
    assert note.endswith(", the rule is right")
    report = quick(needs, *args)
    assert report.ok, report
    (note,) = kept(report)
    assert note.startswith(f"redraws keep {said} and the rule holds for such arguments alone: where it is ")
    assert " instead of " in note


def test_of_a_pair():
    """Soft targets in float64: the rows of float32 sum to one within its rounding alone."""

    def loss(z, targets):
        return -np.sum(targets * (z - np.log(np.sum(np.exp(z), -1, keepdims=True))))

    def loss_vjp(z, targets, dy, total=lambda t: 1):
        p = np.exp(z) / np.sum(np.exp(z), -1, keepdims=True)
        return dy * (p * total(targets) - targets), -dy * np.log(p)

    at = np.asarray(normal(2, 3), np.float64), np.asarray([[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]])
    said = "redraws keep targets rows that sum to one"
    report = check_pair(loss, loss_vjp, *at, effort="quick")
    assert report.ok, report
    assert kept(report)[0].startswith(f"{said} and the rule holds for such arguments alone")
    exact = functools.partial(loss_vjp, total=lambda t: np.sum(t, -1, keepdims=True))
    assert kept(check_pair(loss, exact, *at, effort="quick"))[0].startswith(f"{said}: where it is")


def test_what_the_caller_says_is_no_news():
    def ascending(rng, like):
        return np.sort(rng.integers(0, 3, like.shape)).astype(like.dtype)

    assert not kept(quick(segments(), ROWS, IDS, domains=(None, ascending)))


def test_a_function_that_takes_nothing_else():
    def total(x, ids):
        def refuse(ids):
            if np.any(np.diff(ids) < 0):
                raise ValueError("ids must ascend")
            return ids

        shape = jax.ShapeDtypeStruct(ids.shape, ids.dtype)
        return jax.ops.segment_sum(x, jax.pure_callback(refuse, shape, ids, vmap_method="sequential"), 3)

    op = rule(total, lambda r, dy: (dy[r[1]], None))
    assert kept(quick(op, ROWS, IDS)) == ["redraws keep ids ascending"]


def test_of_a_wrong_rule_it_is_only_said():
    assert kept(quick(segments(lambda ids: ids * 0), ROWS, IDS)) == ["redraws keep ids ascending"]


def test_a_few_numbers_and_ranges_are_no_structure():
    assert not kept(quick(segments(), ROWS, jnp.asarray([2, 0, 1, 2, 0])))
    assert not kept(quick(segments(), ROWS[:3], jnp.asarray([0, 1, 1])))

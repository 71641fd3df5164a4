"""Arguments without a gradient by design."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import CannotCheck, check_pair, check_vjp
from tests.check.rules import normal, rule

quick = functools.partial(check_vjp, effort="quick")


def of_equinox(factor=1.0):
    """A function of equinox, which takes tangents of its first argument alone."""
    op = eqx.filter_custom_vjp(lambda x, by: x * by)
    op.def_fwd(lambda perturbed, x, by: (x * by, None))
    op.def_bwd(lambda residuals, dy, perturbed, x, by: factor * dy * by)
    return op


@jax.custom_jvp
def constant(x):
    """An argument that must not be differentiated."""
    return x


@constant.defjvp
def _(primals, tangents):
    raise TypeError("no gradient here")


def cross_entropy():
    """Of logits and soft targets, which get no gradient."""

    def primal(logits, targets):
        return -jnp.sum(targets * jax.nn.log_softmax(logits))

    def bwd(r, dloss):
        logits, targets = r
        return dloss * (jax.nn.softmax(logits) * jnp.sum(targets, -1, keepdims=True) - targets), None

    return rule(primal, bwd)


LOGITS, TARGETS = normal(2, 3), jnp.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])


def test_the_argument_that_a_function_refuses_is_named():
    with pytest.raises(CannotCheck, match=r"by argument 1 \(.*Unexpected tangent.*nondiff=\(1,\)"):
        quick(of_equinox(), normal(2), normal(2, seed=1))

    def f(x, y, z):
        return x * constant(y) + constant(z)

    op = rule(lambda x, y: x * y, lambda r, dy: (dy * r[1], dy * r[0]))
    with pytest.raises(CannotCheck, match=r"by arguments 1, 2 .*no gradient here.*nondiff=\(1, 2\)"):
        quick(lambda x, y, z: op(x, x) + f(x, y, z), *(normal(2, seed=n) for n in range(3)))


def test_a_function_of_equinox_is_judged_in_its_first_argument():
    assert quick(of_equinox(), normal(2), normal(2, seed=1), nondiff=(1,)).ok
    report = quick(of_equinox(2.0), normal(2), normal(2, seed=1), nondiff=1)
    assert report.wrong_arguments == (0,)


def test_a_rule_that_raises_by_itself_is_wrong_and_not_refused():
    def bwd(r, dy):
        raise TypeError("no such rule")

    report = quick(lambda x, y: rule(jnp.sin, bwd)(x) + y, normal(2), normal(2, seed=1))
    assert [f.property for f in report.findings] == ["structure"]


def test_targets_have_no_gradient_where_the_caller_says_so():
    report = quick(cross_entropy(), LOGITS, TARGETS)
    assert report.wrong_arguments == (1,)
    assert any("nondiff=(1,)" in note for note in report.notes)
    assert quick(cross_entropy(), LOGITS, TARGETS, nondiff=(1,)).ok


def test_what_has_no_gradient_is_redrawn_and_judged_in_float64():
    # Right at the caller's targets, which are all of one size, and nowhere else.
    op = rule(lambda x, t: jnp.sum(jnp.sin(x) * t), lambda r, dy: (dy * jnp.cos(r[0]) * r[1][0], None))
    assert quick(op, normal(3), jnp.full(3, 0.3), nondiff=(1,)).wrong_arguments == (0,)


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_pairs(factor):
    report = check_pair(
        lambda x, w: x * w["a"],
        lambda x, w, dy: (factor * dy * w["a"], None),
        np.array([1.0, 2.0]),
        {"a": np.array([3.0, 4.0])},
        nondiff=(1,),
        effort="quick",
    )
    assert report.ok == (factor == 1)


@pytest.mark.parametrize(
    ("nondiff", "said"),
    [
        ("by", "nondiff must hold positions of arguments, got 'by'"),
        ((True,), "must hold positions"),
        ((2,), "nondiff names argument 2, but the last of the arguments is 1"),
        (-1, "nondiff names argument -1"),
        ((0, 1), "no floating-point argument to be differentiated"),
    ],
)
def test_bad_positions(nondiff, said):
    with pytest.raises(CannotCheck, match=said):
        quick(cross_entropy(), LOGITS, TARGETS, nondiff=nondiff)

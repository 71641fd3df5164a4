"""Gradients beside the truth."""

import functools

import jax.numpy as jnp
import numpy as np

from jaxbackprop.check._sampling import Kind
from jaxbackprop.check.properties._values import values, wrong_leaves
from tests.check.observed import answering, asked, observe, of_sine
from tests.check.rules import elementwise, normal, rule


def right(one):
    return np.cos(one.point.leaves[0]) * one.point.dy[0]


def test_right_values_are_recorded_and_nothing_is_found():
    session, observed = of_sine()
    findings, record = asked(values, session, observed)
    assert findings == []
    assert record.wrong == {}
    assert [(c.how, c.leaf) for c in record.compared] == [("float64", 0)]
    np.testing.assert_allclose(record.compared[0].got, right(observed.comparisons[0]), rtol=1e-12)


def test_a_wrong_value_at_the_callers_arguments():
    session, observed = of_sine()
    off = answering(observed, lambda one: right(one) * [1, 1.1, 1])
    ((found,), record) = asked(values, session, off)
    assert found.message == "dx is wrong"
    assert (found.property, found.argument, found.index) == ("value", 0, (1,))
    assert found.error == abs(found.got - found.want) > found.noise
    assert record.wrong[0].kind is Kind.BASE
    np.testing.assert_array_equal(found.point[0], off.comparisons[0].point.leaves[0])


def test_a_value_that_is_wrong_at_redrawn_arguments_alone():
    session, observed = of_sine()
    off = answering(observed, lambda one: right(one) * (1 + (one.kind is Kind.FLIPPED)))
    ((found,), record) = asked(values, session, off)
    assert found.message == "dx is wrong at redrawn arguments (flipped)"
    assert record.wrong[0].kind is Kind.FLIPPED


def test_rounding_is_not_wrong():
    session, observed = of_sine()
    assert asked(values, session, answering(observed, lambda one: right(one) * (1 + 1e-13)))[0] == []


@functools.cache
def of_relu():
    """At a kink; the rule passes half."""
    op = elementwise(
        lambda x: jnp.where(x > 0, x, 0.0), lambda x: jnp.where(x == 0, 0.5, (x > 0).astype(x.dtype))
    )
    return observe(op, jnp.asarray([0.0, 1.0, -1.0], jnp.float32))


def test_at_a_kink_a_generalised_gradient_passes_with_one_note():
    findings, record = asked(values, *of_relu())
    assert findings == []
    assert record.kinks == {0}
    (note,) = record.notes
    assert note.startswith("dx is a valid subgradient at a kink (base arguments): ")
    assert note.endswith("at [0], where autodiff has 0")


def test_at_a_kink_nothing_else_passes():
    session, observed = of_relu()

    def twice(one):
        return np.where(one.point.leaves[0] == 0, 2.0, one.point.leaves[0] > 0) * one.point.dy[0]

    ((found,), record) = asked(values, session, answering(observed, twice))
    assert found.index == (0,)
    assert record.kinks == set()


def test_a_python_float_without_a_gradient_is_a_setting():
    op = rule(lambda x, rate: x * rate, lambda r, dy: (r[1] * dy, None))
    session, observed = observe(op, normal(3), 0.25)
    findings, record = asked(values, session, observed)
    assert findings == []
    assert record.notes == ["argument 1 is a Python float and gets no gradient: taken as a setting"]
    # As an array it would be wrong.
    op = rule(lambda x, rate: x * rate, lambda r, dy: (r[1] * dy, None))
    session, observed = observe(op, normal(3), jnp.float32(0.25))
    assert set(wrong_leaves(session, observed.comparisons, asked(values, session, observed)[1])) == {1}


def test_where_autodiff_is_not_finite_the_gradients_around_are_asked():
    """|x| as the root of a square: autodiff has nan at 0, and everything from -1 to 1 passes."""
    op = elementwise(lambda x: jnp.sqrt(x * x), jnp.sign)
    session, observed = observe(op, jnp.asarray([0.0, 2.0], jnp.float32))
    base = observed.comparisons[0]
    assert np.isnan(base.want[0][0])
    assert asked(values, session, observed)[0] == []
    off = answering(
        observed, lambda one: one.gradient(0) + [3, 0] * one.point.dy[0] * (one.kind is Kind.BASE)
    )
    assert [found.index for found in asked(values, session, off)[0]] == [(0,)]

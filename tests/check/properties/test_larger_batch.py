"""From a batch of one to a batch of three."""

import jax.numpy as jnp

from jaxbackprop.check.properties._values import larger_batch
from tests.check.observed import asked, observe, of_sine
from tests.check.rules import normal, rule


def biased(db):
    op = rule(lambda x, b: x + b[None], lambda r, dy: (dy, db(dy)))
    return observe(op, normal(1, 3), normal(3))


def test_right_for_any_batch():
    findings, record = asked(larger_batch, *biased(lambda dy: jnp.sum(dy, 0)))
    assert findings == []
    assert record.points == 2


def test_right_for_a_batch_of_one_alone():
    session, observed = biased(lambda dy: dy[0])
    ((found,), record) = asked(larger_batch, session, observed)
    assert found.message == "db is right for a batch of one and wrong for a larger one"
    assert (found.property, found.argument, found.mistakes) == ("value", 1, ("batch of one",))
    assert found.point[0].shape == (4, 3)
    assert record.wrong == {}
    # Where a value is wrong already the batch explains nothing.
    assert asked(larger_batch, session, observed, wrong={0: observed.comparisons[0]})[0] == []


def test_no_axis_of_one():
    findings, record = asked(larger_batch, *of_sine())
    assert (findings, record.points) == ([], 0)

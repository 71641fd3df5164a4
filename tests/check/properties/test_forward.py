"""The forward rule's value beside the function's, the function's beside the oracle's."""

import dataclasses

import numpy as np
import pytest

from jaxbackprop.check.properties._forward import forward
from tests.check.observed import answering, asked, observe, of_sine
from tests.check.rules import normal, rule


def test_the_same_value():
    assert asked(forward, *of_sine())[0] == []


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("y", "the forward rule gives another value than the function"),
        ("value", "the forward rule gives another value than the function"),
    ],
)
def test_another_value_in_float64(part, says):
    session, observed = of_sine()
    off = answering(observed, **{part: lambda one: getattr(one.got, part)[0] * [1, 1, 1 + 1e-5]})
    ((found,), _) = asked(forward, session, off)
    assert found.property == "forward"
    assert found.mistakes == ("forward mismatch",)
    assert found.index == (2,)
    assert found.message.startswith(says)
    assert found.message.endswith("at [2]")
    assert found.point is not None


def test_a_function_that_is_not_the_oracles():
    session, observed = of_sine()
    off = answering(observed, y=lambda one: one.got.y[0] + 1e-5, value=lambda one: one.got.value[0] + 1e-5)
    ((found,), _) = asked(forward, session, off)
    assert found.message.startswith("the function gives another value than the oracle")


def test_rounding_is_no_other_value():
    session, observed = of_sine()
    off = answering(observed, y=lambda one: one.got.y[0] * (1 + 1e-12))
    assert asked(forward, session, off)[0] == []


def test_another_value_in_the_arguments_own_dtype_alone():
    session, observed = of_sine()
    own = tuple(
        answer._replace(y=(np.asarray(answer.y[0] * np.float32(1.001)),)) for answer in observed.native
    )
    ((found,), _) = asked(forward, session, dataclasses.replace(observed, native=own))
    assert found.message.startswith("the forward rule gives another value")
    assert found.point is None


def test_results_that_are_no_floats():
    op = rule(
        lambda x: (2 * x, (x > 0).astype(np.int32)),
        lambda r, dy: (2 * dy[0],),
        fwd=lambda x: ((2 * x, (x >= 0).astype(np.int32) + 1), None),
    )
    ((found,), _) = asked(forward, *observe(op, normal(3)))
    assert found.message == "the forward rule gives another int32 result than the function"

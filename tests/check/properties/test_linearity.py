"""How the gradient must follow the cotangent."""

import dataclasses

import numpy as np
import pytest

from jaxbackprop.check._sampling import Kind
from jaxbackprop.check.properties._linearity import linearity
from tests.check.observed import answering, asked, of_sine


def slope(one):
    return np.cos(one.point.leaves[0])


ANSWERS = {
    "right": (lambda one: slope(one) * one.point.dy[0], None, None),
    "wrong but linear": (lambda one: 3 * one.point.dy[0][::-1], None, None),
    "ignored": (slope, "does not depend on the incoming cotangent", "upstream ignored"),
    "squared": (
        lambda one: slope(one) * one.point.dy[0] ** 2,
        "grows with the square of the incoming cotangent",
        "upstream squared",
    ),
    "clipped": (
        lambda one: slope(one) * np.clip(one.point.dy[0], -100, 100),
        "is not proportional to a large or small incoming cotangent",
        "non-linear in cotangent",
    ),
    "not zero": (
        lambda one: slope(one) * one.point.dy[0] + 1,
        "is not zero for an incoming cotangent of zero",
        "upstream ignored",
    ),
    "absolute": (
        lambda one: slope(one) * np.abs(one.point.dy[0]),
        "is not linear in the incoming cotangent",
        "non-linear in cotangent",
    ),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_what_is_not_linear_is_described(what):
    answer, says, mistake = ANSWERS[what]
    session, observed = of_sine()
    found, _ = asked(linearity, session, answering(observed, answer))
    assert [one.message for one in found] == ([] if says is None else [f"dx {says}"])
    assert [one.mistakes[0] for one in found] == ([] if mistake is None else [mistake])


def test_rounding_of_a_sum_that_cancels_is_linear():
    session, observed = of_sine()
    off = answering(observed, lambda one: slope(one) * one.point.dy[0] * (1 + 1e-15))
    assert asked(linearity, session, off)[0] == []


def test_nothing_is_asked_without_the_points_for_it_or_of_an_intended_rule():
    session, observed = of_sine()
    ignored = answering(observed, slope)
    few = tuple(one for one in ignored.comparisons if one.kind is not Kind.ZERO)
    assert asked(linearity, session, dataclasses.replace(ignored, comparisons=few))[0] == []
    intended = dataclasses.replace(session.subject, intended=lambda *args: None)
    assert asked(linearity, dataclasses.replace(session, subject=intended), ignored)[0] == []

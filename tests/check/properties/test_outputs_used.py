"""Every result's cotangent counts."""

import numpy as np

from jaxbackprop.check.properties._linearity import outputs_used
from tests.check.observed import answering, asked, of_two_results


def without(*used):
    """The gradient of sin and cos with the cotangents of some results alone."""

    def gradient(one):
        x, (of_sin, of_cos) = one.point.leaves[0], one.point.dy
        return (0 in used) * np.cos(x) * of_sin - (1 in used) * np.sin(x) * of_cos

    return gradient


def found(gradient, wrong=(0,)):
    session, observed = of_two_results()
    observed = answering(observed, gradient)
    shown = dict.fromkeys(wrong, observed.comparisons[0])
    return asked(outputs_used, session, observed, wrong=shown)[0]


def test_a_result_that_is_ignored():
    (one,) = found(without(0))
    assert one.message == "dx ignores the cotangent of result 1"
    assert (one.property, one.mistakes) == ("linearity", ("output ignored",))
    assert "result 0" in found(without(1))[0].message


def test_no_result_in_particular():
    assert found(without()) == []
    assert found(without(0, 1)) == []
    assert found(lambda one: 2 * without(0)(one)) == []


def test_a_right_leaf_is_not_asked():
    assert found(without(0), wrong=()) == []

"""Call after call."""

import dataclasses

import numpy as np

from jaxbackprop.check.properties._transformations import determinism
from tests.check.observed import asked, of_sine


def again(gradient):
    """What is found where the second call gives a gradient."""
    session, observed = of_sine()
    first = observed.base._replace(gradient=(np.float32([1, np.nan, 0]),))

    class Second:
        def run(self, points):
            return [first._replace(gradient=(np.float32(gradient),))] * len(points)

    session = dataclasses.replace(session, rule_native=Second())
    return asked(determinism, session, dataclasses.replace(observed, base=first))[0]


def test_the_same_bits_nan_and_all():
    assert again([1, np.nan, 0]) == []


def test_another_bit():
    (found,) = again([1 + 2**-23, np.nan, 0])
    assert (found.property, found.message) == ("determinism", "dx changes from call to call")
    assert again([1, 2, 0])


def test_zero_has_no_sign():
    assert again([1, np.nan, -0.0]) == []

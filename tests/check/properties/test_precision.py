"""The rule in the arguments' own dtypes."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxbackprop.check._sampling import Kind
from jaxbackprop.check.properties._precision import precision
from tests.check.observed import asked, observe, of_sine
from tests.check.rules import normal, sine


def rounded(observed, off, kind=Kind.BASE):
    """Observations whose native gradient is another one at points of a kind."""
    native = tuple(
        answer._replace(gradient=(off(answer.gradient[0]),)) if one.kind is kind else answer
        for one, answer in zip(observed.comparisons, observed.native, strict=True)
    )
    return dataclasses.replace(observed, native=native)


def test_rounding_of_the_dtype_passes_and_is_recorded():
    session, observed = of_sine()
    findings, record = asked(precision, session, rounded(observed, lambda g: g * np.float32(1 + 2e-7)))
    assert findings == []
    assert [compared.how for compared in record.compared] == ["native"]


@pytest.mark.parametrize(
    ("off", "says"),
    [
        (lambda g: g * np.float32(1.01), "dx loses its digits in float32, though the formula is right"),
        (lambda g: g * np.float32(np.inf), "dx is not finite in float32, though the formula is right"),
    ],
)
def test_more_than_rounding(off, says):
    session, observed = of_sine()
    ((found,), _) = asked(precision, session, rounded(observed, off))
    assert found.message.startswith(says)
    assert "autodiff is off by" in found.message
    assert (found.property, found.mistakes) == ("precision", ("numerically unstable",))
    wrong = {0: observed.comparisons[0]}
    assert asked(precision, session, rounded(observed, off), wrong=wrong)[0] == []


def test_far_out_more_is_allowed():
    session, observed = of_sine()

    def slightly(g):
        return g + np.float32(3e-5)

    assert asked(precision, session, rounded(observed, slightly))[0] != []
    assert asked(precision, session, rounded(observed, slightly, Kind.SATURATED))[0] == []


def test_in_float64_nothing_is_between_rounding_and_wrong():
    with jax.enable_x64(True):
        session, observed = observe(sine(), normal(3, dtype=np.float64))
    assert session.layout.dtypes == (np.float64,)
    assert asked(precision, session, rounded(observed, lambda g: g * 1.01))[0] == []

"""What the rule's first run tells."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.check._session import FirstRun
from jaxbackprop.check.properties import structure
from tests.check.observed import of_sine


def found(run):
    session, _ = of_sine()
    return structure(dataclasses.replace(session, first_run=run))


def test_a_run_as_it_should_be():
    session, _ = of_sine()
    assert session.first_run.error is None
    assert structure(session) == []


def test_another_dtype():
    (one,) = found(FirstRun((jax.ShapeDtypeStruct((3,), jnp.bfloat16),)))
    assert (one.property, one.argument, one.mistakes) == ("structure", 0, ("cotangent dtype",))
    assert one.message == "dx is bfloat16, but the argument is float32"


def test_a_rule_that_raises():
    (one,) = found(FirstRun(error=ValueError("no\nmore")))
    assert (one.property, one.message) == ("structure", "the rule raises ValueError: no")


def test_a_rule_that_runs_but_cannot_be_traced():
    (one,) = found(FirstRun((np.zeros(3, np.float32),), untraceable=TypeError("an index")))
    assert (one.property, one.mistakes) == ("jit", ("not traceable",))
    assert one.message.endswith("TypeError: an index")
    both = found(FirstRun(untraceable=TypeError("an index"), error=ValueError("no")))
    assert [one.property for one in both] == ["jit", "structure"]

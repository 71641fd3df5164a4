"""What properties are asked about: a session, the answers at its points, and others put in their place."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np

from jaxbackprop.check._comparison import compare
from jaxbackprop.check._opening import open_session
from jaxbackprop.check._record import Observations, Record
from jaxbackprop.check._subject import Subject
from tests.check.rules import normal, rule, sine


def observe(op, *args, oracle=None, **options):
    """A quick session and all that the rule answers in it."""
    session = open_session(Subject.of_op(op, oracle, None, None), args, **{"quick": True, **options})
    points = session.sample.points
    native = session.rule_native.run([point for _, point in points])
    comparisons = tuple(compare(session, points))
    own = {id(point): answer for (_, point), answer in zip(points, native, strict=True)}
    return session, Observations(comparisons, tuple(own[id(c.point)] for c in comparisons), native[0])


@functools.cache
def of_sine():
    """Of sin, three numbers in float32, right."""
    return observe(sine(), normal(3), figures=True)


@functools.cache
def of_two_results():
    """Of sin and cos, right."""
    both = rule(
        lambda x: (jnp.sin(x), jnp.cos(x)), lambda r, dy: (jnp.cos(r[0]) * dy[0] - jnp.sin(r[0]) * dy[1],)
    )
    return observe(both, normal(3))


def answering(observed, gradient=None, **parts):
    """Observations whose comparisons hold other answers: functions of a comparison, one array each."""
    if gradient is not None:
        parts["gradient"] = gradient

    def changed(one):
        found = {part: (np.asarray(f(one)),) for part, f in parts.items()}
        return dataclasses.replace(one, got=one.got._replace(**found))

    return dataclasses.replace(observed, comparisons=tuple(map(changed, observed.comparisons)))


def asked(holds, session, observed, **known):
    """What a property finds, and its record."""
    record = Record(session, **known)
    return holds(session, observed, record), record

"""The point that shows a mistake, in words beside the caller's."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import Finding, check_vjp
from jaxbackprop.check._shown_at import shown_at
from tests.check.rules import rule


def said(given, point):
    layout = SimpleNamespace(args=lambda leaves: (given,))
    session = SimpleNamespace(
        layout=layout, base=SimpleNamespace(leaves=()), parameters=lambda count: ["x"][:count]
    )
    return shown_at(session, Finding("value", "is wrong", argument=0, point=(point,)))


@pytest.mark.parametrize(
    ("given", "point", "words"),
    [
        (jnp.ones(3), jnp.asarray([1.0, 2, -2.5]), "x [1.0, 2.0, -2.5]"),
        (jnp.ones((3, 4)), jnp.full((3, 4), -100.0), "x about 1e+02 (given: about 1)"),
        (np.float32([0.1, 0.7]), np.float64([0.1, 0.7]).astype("f4"), ""),
        (jnp.zeros(2), jnp.asarray([np.nan, 1.0]), "x [nan, 1.0] (given: about 0)"),
        (jnp.asarray([0, 1, 2, 3]), jnp.asarray([1, 2, 3, 1]), "x [1, 2, 3, 1]"),
        (jnp.arange(20), jnp.arange(20) % 7, "x from 0 to 6"),
        ({"w": jnp.ones(1), "n": 3}, {"w": jnp.zeros(1), "n": 3}, "x['w'] [0.0] (given: about 1)"),
        (jnp.ones((1, 4)), jnp.ones((3, 4)), "x of shape (3, 4)"),
        (np.asarray([1j]), np.asarray([2 + 0j]), "x [(2+0j)]"),
        (jnp.bfloat16([1, 2]), jnp.bfloat16([1, 3]), "x [1.0, 3.0]"),
        (jax.random.key(0), jax.random.key(1), ""),
    ],
)
def test_what_differs_from_the_callers_arguments_is_said(given, point, words):
    assert said(given, point) == words


def test_the_report_says_at_what_size_and_for_which_ids_a_mistake_shows():
    late = rule(jnp.tanh, lambda r, dy: (jnp.where(r[0] > 30, 1.0, 1 - jnp.tanh(r[0]) ** 2) * dy,))
    assert "\n    at x about " in str(check_vjp(late, jnp.ones((3, 4)), effort="quick"))
    overwrites = rule(lambda x, ids: x[ids], lambda r, dy: (jnp.zeros_like(r[0]).at[r[1]].set(dy), None))
    (found,) = check_vjp(overwrites, jnp.arange(1.0, 6), jnp.asarray([3, 1, 2])).findings
    ids = np.asarray(found.point[1]).tolist()
    assert f"ids {ids}" in found.shown_at
    assert len(set(ids)) < 3

"""Autodiff beside differences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.check.properties._values import differences
from tests.check.observed import asked, observe, of_sine
from tests.check.rules import normal, rule


@jax.custom_jvp
def lying(x):
    """Sin, with another derivative for autodiff."""
    return jnp.sin(x)


lying.defjvps(lambda dx, y, x: 2 * jnp.cos(x) * dx)

doubled = rule(jnp.sin, lambda r, dy: (2 * jnp.cos(r[0]) * dy,))


def test_they_agree_and_are_recorded():
    session, observed = of_sine()
    findings, record = asked(differences, session, observed)
    assert findings == []
    (compared,) = record.compared
    assert compared.how == "differences"
    np.testing.assert_allclose(compared.got, compared.want, rtol=1e-8)
    assert np.all(np.abs(compared.got - compared.want) <= 20 * compared.noise + 1e-12)


def test_autodiff_that_is_no_slope():
    session, observed = observe(doubled, normal(3), oracle=lying)
    ((found,), _) = asked(differences, session, observed)
    assert found.message.startswith("dx differs from differences of the function, though autodiff")
    assert abs(found.got - 2 * found.want) < 1e-6
    # What is wrong anyway is not said twice.
    assert asked(differences, session, observed, wrong={0: observed.comparisons[0]})[0] == []
    # A rule that is meant to be no slope is not asked.
    intended = dataclasses.replace(session, subject=dataclasses.replace(session.subject, intended=jnp.sin))
    assert asked(differences, intended, observed)[0] == []


def test_where_the_oracle_stops_gradients_autodiff_is_meant():
    def stopped(x):
        return jax.lax.stop_gradient(jnp.sin(x)) + 0 * x

    session, observed = observe(rule(jnp.sin, lambda r, dy: (0 * dy,)), normal(3), oracle=stopped)
    findings, record = asked(differences, session, observed)
    assert findings == []
    assert record.notes == ["the oracle stops gradients: autodiff of it is meant, not differences"]

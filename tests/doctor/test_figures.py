"""The figures taken of values: norms that neither overflow nor underflow, saturated shares, living units."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.doctor._activations import Activation
from jaxbackprop.doctor._figures import alive_units, norm, saturated_share
from jaxbackprop.graph import Port


def activation(kind, sure=True):
    return Activation(node=None, kind=kind, units=(1,), sure=sure, bound=1.0, gate=False, operand=Port(0, 0))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_norms_are_right_where_squares_leave_the_range(scale):
    x = np.array([3.0, -4.0], np.float32) * np.float32(scale)
    assert float(norm(x)) == pytest.approx(5 * scale, rel=1e-5)
    assert float(norm(x[1])) == pytest.approx(4 * scale, rel=1e-5)


def test_norms_of_nothing_of_halves_and_of_what_is_not_finite():
    assert norm(jnp.ones((0, 3))) == 0
    assert norm(jnp.zeros(3)) == 0
    assert norm(jnp.full(4, 3e4, jnp.float16)).dtype == jnp.float32
    assert float(norm(jnp.full(4, 3e4, jnp.float16))) == pytest.approx(6e4, rel=1e-3)
    assert jnp.isinf(norm(jnp.array([1.0, jnp.inf])))
    assert jnp.isnan(norm(jnp.array([1.0, jnp.nan])))


@pytest.mark.parametrize(
    ("kind", "of", "flat"),
    [("tanh", np.tanh, 3.01), ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), 6.01), ("hardtanh", np.sign, 1.0)],
)
def test_an_entry_is_saturated_where_the_slope_is_a_hundredth_of_its_largest(kind, of, flat):
    y = of(np.array([[flat, -flat], [0.0, flat]], np.float32))
    assert float(saturated_share(activation(kind), y)) == 0.75
    if kind != "hardtanh":
        y = of(np.array([[flat - 0.1, 0.1 - flat]], np.float32))
        assert float(saturated_share(activation(kind), y)) == 0


def test_a_unit_lives_where_one_example_activates_it():
    y = jnp.array([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    found = alive_units(activation("relu"), y)
    assert found["units"].tolist() == [False, True, True]
    assert "examples" not in found
    found = alive_units(activation("relu", sure=False), y)
    assert found["examples"].tolist() == [True, True]

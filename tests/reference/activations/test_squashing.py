import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import activations
from reference.activations import sigmoid, sigmoid_vjp, tanh_by_sigmoid, tanh_vjp
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

ENTRYWISE = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "hardtanh": jax.nn.hard_tanh}
SHAPES = [(), (5,), (2, 3), (0, 3)]


def pair(name):
    return getattr(activations, name), getattr(activations, name + "_vjp")


@pytest.mark.parametrize("name", ENTRYWISE)
@pytest.mark.parametrize("shape", SHAPES)
def test_entrywise_opinions_agree(name, shape) -> None:
    f, f_vjp = pair(name)
    x, dy = normal(0, *shape), normal(1, *shape)
    check_against_autodiff(f, f_vjp, ENTRYWISE[name], (x,), (0,), dy)
    check_against_differences(f, f_vjp, (x,), (0,), dy)


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
@settings(max_examples=20)
@given(data=st.data())
def test_entrywise_values(name, data) -> None:
    f, f_vjp = pair(name)
    x, dy = data.draw(values((6,), bound=30.0)), data.draw(values((6,)))
    check_against_autodiff(f, f_vjp, ENTRYWISE[name], (x,), (0,), dy)


@given(values((5,), bound=10.0), values((5,)))
def test_the_slopes_on_paper(x, dy) -> None:
    y = sigmoid(x)
    np.testing.assert_allclose(sigmoid_vjp(x, dy)[0], y * (1 - y) * dy, atol=1e-15)
    np.testing.assert_allclose(sigmoid_vjp(x, dy)[0], sigmoid(x) * sigmoid(-x) * dy, rtol=1e-14)
    np.testing.assert_allclose(tanh_vjp(x, dy)[0], (1 - np.tanh(x) ** 2) * dy, atol=1e-15)
    np.testing.assert_allclose(tanh_vjp(x, dy)[0], 4 * sigmoid_vjp(2 * x, dy)[0], rtol=1e-13)


@given(values((5,), bound=40.0))
def test_tanh_is_a_rescaled_sigmoid(x) -> None:
    np.testing.assert_allclose(tanh_by_sigmoid(x), np.tanh(x), rtol=0, atol=4e-16)


@given(st.floats(40.0, 300.0), st.sampled_from([-1.0, 1.0]))
def test_the_tails_do_not_cancel(size, sign) -> None:
    x = sign * size
    # y rounds to its limit here, and the slopes are their leading terms to the last digits.
    np.testing.assert_allclose(sigmoid_vjp(x, 1.0)[0], np.exp(-size), rtol=1e-15)
    np.testing.assert_allclose(tanh_vjp(x, 1.0)[0], 4 * np.exp(-2 * size), rtol=1e-15)
    np.testing.assert_allclose(sigmoid(-size), np.exp(-size), rtol=1e-15)


def test_infinities_and_nan() -> None:
    x = np.array([-np.inf, -1e4, 1e4, np.inf])
    np.testing.assert_array_equal(sigmoid(x), [0, 0, 1, 1])
    np.testing.assert_array_equal(activations.tanh(x), [-1, -1, 1, 1])
    for name in ENTRYWISE:
        f, f_vjp = pair(name)
        np.testing.assert_array_equal(f_vjp(x, np.ones(4))[0], np.zeros(4))
        assert np.isnan(f(np.nan))
    assert np.isnan(sigmoid_vjp(np.nan, 1.0)[0])
    assert np.isnan(tanh_vjp(np.nan, 1.0)[0])


def test_hardtanh_at_its_kinks() -> None:
    beyond = np.nextafter(1.0, 2.0)
    x = np.array([-2.0, -beyond, -1.0, -0.5, 0.0, 1.0, beyond, 3.0, np.nan])
    np.testing.assert_array_equal(activations.hardtanh(x), [-1, -1, -1, -0.5, 0, 1, 1, 1, np.nan])
    (dx,) = activations.hardtanh_vjp(x, np.full(9, 7.0))
    np.testing.assert_array_equal(dx, [0, 0, 7, 7, 7, 7, 0, 0, 0])


@pytest.mark.parametrize("name", ENTRYWISE)
@pytest.mark.parametrize("dy", [(), (3,), (1, 2), (2, 1)])
def test_entrywise_dy_must_have_the_shape_of_x(name, dy) -> None:
    with pytest.raises(ValueError, match="dy has shape"):
        pair(name)[1](np.ones(2), np.ones(dy))

from decimal import Decimal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import activations
from reference.activations import elu, elu_vjp, leaky_relu, leaky_relu_vjp, prelu, prelu_vjp, relu, relu_vjp
from tests.reference.exact import exact
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

LEAST = np.nextafter(0.0, 1.0)


# The left piece at 0, where jax.nn.leaky_relu takes the right one.
def leaky_twin(x, slope):
    with jax.numpy_rank_promotion("allow"):
        return jnp.where(x > 0, x, slope * x)


# The functions with their settings, and their twins.
ENTRYWISE = {
    "relu": ((), lambda x: jax.nn.relu(x)),
    "leaky_relu": ((0.01,), leaky_twin),
    "leaky_relu steeper": ((1.5,), leaky_twin),
    "leaky_relu absolute": ((-1.0,), leaky_twin),
    "elu": ((1.0,), jax.nn.elu),
    "elu lower": ((0.3,), jax.nn.elu),
}


def case(name):
    settings, twin = ENTRYWISE[name]
    f = name.split()[0]
    return getattr(activations, f), getattr(activations, f + "_vjp"), settings, twin


@pytest.mark.parametrize("name", ENTRYWISE)
@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0, 3)])
def test_opinions_agree(name, shape) -> None:
    f, f_vjp, settings, twin = case(name)
    x, dy = normal(0, *shape), normal(1, *shape)
    check_against_autodiff(f, f_vjp, twin, (x, *settings), (0,), dy)
    check_against_differences(f, f_vjp, (x, *settings), (0,), dy)


@pytest.mark.parametrize("name", ENTRYWISE)
@settings(max_examples=15)
@given(data=st.data())
def test_values(name, data) -> None:
    f, f_vjp, settings, twin = case(name)
    x, dy = data.draw(values((6,), bound=30.0)), data.draw(values((6,)))
    check_against_autodiff(f, f_vjp, twin, (x, *settings), (0,), dy)


@pytest.mark.parametrize(
    ("x_shape", "slope_shape"),
    [
        ((), ()),
        ((5,), ()),
        ((2, 3), (3,)),
        ((2, 3), (2, 1)),
        ((2, 3), (2, 3)),
        ((4, 2, 3), (2, 1)),
        ((0, 3), (3,)),
    ],
)
def test_prelu_opinions_agree(x_shape, slope_shape) -> None:
    args, dy = (normal(0, *x_shape), normal(1, *slope_shape)), normal(2, *x_shape)
    check_against_autodiff(prelu, prelu_vjp, leaky_twin, args, (0, 1), dy)
    check_against_differences(prelu, prelu_vjp, args, (0, 1), dy)


@settings(max_examples=20)
@given(values((4, 3)), values((3,)), values((4, 3)))
def test_prelu_values(x, slope, dy) -> None:
    check_against_autodiff(prelu, prelu_vjp, leaky_twin, (x, slope), (0, 1), dy)


def test_prelu_by_hand() -> None:
    x = np.array([[1.0, -2.0], [-3.0, -4.0], [0.0, 5.0]])
    dy = np.array([[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]])
    np.testing.assert_array_equal(prelu(x, [0.5, 0.25]), [[1, -0.5], [-1.5, -1], [0, 5]])
    dx, dslope = prelu_vjp(x, [0.5, 0.25], dy)
    np.testing.assert_array_equal(dx, [[10, 5], [15, 10], [25, 60]])
    np.testing.assert_array_equal(dslope, [-90, -40 - 160])
    assert prelu_vjp(x, 0.5, dy)[1] == -90 - 200


@given(values((6,)), values((6,)), st.floats(-2.0, 2.0))
def test_the_family(x, dy, slope) -> None:
    # Leaky relu is prelu with one slope; relu is leaky relu with slope 0.
    np.testing.assert_array_equal(leaky_relu(x, slope), prelu(x, slope))
    np.testing.assert_array_equal(leaky_relu_vjp(x, slope, dy)[0], prelu_vjp(x, slope, dy)[0])
    np.testing.assert_array_equal(leaky_relu(x, 0.0), relu(x))
    np.testing.assert_array_equal(leaky_relu_vjp(x, 0.0, dy)[0], relu_vjp(x, dy)[0])
    np.testing.assert_array_equal(leaky_relu(x), leaky_relu(x, 0.01))
    np.testing.assert_array_equal(elu(x), elu(x, 1.0))
    # On paper the output alone gives elu's slope.
    np.testing.assert_allclose(elu_vjp(x, 0.5, dy)[0], np.where(x > 0, 1, elu(x, 0.5) + 0.5) * dy, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "left"), [("relu", 0.0), ("leaky_relu", 0.01), ("elu", 1.0), ("elu lower", 0.3)]
)
def test_the_kink_takes_the_slope_from_the_left(name, left) -> None:
    f, f_vjp, settings, _ = case(name)
    x = np.array([-LEAST, -0.0, 0.0, LEAST])
    np.testing.assert_array_equal(f(x, *settings)[1:3], 0.0)
    np.testing.assert_allclose(f_vjp(x, *settings, np.full(4, 7.0))[0], [7 * left, 7 * left, 7 * left, 7])
    # That is what a difference to the left measures, and the right one gives the other end of the hull.
    h = 1e-9
    assert -f(-h, *settings) / h == pytest.approx(left, abs=1e-8)
    assert f(h, *settings) / h == 1.0


def test_prelu_at_the_kink() -> None:
    dx, dslope = prelu_vjp(np.array([-0.0, 0.0, LEAST]), 0.25, np.full(3, 8.0))
    np.testing.assert_array_equal(dx, [2, 2, 8])
    assert dslope == 0.0


def test_elu_does_not_cancel() -> None:
    x = np.array([-700.0, -100.0, -40.0, -1.0, -1e-3, -1e-12, -1e-300])
    np.testing.assert_allclose(elu_vjp(x, 2.0, np.ones(7))[0], exact(lambda v: 2 * v.exp(), x), rtol=1e-15)
    np.testing.assert_allclose(elu(x[:-1], 2.0), exact(lambda v: 2 * (v.exp() - 1), x[:-1]), rtol=1e-15)
    assert elu(x[-1], 2.0) == -2e-300


def test_infinities() -> None:
    x, dy = np.array([-np.inf, -1e308, 1e308, np.inf]), np.ones(4)
    np.testing.assert_array_equal(relu(x), [0, 0, 1e308, np.inf])
    np.testing.assert_array_equal(relu_vjp(x, dy)[0], [0, 0, 1, 1])
    np.testing.assert_array_equal(leaky_relu(x, 0.5), [-np.inf, -5e307, 1e308, np.inf])
    np.testing.assert_array_equal(leaky_relu(x, 0.0), [0, 0, 1e308, np.inf])
    np.testing.assert_array_equal(leaky_relu_vjp(x, 0.5, dy)[0], [0.5, 0.5, 1, 1])
    np.testing.assert_array_equal(elu(x, 0.5), [-0.5, -0.5, 1e308, np.inf])
    np.testing.assert_array_equal(elu_vjp(x, 0.5, dy)[0], [0, 0, 1, 1])
    np.testing.assert_array_equal(prelu(x, [0.5, 0.0, 0.0, 0.0]), [-np.inf, 0, 1e308, np.inf])
    dx, dslope = prelu_vjp(x, np.full(4, 0.5), dy)
    np.testing.assert_array_equal(dx, [0.5, 0.5, 1, 1])
    np.testing.assert_array_equal(dslope, [-np.inf, -1e308, 0, 0])
    # Nothing depends on an entry whose dy is 0.
    assert prelu_vjp(np.array([-np.inf, np.inf, -2.0]), 0.5, np.array([0.0, 0.0, 3.0]))[1] == -6.0


def test_nan() -> None:
    for f in (relu, leaky_relu, elu, lambda x: prelu(x, 0.5)):
        assert np.isnan(f(np.nan))
    # A nan is not above 0: the left piece's slope.
    assert relu_vjp(np.nan, 1.0)[0] == 0.0
    assert leaky_relu_vjp(np.nan, 0.5, 1.0)[0] == 0.5
    assert np.isnan(elu_vjp(np.nan, 0.5, 1.0)[0])
    dx, dslope = prelu_vjp(np.nan, 0.5, 1.0)
    assert dx == 0.5
    assert np.isnan(dslope)


@pytest.mark.parametrize("dy", [(), (3,), (1, 2), (2, 1)])
def test_dy_must_have_the_shape_of_x(dy) -> None:
    x, dy = np.ones(2), np.ones(dy)
    for f_vjp in (
        relu_vjp,
        lambda x, dy: leaky_relu_vjp(x, 0.1, dy),
        lambda x, dy: prelu_vjp(x, 0.1, dy),
        lambda x, dy: elu_vjp(x, 1.0, dy),
    ):
        with pytest.raises(ValueError, match=r"dy has shape .* but x has shape \(2,\)"):
            f_vjp(x, dy)


@pytest.mark.parametrize(
    ("x", "slope"), [((2, 3), (2,)), ((3,), (2, 3)), ((), (1,)), ((1, 3), (2, 1)), ((2,), (0,))]
)
def test_a_slope_must_broadcast_to_x(x, slope) -> None:
    with pytest.raises(ValueError, match=r"slope of shape .* does not broadcast to x's shape"):
        prelu(np.ones(x), np.ones(slope))
    with pytest.raises(ValueError, match=r"slope of shape .* does not broadcast to x's shape"):
        prelu_vjp(np.ones(x), np.ones(slope), np.ones(x))


@pytest.mark.parametrize(
    ("f", "f_vjp", "name"), [(leaky_relu, leaky_relu_vjp, "slope"), (elu, elu_vjp, "alpha")]
)
def test_settings_are_finite_numbers(f, f_vjp, name) -> None:
    x = np.ones(2)
    for value in (np.inf, np.nan):
        with pytest.raises(ValueError, match=f"{name} must be finite, got"):
            f(x, value)
        with pytest.raises(ValueError, match=f"{name} must be finite, got"):
            f_vjp(x, value, x)
    for value in (True, "0.1", None, [0.1, 0.2], 1j, Decimal(1)):
        with pytest.raises(TypeError, match=f"{name} must be a number, got"):
            f(x, value)
        with pytest.raises(TypeError, match=f"{name} must be a number, got"):
            f_vjp(x, value, x)
    np.testing.assert_array_equal(f(-x, np.int32(2)), f(-x, 2.0))

import math
from decimal import Decimal

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import activations
from reference.activations import gelu, gelu_vjp, sigmoid, silu, silu_vjp, softplus, softplus_vjp
from tests.reference import exact
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

TWINS = {
    "softplus": (jax.nn.softplus, {}),
    "silu": (jax.nn.silu, {}),
    "gelu": (jax.nn.gelu, {}),
    "gelu tanh": (jax.nn.gelu, {"approximate": True}),
    "gelu exact": (jax.nn.gelu, {"approximate": False}),
}


def case(name):
    f = name.split()[0]
    return getattr(activations, f), getattr(activations, f + "_vjp"), *TWINS[name]


def tanh_argument(x: Decimal) -> Decimal:
    return (8 / exact.pi()).sqrt() * (x + Decimal(0.044715) * x**3)


def tanh_gelu_slope(x: Decimal) -> Decimal:
    gate = exact.sigmoid(tanh_argument(x))
    dv = (8 / exact.pi()).sqrt() * (1 + 3 * Decimal(0.044715) * x * x)
    return gate + x * dv * gate * (1 - gate)


# What each is, on paper: its value and its slope.
ON_PAPER = {
    "softplus": (lambda x: (1 + x.exp()).ln(), exact.sigmoid),
    "silu": (
        lambda x: x * exact.sigmoid(x),
        lambda x: exact.sigmoid(x) * (1 + x * (1 - exact.sigmoid(x))),
    ),
    "gelu tanh": (lambda x: x * exact.sigmoid(tanh_argument(x)), tanh_gelu_slope),
    "gelu exact": (
        lambda x: x * exact.normal_distribution(x),
        lambda x: exact.normal_distribution(x) + x * exact.normal_density(x),
    ),
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0, 3)])
def test_opinions_agree(name, shape) -> None:
    f, f_vjp, twin, keywords = case(name)
    x, dy = normal(0, *shape), normal(1, *shape)
    check_against_autodiff(f, f_vjp, twin, (x,), (0,), dy, **keywords)
    check_against_differences(f, f_vjp, (x,), (0,), dy, **keywords)


@pytest.mark.parametrize("name", TWINS)
@settings(max_examples=15)
@given(data=st.data())
def test_values(name, data) -> None:
    f, f_vjp, twin, keywords = case(name)
    x, dy = data.draw(values((6,), bound=30.0)), data.draw(values((6,)))
    check_against_autodiff(f, f_vjp, twin, (x,), (0,), dy, **keywords)


# From where the function is barely a normal number in float64 to where it is x.
@pytest.mark.parametrize(
    ("name", "least", "rtol"),
    [
        ("softplus", -708.0, 1e-15),
        ("silu", -700.0, 1e-15),
        # An input that is off by its last digit moves Φ by x² and the gate by 3v of them.
        ("gelu tanh", -21.0, 1e-12),
        ("gelu exact", -37.0, 1e-12),
    ],
)
def test_the_tails_do_not_cancel(name, least, rtol) -> None:
    f, f_vjp, _, keywords = case(name)
    x = np.array([least, least / 2, least / 10, -5.0, -2.0, -1e-3, 0.0, 1e-3, 2.0, 5.0, 9.0, 30.0, 40.0, 1e3])
    value, slope = ON_PAPER[name]
    # Exponentials of large numbers in decimal arithmetic are slow, and the right tail is 1 long before.
    near = x[x < 50] if name.startswith("gelu") else x
    np.testing.assert_allclose(f(near, **keywords), exact.exact(value, near), rtol=4 * rtol, atol=0)
    (dx,) = f_vjp(near, np.full(near.shape, 3.0), **keywords)
    np.testing.assert_allclose(dx, 3 * exact.exact(slope, near), rtol=4 * rtol, atol=0)
    assert f_vjp(x, np.ones(x.shape), **keywords)[0][-1] == 1.0


@given(values((5,), bound=30.0))
def test_identities(x) -> None:
    one = np.ones(5)
    np.testing.assert_allclose(softplus(x) - softplus(-x), x, atol=1e-14)
    np.testing.assert_allclose(softplus_vjp(x, one)[0], sigmoid(x), rtol=1e-15)
    np.testing.assert_allclose(silu_vjp(x, one)[0], silu(x) + sigmoid(x) * (1 - silu(x)), atol=1e-14)
    for approximate in (True, False):
        difference = gelu(x, approximate=approximate) - gelu(-x, approximate=approximate)
        np.testing.assert_allclose(difference, x, atol=1e-14)
        slopes = sum(gelu_vjp(v, one, approximate=approximate)[0] for v in (x, -x))
        np.testing.assert_allclose(slopes, 1.0, atol=1e-14)


def test_gelu_in_both_forms() -> None:
    x = np.linspace(-8.0, 8.0, 2001)
    by_erf = [0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x]
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    by_tanh = 0.5 * x * (1 + np.tanh(u))
    np.testing.assert_allclose(gelu(x, approximate=False), by_erf, atol=1e-15)
    np.testing.assert_allclose(gelu(x, approximate=True), by_tanh, atol=1e-15)
    np.testing.assert_array_equal(gelu(x), gelu(x, approximate=True))
    apart = np.abs(gelu(x) - gelu(x, approximate=False)).max()
    assert 4e-4 < apart < 5e-4


@pytest.mark.parametrize(("name", "place"), [("silu", -1.278464542761), ("gelu tanh", -0.752461422071)])
def test_where_the_slope_is_zero(name, place) -> None:
    f, f_vjp, _, keywords = case(name)
    assert abs(f_vjp(place, 1.0, **keywords)[0]) < 1e-12
    assert f(place, **keywords) < min(f(place - 0.01, **keywords), f(place + 0.01, **keywords))


@pytest.mark.parametrize("name", TWINS)
def test_infinities_and_nan(name) -> None:
    f, f_vjp, _, keywords = case(name)
    x = np.array([-np.inf, -1e308, -1e4, 1e4, 1e308, np.inf])
    np.testing.assert_array_equal(f(x, **keywords), [0, 0, 0, 1e4, 1e308, np.inf])
    np.testing.assert_array_equal(f_vjp(x, np.full(6, 2.0), **keywords)[0], [0, 0, 0, 2, 2, 2])
    assert np.isnan(f(np.nan, **keywords))
    assert np.isnan(f_vjp(np.nan, 1.0, **keywords)[0])


@pytest.mark.parametrize("f_vjp", [softplus_vjp, silu_vjp, gelu_vjp])
@pytest.mark.parametrize("dy", [(), (3,), (1, 2), (2, 1)])
def test_dy_must_have_the_shape_of_x(f_vjp, dy) -> None:
    with pytest.raises(ValueError, match=r"dy has shape .* but x has shape \(2,\)"):
        f_vjp(np.ones(2), np.ones(dy))

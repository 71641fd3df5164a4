import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import activations
from reference.activations import maximum, maximum_vjp, sigmoid, sigmoid_vjp, tanh_vjp
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values

ENTRYWISE = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "hardtanh": jax.nn.hard_tanh}
SHAPES = [(), (5,), (2, 3), (0, 3)]


def pair(name):
    return getattr(activations, name), getattr(activations, name + "_vjp")


# The first winner takes all, as a gather of it does.
def max_twin(x, axis):
    winners = jnp.argmax(x, axis=axis, keepdims=True)
    return jnp.take_along_axis(x, winners, axis).squeeze(axis)


def maximum_twin(x, y):
    with jax.numpy_rank_promotion("allow"):
        return jnp.where((x >= y) | jnp.isnan(x), x, y)


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
    np.testing.assert_allclose(activations.tanh(x), 2 * sigmoid(2 * x) - 1, atol=1e-15)


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


@pytest.mark.parametrize(
    ("shape", "axis"), [((4,), 0), ((3, 4), 0), ((3, 4), 1), ((3, 4), -1), ((2, 3, 4), -2), ((0, 3), 1)]
)
def test_max_opinions_agree(shape, axis) -> None:
    x = normal(0, *shape)
    reduced = tuple(np.delete(shape, axis))
    dy = normal(1, *reduced)
    f, f_vjp = pair("max")
    check_against_autodiff(f, f_vjp, max_twin, (x, axis), (0,), dy)
    check_against_autodiff(f, f_vjp, lambda x, axis: jnp.max(x, axis=axis), (x, axis), (0,), dy)
    check_against_differences(f, f_vjp, (x, axis), (0,), dy)


@settings(max_examples=20)
@given(st.lists(st.sampled_from([-1.0, 0.0, -0.0, 2.0, np.nan, np.inf]), min_size=12, max_size=12))
def test_max_routes_all_to_the_first_winner(entries) -> None:
    x = np.array(entries).reshape(3, 4)
    dy = np.array([5.0, 6.0, 7.0])
    f, f_vjp = pair("max")
    check_against_autodiff(f, f_vjp, max_twin, (x, 1), (0,), dy)
    expected = np.zeros((3, 4))
    for row in range(3):
        # By hand: the first nan; without one, the first entry that none exceeds.
        nans = [j for j in range(4) if np.isnan(x[row, j])]
        winner = nans[0] if nans else next(j for j in range(4) if all(x[row, j] >= v for v in x[row]))
        expected[row, winner] = dy[row]
    np.testing.assert_array_equal(f_vjp(x, 1, dy)[0], expected)


@pytest.mark.parametrize(
    ("shape", "axis", "message"),
    [
        ((2, 3), 2, r"axis 2 is out of range for x of shape \(2, 3\)"),
        ((2, 3), -3, "axis -3 is out of range"),
        ((), 0, "axis 0 is out of range"),
        ((2, 0), 1, r"x of shape \(2, 0\) has no entry along axis 1"),
        ((2, 0), -1, "has no entry along axis 1"),
    ],
)
def test_max_names_bad_axes(shape, axis, message) -> None:
    f, f_vjp = pair("max")
    with pytest.raises(ValueError, match=message):
        f(np.ones(shape), axis)
    with pytest.raises(ValueError, match=message):
        f_vjp(np.ones(shape), axis, np.ones(2))


def test_max_names_bad_types_and_bad_upstream_gradients() -> None:
    f, f_vjp = pair("max")
    for axis in (None, 1.0, True, (0, 1)):
        with pytest.raises(TypeError, match="axis must be an integer"):
            f(np.ones((2, 3)), axis)
    for dy in [(3,), (2, 1), ()]:
        with pytest.raises(ValueError, match="dy has shape"):
            f_vjp(np.ones((2, 3)), 1, np.ones(dy))


BROADCASTS = [
    ((), ()),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (2, 3)),
    ((2, 1), (1, 3)),
    ((), (2,)),
    ((0, 3), (1, 3)),
]


@pytest.mark.parametrize(("x_shape", "y_shape"), BROADCASTS)
def test_maximum_opinions_agree(x_shape, y_shape) -> None:
    x, y = normal(0, *x_shape), normal(1, *y_shape)
    dy = normal(2, *np.broadcast_shapes(x_shape, y_shape))
    check_against_autodiff(maximum, maximum_vjp, maximum_twin, (x, y), (0, 1), dy)
    check_against_differences(maximum, maximum_vjp, (x, y), (0, 1), dy)
    with jax.numpy_rank_promotion("allow"):
        check_against_autodiff(maximum, maximum_vjp, jnp.maximum, (x, y), (0, 1), dy)


def test_maximum_gives_ties_to_x_and_routes_to_nan() -> None:
    x = np.array([1.0, 2.0, 2.0, np.nan, 0.0, np.nan, -0.0])
    y = np.array([2.0, 1.0, 2.0, 1.0, np.nan, np.nan, 0.0])
    np.testing.assert_array_equal(maximum(x, y), [2, 2, 2, np.nan, np.nan, np.nan, 0])
    to_x, to_y = maximum_vjp(x, y, np.full(7, 3.0))
    np.testing.assert_array_equal(to_x, [0, 3, 3, 3, 0, 3, 3])
    np.testing.assert_array_equal(to_y, [3, 0, 0, 0, 3, 0, 0])


@settings(max_examples=15)
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0, np.nan]), min_size=6, max_size=6), values((2, 3)))
def test_maximum_of_values_that_tie(entries, dy) -> None:
    x, y = np.array(entries[:2]).reshape(2, 1), np.array(entries[3:])
    check_against_autodiff(maximum, maximum_vjp, maximum_twin, (x, y), (0, 1), dy)


def test_maximum_names_bad_shapes() -> None:
    message = r"x of shape \(3,\) and y of shape \(4,\) do not broadcast"
    with pytest.raises(ValueError, match=message):
        maximum(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match=message):
        maximum_vjp(np.ones(3), np.ones(4), np.ones(3))
    with pytest.raises(ValueError, match="dy has shape"):
        maximum_vjp(np.ones((2, 3)), np.ones(3), np.ones(3))

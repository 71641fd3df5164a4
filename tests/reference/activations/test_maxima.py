import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import activations
from reference.activations import max_vjp, maximum, maximum_vjp
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values


# The first winner takes all, as a gather of it does.
def max_twin(x, axis):
    winners = jnp.argmax(x, axis=axis, keepdims=True)
    return jnp.take_along_axis(x, winners, axis).squeeze(axis)


def maximum_twin(x, y):
    with jax.numpy_rank_promotion("allow"):
        return jnp.where((x >= y) | jnp.isnan(x), x, y)


@pytest.mark.parametrize(
    ("shape", "axis"), [((4,), 0), ((3, 4), 0), ((3, 4), 1), ((3, 4), -1), ((2, 3, 4), -2), ((0, 3), 1)]
)
def test_max_opinions_agree(shape, axis) -> None:
    x = normal(0, *shape)
    reduced = tuple(np.delete(shape, axis))
    dy = normal(1, *reduced)
    check_against_autodiff(activations.max, max_vjp, max_twin, (x, axis), (0,), dy)
    check_against_autodiff(
        activations.max, max_vjp, lambda x, axis: jnp.max(x, axis=axis), (x, axis), (0,), dy
    )
    check_against_differences(activations.max, max_vjp, (x, axis), (0,), dy)


@settings(max_examples=20)
@given(st.lists(st.sampled_from([-1.0, 0.0, -0.0, 2.0, np.nan, np.inf]), min_size=12, max_size=12))
def test_max_routes_all_to_the_first_winner(entries) -> None:
    x = np.array(entries).reshape(3, 4)
    dy = np.array([5.0, 6.0, 7.0])
    check_against_autodiff(activations.max, max_vjp, max_twin, (x, 1), (0,), dy)
    expected = np.zeros((3, 4))
    for row in range(3):
        # By hand: the first nan; without one, the first entry that none exceeds.
        nans = [j for j in range(4) if np.isnan(x[row, j])]
        winner = nans[0] if nans else next(j for j in range(4) if all(x[row, j] >= v for v in x[row]))
        expected[row, winner] = dy[row]
    np.testing.assert_array_equal(max_vjp(x, 1, dy)[0], expected)


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
    with pytest.raises(ValueError, match=message):
        activations.max(np.ones(shape), axis)
    with pytest.raises(ValueError, match=message):
        max_vjp(np.ones(shape), axis, np.ones(2))


def test_max_names_bad_types_and_bad_upstream_gradients() -> None:
    for axis in (None, 1.0, True, (0, 1)):
        with pytest.raises(TypeError, match="axis must be an integer"):
            activations.max(np.ones((2, 3)), axis)
    for dy in [(3,), (2, 1), ()]:
        with pytest.raises(ValueError, match="dy has shape"):
            max_vjp(np.ones((2, 3)), 1, np.ones(dy))


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

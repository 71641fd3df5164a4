import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.activations import max as largest
from reference.activations import max_vjp
from reference.pooling import max_pool, max_pool_vjp
from tests.reference.opinions import check_against_autodiff, check_against_differences, normal, values


def twin(x, window, stride):
    windows = (x.shape[-2] - window) // stride + 1
    pieces = []
    for start in range(0, windows * stride, stride):
        piece = x[..., start : start + window, :]
        winner = jnp.argmax(piece, axis=-2, keepdims=True)
        pieces.append(jnp.take_along_axis(piece, winner, axis=-2))
    return jnp.concatenate(pieces, axis=-2)


SIZES = [(1, 1, 1), (5, 1, 1), (5, 3, 1), (6, 2, 2), (7, 3, 2), (7, 2, 3), (4, 4, 1), (4, 4, 9), (9, 5, 3)]


@pytest.mark.parametrize(("T", "window", "stride"), SIZES)
@pytest.mark.parametrize("lead", [(), (2,), (2, 0)])
def test_opinions_agree(lead, T, window, stride) -> None:
    x = normal(0, *lead, T, 2)
    args, dy = (x, window, stride), normal(1, *lead, (T - window) // stride + 1, 2)
    check_against_autodiff(max_pool, max_pool_vjp, twin, args, (0,), dy)
    check_against_differences(max_pool, max_pool_vjp, args, (0,), dy)


@pytest.mark.parametrize(("T", "window", "stride"), SIZES)
def test_it_is_reduce_window(T, window, stride) -> None:
    def reduced(x, window, stride):
        return jax.lax.reduce_window(x, -np.inf, jax.lax.max, (window, 1), (stride, 1), "valid")

    x, dy = normal(0, T, 3), normal(1, (T - window) // stride + 1, 3)
    check_against_autodiff(max_pool, max_pool_vjp, reduced, (x, window, stride), (0,), dy)


@settings(max_examples=15)
@given(
    st.lists(st.sampled_from([-1.0, -0.0, 0.0, 2.0, np.nan, np.inf]), min_size=6, max_size=6), values((4, 1))
)
def test_the_first_winner_of_each_window_takes_all(entries, dy) -> None:
    x = np.array(entries)[:, None]
    expected = np.zeros_like(x)
    for start in range(4):
        window = entries[start : start + 3]
        # By hand: the first nan; without one, the first entry that none exceeds.
        nans = [j for j in range(3) if np.isnan(window[j])]
        winner = nans[0] if nans else next(j for j in range(3) if all(window[j] >= v for v in window))
        np.testing.assert_array_equal(max_pool(x, 3)[start, 0], window[winner])
        expected[start + winner] += dy[start]
    np.testing.assert_array_equal(max_pool_vjp(x, 3, 1, dy)[0], expected)


def test_by_hand() -> None:
    x = np.array([[1.0, 5.0], [4.0, 5.0], [2.0, 0.0], [3.0, 7.0], [9.0, 9.0]])
    np.testing.assert_array_equal(max_pool(x, 3, 1), [[4, 5], [4, 7], [9, 9]])
    np.testing.assert_array_equal(max_pool(x, 2, 2), [[4, 5], [3, 7]])
    # Step 1 wins two windows for the first feature; a tie goes to step 0 for the second.
    dx, dwindow, dstride = max_pool_vjp(x, 3, 1, [[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    np.testing.assert_array_equal(dx, [[0, 10], [3, 0], [0, 0], [0, 20], [3, 30]])
    assert dwindow is None
    assert dstride is None
    # The last step lies in no window.
    np.testing.assert_array_equal(max_pool_vjp(x, 2, 2, np.ones((2, 2)))[0][4], [0, 0])


def test_one_window_over_all_steps_is_the_maximum() -> None:
    x, dy = normal(0, 3, 5, 2), normal(1, 3, 1, 2)
    np.testing.assert_array_equal(max_pool(x, 5)[:, 0], largest(x, 1))
    np.testing.assert_array_equal(max_pool_vjp(x, 5, 1, dy)[0], max_vjp(x, 1, dy[:, 0])[0])


@pytest.mark.parametrize(
    ("shape", "window", "stride", "error", "message"),
    [
        ((3, 2), 4, 1, ValueError, r"window is 4 but x of shape \(3, 2\) has 3 steps"),
        ((2, 0, 2), 1, 1, ValueError, "window is 1 but .* has 0 steps"),
        ((3,), 1, 1, ValueError, r"x must have shape \(..., steps, features\), got \(3,\)"),
        ((3, 2), 0, 1, ValueError, "window must be at least 1, got 0"),
        ((3, 2), 1, 0, ValueError, "stride must be at least 1, got 0"),
        ((3, 2), -2, 1, ValueError, "window must be at least 1, got -2"),
        ((3, 2), 2.0, 1, TypeError, "window must be an integer, got 2.0"),
        ((3, 2), True, 1, TypeError, "window must be an integer, got True"),
        ((3, 2), 2, None, TypeError, "stride must be an integer, got None"),
    ],
)
def test_bad_input_is_named(shape, window, stride, error, message) -> None:
    with pytest.raises(error, match=message):
        max_pool(np.ones(shape), window, stride)
    with pytest.raises(error, match=message):
        max_pool_vjp(np.ones(shape), window, stride, np.ones((2, 2)))


@pytest.mark.parametrize("dy", [(3, 2), (2,), (1, 2, 2), (2, 1)])
def test_dy_must_have_the_shape_of_y(dy) -> None:
    with pytest.raises(ValueError, match=r"dy has shape .* but y has shape \(2, 2\)"):
        max_pool_vjp(np.ones((3, 2)), 2, 1, np.ones(dy))

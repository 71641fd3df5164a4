"""Max pooling: overlaps, ties, nan, what is kept."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxbackprop import ops


@functools.partial(jax.jit, static_argnums=(2, 3))
def gradient(x, dy, window, stride=1):
    y, pull = jax.vjp(lambda x: ops.max_pool(x, window, stride), x)
    return y, pull(dy)[0]


def column(*entries):
    return jnp.asarray(entries, jnp.float32)[:, None]


@st.composite
def pools(draw):
    """Small integers, so that windows tie and that sums are exact."""
    shape = (*draw(st.sampled_from([(), (2,), (2, 1)])), draw(st.integers(1, 7)), draw(st.integers(1, 2)))
    x = draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([-1, 0, 1, np.inf, -np.inf])))
    return x, draw(st.integers(1, shape[-2])), draw(st.integers(1, 4))


@settings(max_examples=20)  # each shape compiles
@given(pools())
def test_equals_a_loop_over_the_windows(pool):
    x, window, stride = pool
    starts = range(0, x.shape[-2] - window + 1, stride)
    shape = (*x.shape[:-2], len(starts), x.shape[-1])
    dy = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)
    want_y, want = np.zeros(shape), np.zeros(x.shape)
    for *at, feature in np.ndindex(*x.shape[:-2], x.shape[-1]):
        for p, start in enumerate(starts):
            step = start + int(np.argmax(x[(*at, slice(start, start + window), feature)]))
            want_y[(*at, p, feature)] = x[(*at, step, feature)]
            want[(*at, step, feature)] += dy[(*at, p, feature)]
    y, dx = gradient(x, dy, window, stride)
    np.testing.assert_array_equal(y, want_y)
    np.testing.assert_array_equal(dx, want)


def test_a_step_that_wins_in_windows_that_overlap_receives_all_of_them():
    y, dx = gradient(column(0, 1, 5, 2, 3), column(1, 10, 100), 3)
    np.testing.assert_array_equal(y, column(5, 5, 5))
    np.testing.assert_array_equal(dx, column(0, 0, 111, 0, 0))


def test_the_first_of_equal_entries_takes_all():
    _, dx = gradient(column(2, 2, 2, 2), column(1, 10, 100), 2)
    np.testing.assert_array_equal(dx, column(1, 10, 100, 0))


def test_the_first_nan_wins():
    y, dx = gradient(column(np.inf, np.nan, 1, np.nan), column(1, 10), 3)
    assert np.isnan(y).all()
    np.testing.assert_array_equal(dx, column(0, 11, 0, 0))


def test_steps_in_no_window_receive_nothing():
    y, dx = gradient(column(1, 2, 9, 4, 3, 9), column(1, 10), 2, 3)
    np.testing.assert_array_equal(y, column(2, 4))
    np.testing.assert_array_equal(dx, column(0, 1, 0, 10, 0, 0))


@pytest.mark.parametrize(("window", "dtype"), [(2, jnp.uint8), (256, jnp.uint8), (257, jnp.uint16)])
def test_keeps_a_small_integer_a_result(window, dtype):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(258, 3)), jnp.float32)
    (kept,) = jax.tree.leaves(jax.vjp(lambda x: ops.max_pool(x, window), x)[1])
    assert (kept.dtype, kept.shape) == (dtype, (259 - window, 3))
    assert kept.max() <= window - 1


def test_the_last_place_of_a_wide_window_can_win():
    x = jnp.arange(256.0)[:, None]
    np.testing.assert_array_equal(jax.grad(lambda x: ops.max_pool(x, 256)[0, 0])(x), x == 255)


def test_a_stride_beyond_a_byte():
    x = jnp.sin(jnp.arange(600.0))[:, None]
    _, dx = gradient(x, column(1, 10, 100), 2, 299)
    assert {int(step): float(dx[step, 0]) for step in np.flatnonzero(dx)} == {1: 1, 299: 10, 598: 100}


def test_half_precision_adds_up_in_float32():
    # The first step wins 512 windows; sums of ones in bfloat16 stop at 256.
    x = jnp.zeros((1023, 1), jnp.bfloat16).at[511].set(1)
    dx = jax.jit(jax.grad(lambda x: jnp.sum(ops.max_pool(x, 512).astype(jnp.float32))))(x)
    assert dx.dtype == jnp.bfloat16
    assert float(dx[511, 0]) == 512


def test_second_derivatives_at_a_tie_are_the_winners():
    hessian = jax.hessian(lambda x: jnp.sum(ops.max_pool(x, 2) ** 2))(jnp.ones((2, 1)))
    np.testing.assert_array_equal(hessian.reshape(2, 2), [[2, 0], [0, 0]])


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((jnp.ones(4), 2), ValueError, r"x must have shape \(..., steps, features\), got \(4,\)"),
        ((jnp.ones((4, 2)), 5), ValueError, "window 5 is longer than the 4 steps of x"),
        ((jnp.ones((4, 2)), 0), ValueError, "window must be at least 1, got 0"),
        ((jnp.ones((4, 2)), 2, 0), ValueError, "stride must be at least 1, got 0"),
        ((jnp.ones((4, 2)), 2.0), TypeError, "window must be an integer, got 2.0"),
        ((jnp.ones((4, 2)), 2, True), TypeError, "stride must be an integer, got True"),
        ((jnp.ones((4, 2), jnp.int32), 2), TypeError, "x must be floating-point, got dtype int32"),
    ],
)
def test_bad_input_names_the_argument(args, error, message):
    with pytest.raises(error, match=message):
        ops.max_pool(*args)

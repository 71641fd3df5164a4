"""Batches as a function of seed and step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.data import batch_indices

SEEDS = st.integers(0, 2**64)


@given(SEEDS, st.integers(1, 40), st.integers(1, 90), st.integers(1, 5))
def test_each_example_comes_once_an_epoch(seed, count, batch_size, epochs):
    steps = -(-count * epochs // batch_size)
    stream = np.concatenate(
        [batch_indices(seed, step, count=count, batch_size=batch_size) for step in range(steps)]
    )
    for epoch in range(epochs):
        assert sorted(stream[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(SEEDS, st.integers(0, 10**9), st.integers(1, 40), st.integers(1, 90))
def test_a_batch_depends_on_seed_and_step_alone(seed, step, count, batch_size):
    batch = batch_indices(seed, step, count=count, batch_size=batch_size)
    assert batch.shape == (batch_size,)
    assert batch.dtype == np.int32
    expected = batch.copy()
    batch[:] = -1  # what the caller does to a batch must not come back
    batch_indices(seed + 1, step + 1, count=count + 1, batch_size=batch_size)
    np.testing.assert_array_equal(batch_indices(seed, step, count=count, batch_size=batch_size), expected)


def test_the_size_of_the_batch_does_not_change_the_order():
    halves = [batch_indices(3, step, count=50, batch_size=6) for step in (8, 9)]
    np.testing.assert_array_equal(np.concatenate(halves), batch_indices(3, 4, count=50, batch_size=12))


def test_epochs_and_seeds_differ():
    first = batch_indices(0, 0, count=100, batch_size=100)
    assert (first != batch_indices(0, 1, count=100, batch_size=100)).any()
    assert (first != batch_indices(1, 0, count=100, batch_size=100)).any()
    assert (first != np.arange(100)).any()


def test_a_late_step_of_large_batches_does_not_overflow():
    batch = batch_indices(0, 10**18, count=7, batch_size=14)
    assert sorted(batch[:7]) == list(range(7))


def test_numpy_integers_are_integers():
    plain = batch_indices(1, 2, count=5, batch_size=3)
    wrapped = batch_indices(np.int64(1), np.int32(2), count=np.uint8(5), batch_size=np.int16(3))
    np.testing.assert_array_equal(plain, wrapped)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("seed", -1, ValueError),
        ("step", -1, ValueError),
        ("count", 0, ValueError),
        ("count", 2**31 + 1, ValueError),
        ("batch_size", 0, ValueError),
        ("step", 1.0, TypeError),
        ("count", "5", TypeError),
    ],
)
def test_a_bad_argument_is_named(name, value, error):
    arguments = {"seed": 0, "step": 0, "count": 5, "batch_size": 2, name: value}
    with pytest.raises(error, match=f"^{name} must be "):
        batch_indices(arguments.pop("seed"), arguments.pop("step"), **arguments)

"""An order without a table: a permutation each epoch, and another one for each seed and epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.data import shuffled_indices
from jaxbackprop.data._shuffle import permuted


@given(st.integers(1, 3000), st.integers(0, 2**31 - 1), st.integers(0, 99))
def test_every_epoch_has_every_example_once(count, seed, epoch):
    found = permuted(np.arange(count), count, (seed, epoch))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(np.sort(found), np.arange(count))


@given(st.integers(1, 50), st.integers(1, 120), st.integers(0, 5))
def test_batches_are_pieces_of_the_epochs_one_behind_the_other(count, size, step):
    epochs = [
        permuted(np.arange(count), count, (3, epoch)) for epoch in range((step + 1) * size // count + 1)
    ]
    whole = np.concatenate(epochs)
    found = shuffled_indices(3, step, count=count, batch_size=size)
    np.testing.assert_array_equal(found, whole[step * size : (step + 1) * size])


def test_seeds_and_epochs_have_orders_of_their_own():
    """That of seed s in epoch e + 1 is not that of seed s + 1 in epoch e, either."""
    orders = [permuted(np.arange(1000), 1000, (seed, epoch)) for seed in range(3) for epoch in range(3)]
    for at, one in enumerate(orders):
        for other in orders[:at]:
            assert (one == other).sum() < 20


def test_the_order_looks_drawn():
    """The first tenth is spread over all; neighbours have nothing to do with one another."""
    order = permuted(np.arange(100_000), 100_000, (0, 0))
    counts = np.bincount(order[:10_000] // 1000, minlength=100)
    assert ((counts - 100) ** 2 / 100).sum() < 150
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.02
    # Of the six orders of three, none is frequent.
    few = [tuple(permuted(np.arange(3), 3, (seed, 0))) for seed in range(1200)]
    assert all(150 < few.count(order) < 250 for order in set(few))
    assert len(set(few)) == 6


@pytest.mark.parametrize("count", [2**31, 2**40 + 7, 2**62])
def test_no_count_is_too_large(count):
    found = permuted(np.array([0, 1, count - 1]), count, (1, 2))
    assert len(set(found.tolist())) == 3
    assert ((found >= 0) & (found < count)).all()

"""The benchmark of row updates: its peers do the same work, and what of it does not depend on time."""

import jax
import numpy as np
import pytest

from jaxbackprop.bench import _row_peers as peers
from jaxbackprop.bench import _rows
from jaxbackprop.bench._machine import Limits

LIMITS = Limits(bandwidth=40e9, gemm=400e9)
V, B = 300, 16


@pytest.fixture(autouse=True)
def promotion():
    # optax is not written for strict promotion.
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.parametrize("name", peers.OPTIMIZERS)
def test_ours_and_optax_train_the_same_model(name):
    ours, dense = (peers.training(make(name), V, B) for make in (peers.by_rows, peers.dense))
    mine, theirs = ([call() for _ in range(12)] for call in (ours, dense))
    # Lazy Adam is another algorithm, which begins as Adam does.
    np.testing.assert_allclose(mine, theirs, rtol=1e-5 if name != "adam" else 0.02)
    assert np.ptp(mine) > 1e-3


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("name", peers.OPTIMIZERS)
def test_torch_trains_the_same_model(name):
    pytest.importorskip("torch")
    ours, torch = (
        peers.training(peers.by_rows(name), V, B),
        peers.training_in_torch(name, V, B, "cpu"),
    )
    np.testing.assert_allclose([ours() for _ in range(20)], [torch() for _ in range(20)], rtol=1e-4)


def test_ids_have_the_frequencies_of_words():
    ids, labels = peers.batches(1000, 64)
    assert ids.shape == (16, 64, 5)
    assert labels.shape == (16, 64)
    assert ids.min() >= 0
    assert ids.max() < 1000
    counts = np.sort(np.bincount(ids.ravel(), minlength=1000))[::-1]
    assert counts[0] / ids.size == pytest.approx(1 / 7.5, rel=0.2)


def test_memory_rows_at_a_hundred_thousand():
    allowed, dense, in_place = _rows.memory("adagrad", 100_000, 1024)
    assert allowed.unit == dense.unit == in_place.unit == "bytes"
    assert allowed.met
    assert dense.other >= 4 * 100 * 100_000
    assert in_place.met
    assert in_place.ours == 0
    assert in_place.other == 2 * 4 * 100 * 100_000


def test_the_bound_is_products_and_touched_rows():
    bound = _rows.bound_ms("sgd", V, B, LIMITS)
    flops = 6 * B * (500 * 100 + 100 * 9)
    assert bound > 1e3 * flops / 400e9
    assert _rows.bound_ms("adam", V, B, LIMITS) > bound


def test_the_largest_table_shows_its_peak():
    (row,) = _rows.largest(2000, print, steps=3)
    assert row.other == 2 * 400 * 2000
    assert row.ours > row.other
    told = []
    assert _rows.largest(10**12, told.append) == []
    assert "GB are free: left out" in told[0]


def test_a_case_has_a_row_a_peer():
    found = _rows.of_case("sgd", V, B, LIMITS, torch=None, bars=True, seconds=0.01)
    assert [(row.peer, row.bar) for row in found] == [("optax dense", 1.0)]
    assert found[0].as_json()["case"] == "SGD, V = 300, batch 16"
    (grown,) = _rows.growth("sgd", 100, V, B, seconds=0.01)
    assert grown.bar == pytest.approx(1 / 1.8)

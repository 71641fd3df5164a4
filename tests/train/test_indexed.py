"""Batches of what memory does not hold: made ahead, in an order that seed and step alone decide."""

import numpy as np
import pytest

from jaxbackprop.data import shuffled_indices
from jaxbackprop.train import Diverged, RunError, _indexed
from jaxbackprop.train._indexed import IndexedBatches
from tests.train.own_model import COUNT, Indexed, assert_same, train


def batches(**changes):
    return IndexedBatches(Indexed(), **{"batch_size": 7, "epochs": 3, "seed": 1, **changes})


def run_through(batches):
    """All batches, and the lengths of the epochs."""
    found, lengths = [], []
    for _ in range(3):
        begun = len(found)
        while (batch := batches.next()) is not None:
            found.append(batch)
        lengths.append(len(found) - begun)
    return found, lengths


def test_batches_come_in_the_order_of_seed_and_step():
    made = batches()
    found, lengths = run_through(made)
    assert lengths == [7, 7, 7]
    assert made.total == 21
    for step, (batch, indices) in enumerate(found):
        assert indices is None
        chosen = shuffled_indices(1, step, count=COUNT, batch_size=7)
        np.testing.assert_array_equal(batch["x"], Indexed().data["x"][chosen])
        np.testing.assert_array_equal(batch["x"], made.at(step)[0]["x"])
    # Each epoch has all examples: those of the first, and of the second, which begin within a batch.
    rows = np.concatenate([batch["x"] for batch, _ in found])
    for epoch in range(3):
        part = rows[epoch * COUNT : (epoch + 1) * COUNT]
        np.testing.assert_array_equal(np.sort(part, axis=0), np.sort(Indexed().data["x"], axis=0))


def test_a_position_is_the_step(tmp_path):
    first = batches()
    for _ in range(10):
        first.next()
    position = first.position()
    again = batches()
    again.next()
    again.restore(position)
    for _ in range(3):
        np.testing.assert_array_equal(first.next()[0]["x"], again.next()[0]["x"])


def test_a_process_makes_the_rows_that_it_needs():
    made = batches()
    made.part = slice(2, 5)
    (batch, start, size), _ = made.next()
    np.testing.assert_array_equal(batch["x"], batches().next()[0]["x"][2:5])
    assert (start, size) == (2, made.batch_size)
    expected = [shuffled_indices(1, step, count=COUNT, batch_size=7)[2:5] for step in range(made._steps)]
    np.testing.assert_array_equal(made._source.asked[1], np.concatenate(expected))
    np.testing.assert_array_equal(made.rows(0)["x"], batches().next()[0]["x"])


@pytest.mark.parametrize(("kept", "steps"), [(1, 1), (300, 3), (1 << 30, 64)])
def test_small_batches_are_made_together_and_few_ahead(monkeypatch, kept, steps):
    """A batch of 5 has 80 bytes."""
    monkeypatch.setattr(_indexed, "_BYTES", kept)
    source = Indexed()
    made = IndexedBatches(source, batch_size=5, epochs=100, seed=0)
    for step in range(8):
        np.testing.assert_array_equal(made.next()[0]["x"], made.at(step)[0]["x"])
    asked = [len(indices) for indices in source.asked if len(indices) != 5 or steps == 1]
    assert made._steps == steps
    if steps > 1:
        assert set(asked) == {5 * steps}
        assert -(-8 // steps) <= len(asked) <= -(-8 // steps) + _indexed._AHEAD
    else:
        # Each was asked for again by `at`, and the first before all to see how large it is.
        assert 17 <= len(asked) <= 17 + _indexed._AHEAD


@pytest.mark.parametrize("stop", [1, 3, 6, 7, 8])
def test_a_run_goes_on_within_batches_that_were_made_together(monkeypatch, stop):
    monkeypatch.setattr(_indexed, "_BYTES", 350)
    first, again = batches(), batches()
    for _ in range(stop):
        first.next()
    # Wherever it stood before.
    again.next()
    again.restore(first.position())
    for _ in range(5):
        one, other = first.next(), again.next()
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one[0]["x"], other[0]["x"])
    assert first._steps == 3


def test_what_a_source_raises_is_raised():
    class Broken(Indexed):
        def rows(self, indices):
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(train(Broken()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": None}, "batch_size is missing"),
        ({"batch_size": COUNT + 1}, rf"batch_size must be in \[1, {COUNT}\]"),
        ({"steps_per_epoch": 2}, "steps_per_epoch is given, but data has a count"),
    ],
)
def test_sizes_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        train(Indexed(), **options)


def test_a_loss_that_is_no_number_names_the_examples(tmp_path):
    class Bad(Indexed):
        def __init__(self):
            super().__init__()
            self.data["x"][17] = np.nan

    with pytest.raises(Diverged) as caught:
        list(train(Bad(), batch_size=4, run=tmp_path / "run"))
    assert 17 in caught.value.indices
    np.testing.assert_array_equal(caught.value.batch["x"], Bad().data["x"][caught.value.indices])


def test_a_run_goes_on_with_the_data_that_it_began_with(tmp_path):
    class Summed(Indexed):
        sha256 = "one"

    first = train(Summed(), run=tmp_path / "run", epochs=2)
    next(first)
    first.close()
    resumed = train(Summed(), run=tmp_path / "run", epochs=2, resume=True)
    list(resumed)
    whole = train(Indexed(), epochs=2)
    list(whole)
    assert_same(whole.best_model, resumed.best_model)
    Summed.sha256 = "two"
    with pytest.raises(RunError, match="data has changed"):
        train(Summed(), run=tmp_path / "run", epochs=2, resume=True)

"""A run on a mesh of devices: the parameters of one device, in a program that moves little."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, PartitionSpec

from jaxbackprop import layers
from jaxbackprop.bench._collectives import collectives
from jaxbackprop.optim import rows
from jaxbackprop.train import Diverged, RowUpdates, RunError, fit, growing_rate, range_test
from jaxbackprop.train._batches import Part
from jaxbackprop.train._mesh import make_mesh, parse_mesh
from tests.parts import a_part
from tests.train import own_model

WORDS, WIDE, COUNT = 1003, 4104, 70
TABLE = ("embed", "embedding")
MESHES = [{"data": 3, "model": 2}, {"data": 4}, {"data": 2, "model": 4}, {"data": 1, "model": 3}]


class Wide(nnx.Module):
    """A table that is trained by rows, of a length that no mesh divides, and a head that is split."""

    def __init__(self, rngs):
        self.embed = layers.Embed(WORDS, 4, padding_id=-1, rngs=rngs)
        self.hidden = layers.Linear(12, 8, rngs=rngs)
        self.norm = layers.BatchNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.head = layers.Linear(8, WIDE, rngs=rngs)

    def __call__(self, words, mask):
        z = self.hidden(self.embed.window(words))
        return self.head(self.dropout(jnp.tanh(self.norm(z, mask=mask[:, None]))))


def loss(model, batch, key):
    mask = batch.get("mask", jnp.ones(len(batch["words"]), bool))
    logits = model(batch["words"], mask) + 0.01 * jax.random.normal(key, (len(batch["words"]), WIDE))
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
    return losses.mean(where=mask), {"largest": jnp.where(mask, losses, 0.0).max()}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    words = rng.integers(-1, WORDS - 3, (COUNT, 3)).astype(np.int32)
    return {"words": words, "label": rng.integers(0, WIDE, COUNT).astype(np.int32)}


def silent(line):
    """What is warned of is another test's."""


def train(data, mesh, *, by_rows=True, epochs=3, **more):
    updates = RowUpdates(rows.lazy_adam(1e-3), {TABLE: "words"}, padding_id=-1) if by_rows else None
    options = {
        "optimizer": optax.sgd(0.05, momentum=0.9),
        "epochs": epochs,
        "batch_size": 10,
        "warn": silent,
        **more,
    }
    training = fit(Wide(nnx.Rngs(0)), loss, data, rows=updates, mesh=mesh, average=0.9, **options)
    return training, [epoch for epoch, _ in training]


@pytest.fixture(scope="module")
def one_device(data):
    return {by_rows: train(data, None, by_rows=by_rows) for by_rows in (True, False)}


def assert_near(one, other, **tolerance):
    for a, b in zip(own_model.arrays(one), own_model.arrays(other), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


@pytest.mark.parametrize("mask", ["mask", None])
@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize("mesh", a_part(MESHES, 2, str))
def test_a_mesh_comes_to_the_parameters_of_one_device(data, one_device, mesh, by_rows, mask):
    """Though neither the batch of 10 nor the table divides over the devices."""
    training, epochs = train(data, mesh, by_rows=by_rows, mask=mask)
    expected, expected_epochs = one_device[by_rows]
    assert_near(expected.best_model, training.best_model, rtol=2e-5, atol=2e-6)
    for epoch, other in zip(epochs, expected_epochs, strict=True):
        assert epoch.loss == pytest.approx(other.loss, rel=1e-6)
        assert epoch.metrics["largest"] == pytest.approx(other.metrics["largest"], rel=1e-5)


def test_two_hundred_steps_of_a_model_with_all_that_a_forward_pass_may_change_stay_within_rounding():
    options = {"epochs": 34, "optimizer": optax.sgd(0.05, momentum=0.9)}
    runs = [own_model.train(mesh=mesh, **options) for mesh in (None, {"data": 4, "model": 2})]
    assert [list(run)[-1][0].step for run in runs] == [204, 204]
    assert_near(runs[0].best_model, runs[1].best_model, rtol=1e-3, atol=1e-4)


def state_of(data, mesh, by_rows=True):
    training, _ = train(data, mesh, epochs=1, by_rows=by_rows)
    return training, training._state


def test_large_parameters_and_their_optimizer_state_are_split(data):
    _, state = state_of(data, {"data": 2, "model": 4})
    flat = dict(nnx.to_flat_state(state.params))
    split = {path: variable[...].sharding.spec for path, variable in flat.items()}
    assert split[TABLE] == PartitionSpec("model")
    assert split["head", "kernel"] == PartitionSpec(None, "model")
    assert split["head", "bias"] == PartitionSpec("model")
    assert split["hidden", "kernel"] == PartitionSpec()
    table = flat[TABLE][...]
    assert {shard.data.shape for shard in table.addressable_shards} == {(251, 4)}
    moments = [leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.shape == table.shape]
    assert len(moments) == 2
    assert all(leaf.sharding == table.sharding for leaf in moments)


@pytest.mark.parametrize("mesh", [{"data": 4}, {"data": 2, "model": 4}])
def test_a_step_adds_up_gradients_once_and_never_moves_the_table(data, mesh):
    training = fit(
        Wide(nnx.Rngs(0)),
        loss,
        data,
        optimizer=optax.sgd(0.1),
        rows=RowUpdates(rows.lazy_adam(1e-3), {TABLE: "words"}, padding_id=-1),
        mesh=mesh,
        batch_size=8,
        epochs=1,
    )
    text = training.compiled().as_text()
    found = collectives(text)
    over = [one for one in found if one.kind == "all-reduce" and {"f32[8,12]", "f32[12,8]"} & set(one.shapes)]
    assert len(over) == 1
    assert over[0].devices == mesh["data"]
    # With it go the other gradients of parameters that are whole on every device, and those of the rows read.
    assert {"f32[8]", "f32[24,4]"} <= set(over[0].shapes)
    # A table, or what is left of it on a device, is in no message; its padded rows are 1004.
    moved = {shape for one in found for shape in one.shapes}
    assert not any(re.search(r"\[(1003|1004|251),4\]", shape) for shape in moved)
    # The ids are all that is gathered.
    gathered = {shape for one in found if one.kind == "all-gather" for shape in one.shapes}
    assert gathered <= {"s32[8,3]", "s32[8]"}
    # What is computed, without the files it was written in, whose names may be any.
    computed = "\n".join(line for line in re.sub(r"metadata=.*", "", text).splitlines() if " = " in line)
    assert not re.search(r"infeed|outfeed|host|callback|send\(|recv\(", computed)


@pytest.mark.parametrize("mesh", [None, {"data": 4, "model": 2}], ids=str)
def test_a_checkpoint_of_one_mesh_loads_on_another(data, one_device, mesh, tmp_path):
    training, _ = train(data, {"data": 2, "model": 3}, epochs=1, run=tmp_path / "run")
    training.close()
    again, epochs = train(data, mesh, epochs=3, run=tmp_path / "run", resume=True, warn=(said := []).append)
    # That of the first epoch is made before its evaluation.
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert_near(one_device[True][0].best_model, again.best_model, rtol=2e-5, atol=2e-6)
    assert any("mesh is" in line and "but was data=2,model=3" in line for line in said)


def test_the_tables_rows_are_those_of_one_device(data, one_device):
    training, _ = train(data, {"data": 2, "model": 4})
    before = np.asarray(Wide(nnx.Rngs(0)).embed.embedding[...])
    after = np.asarray(training.best_model.embed.embedding[...])
    assert after.shape == (WORDS, 4)
    looked_up = np.unique(data["words"][data["words"] >= 0])
    moved = np.flatnonzero(np.any(before != after, axis=1))
    np.testing.assert_array_equal(moved, looked_up)


def test_the_caller_gets_a_whole_model_on_one_device(data):
    training = fit(
        Wide(nnx.Rngs(0)),
        loss,
        data,
        optimizer=optax.sgd(0.1),
        mesh={"data": 2, "model": 2},
        epochs=1,
        batch_size=10,
        warn=silent,
        evaluate=lambda model: {"devices": len(model.head.kernel[...].devices())},
    )
    (epoch, model), *_ = training
    assert epoch.metrics["devices"] == 1
    assert model.head.kernel[...].shape == (8, WIDE)


def test_a_stream_of_batches_is_split_too():
    one, other = (
        own_model.train(own_model.Again(), batch_size=None, mesh=mesh) for mesh in (None, {"data": 2})
    )
    losses = [[epoch.loss for epoch, _ in training] for training in (one, other)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


class Ragged:
    def __iter__(self):
        return iter([{"x": np.zeros((4, 3), np.float32), "y": np.zeros(3, np.int32)}])


def test_arrays_of_a_batch_that_differ_in_length_are_refused():
    training = own_model.train(Ragged(), batch_size=None, epochs=1, mesh={"data": 2})
    with pytest.raises(
        ValueError, match=r"arrays of 3, 4 rows: on a mesh every array has one row an example"
    ):
        list(training)


def test_a_batch_that_cannot_be_split_is_said_once_and_its_rows_are_whole(data):
    said = []
    training = fit(
        Wide(nnx.Rngs(0)),
        loss,
        data,
        optimizer=optax.sgd(0.1),
        mesh={"data": 4},
        epochs=1,
        batch_size=10,
        warn=said.append,
    )
    batch, _ = training._place.batch(training._plan.batches.next())
    assert batch["words"].sharding.is_fully_replicated
    list(training)
    assert len(said) == 1
    assert "10 examples does not divide over data=4" in said[0]


def test_a_batch_that_is_padded_is_split(data):
    training = fit(
        Wide(nnx.Rngs(0)),
        loss,
        data,
        optimizer=optax.sgd(0.1),
        mesh={"data": 4},
        epochs=1,
        batch_size=10,
        mask="mask",
    )
    batch, _ = training._place.batch(training._plan.batches.next())
    assert {shard.data.shape for shard in batch["words"].addressable_shards} == {(3, 3)}
    np.testing.assert_array_equal(batch["mask"], np.arange(12) < 10)


def test_a_mask_of_the_data_is_kept_and_is_zero_for_padding():
    weights = np.array([1.0, 0.0, 2.0, 3.0, 0.5], np.float32)
    data = {"x": np.arange(5, dtype=np.float32)[:, None], "weight": weights}
    losses = []
    for mesh in (None, {"data": 4}):
        training = fit(
            nnx.Linear(1, 1, rngs=nnx.Rngs(0)),
            lambda model, batch, key: (model(batch["x"])[:, 0] * batch["weight"]).sum(),
            data,
            optimizer=optax.sgd(0.1),
            mesh=mesh,
            epochs=1,
            batch_size=5,
            mask="weight",
        )
        losses += [epoch.loss for epoch, _ in training]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    np.testing.assert_array_equal(data["weight"], [1.0, 0.0, 2.0, 3.0, 0.5])


def test_a_mask_is_a_name(data):
    with pytest.raises(TypeError, match="mask must be the name of an entry of a batch, not 5"):
        fit(Wide(nnx.Rngs(0)), loss, data, optimizer=optax.sgd(0.1), mesh={"data": 4}, epochs=1, mask=5)


def test_a_mask_needs_batches_by_name():
    training = fit(
        nnx.Linear(3, 1, rngs=nnx.Rngs(0)),
        lambda model, batch, key: model(batch).mean(),
        np.ones((9, 3), np.float32),
        optimizer=optax.sgd(0.1),
        mesh={"data": 2},
        epochs=1,
        batch_size=3,
        mask="mask",
    )
    with pytest.raises(TypeError, match="mask is 'mask', but a batch is no dict"):
        list(training)


def test_divergence_is_found_again_on_a_mesh(tmp_path):
    data = own_model.examples()
    data["x"][5] = np.nan
    training = own_model.train(data, mesh={"data": 4, "model": 2}, run=tmp_path / "run", save_every=1)
    with pytest.raises(Diverged) as raised:
        list(training)
    assert 5 in raised.value.indices
    assert len(raised.value.indices) == own_model.SIZE


def test_the_range_test_on_a_mesh(data):
    schedule = growing_rate(1e-4, 1.0, 12)
    one, other = (
        range_test(
            Wide(nnx.Rngs(0)),
            loss,
            data,
            optimizer=optax.sgd(schedule),
            schedule=schedule,
            steps=12,
            batch_size=10,
            mesh=mesh,
            mask="mask",
        )
        for mesh in (None, {"data": 4, "model": 2})
    )
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-5)


def test_a_part_of_a_batch_lies_where_it_does_in_the_whole(data):
    """As with several processes, each of which makes the rows of its own devices."""
    training = own_model.train(mesh={"data": 4})
    whole = {"x": np.arange(8.0)}
    placed, _ = training._place.batch((whole, None))
    part, _ = training._place.batch((Part({"x": np.arange(2.0, 8.0)}, 2, 8), None))
    assert part["x"].shape == (8,)
    np.testing.assert_array_equal(part["x"][2:], placed["x"][2:])


@given(st.integers(1, 2**20), st.integers(1, 2**20))
def test_what_a_mesh_is_called(data, model):
    assert parse_mesh(f"data={data},model={model}") == {"data": data, "model": model}
    assert parse_mesh(f"model={model}, data={data}") == {"data": data, "model": model}
    assert parse_mesh(f"data={data}") == {"data": data, "model": 1}


@pytest.mark.parametrize(
    "text",
    ["", "4", "data", "data=", "data=0", "data=-1", "data=two", "rows=2", "data=2;model=2", "data=2,data=2"]
    + ["data=2,", "data=1048577", "data=٣"],
)
def test_no_mesh(text):
    with pytest.raises(ValueError, match="--mesh"):
        parse_mesh(text)


@pytest.mark.parametrize(
    ("mesh", "error", "said"),
    [
        ({"data": 16}, RunError, r"the mesh data=16 needs 16 devices, but there are 8; XLA_FLAGS=.*count=16"),
        ({"rows": 2}, ValueError, "positive sizes of the axes data and perhaps model"),
        ({"data": 0}, ValueError, "positive sizes"),
        ({"data": True}, ValueError, "positive sizes"),
        (4, TypeError, r"jax.sharding.Mesh or sizes by axis, not 4"),
        (jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,)), ValueError, "Auto axes data"),
        (jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,)), ValueError, "Auto axes data"),
    ],
)
def test_meshes_that_cannot_be_had(mesh, error, said):
    with pytest.raises(error, match=said):
        make_mesh(mesh)


def test_sizes_may_be_numpys():
    assert make_mesh({"data": np.int64(2)}).shape == {"data": 2}


def test_a_run_says_what_mesh_it_was_made_on(data, tmp_path):
    training, _ = train(data, {"data": 2}, epochs=1, run=tmp_path / "run")
    training.close()
    (position,) = (tmp_path / "run" / "checkpoints").glob("*/position/metadata")
    assert json.loads(position.read_text())["machine"]["mesh"] == "data=2"

"""Tables trained by rows inside the loop: the trajectory of the dense gradient, in place, resumable."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxbackprop.models import WindowNER, window_ner_loss
from jaxbackprop.optim import rows
from jaxbackprop.train import Config, RowUpdates, fit, init_state, make_row_optimizer, make_step

WORDS, COUNT = 900, 64
PATH = ("words", "embedding")


def model():
    return WindowNER(
        num_words=WORDS,
        word_dim=6,
        num_shapes=4,
        num_prefixes=1,
        num_suffixes=1,
        affix_dim=0,
        num_tags=3,
        hidden=7,
        rngs=nnx.Rngs(0),
    )


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    words = (rng.zipf(1.3, (COUNT, 5)) % WORDS).astype(np.int32)
    words[::3, 0] = -1
    shapes = rng.integers(0, 4, (COUNT, 5)).astype(np.int32)
    empty = np.zeros((COUNT, 5), np.int32)
    labels = rng.integers(0, 3, COUNT).astype(np.int32)
    return {"words": words, "shapes": shapes, "prefixes": empty, "suffixes": empty, "labels": labels}


def loss(model, batch, key):
    return window_ner_loss(model, batch, 1e-3, key=key)


def train(data, optimizer, by_rows, average=0.0):
    schedule = optax.constant_schedule(0.3)
    options = {"schedule": schedule, "batch_size": 16, "epochs": 3, "seed": 0, "average": average}
    *_, (record, trained) = fit(model(), loss, data, optimizer=optimizer(schedule), rows=by_rows, **options)
    return record, jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(trained)))


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize(("by_rows", "dense"), [(rows.sgd, optax.sgd), (rows.adagrad, optax.adagrad)])
def test_exact_optimizers_follow_the_dense_trajectory(data, by_rows, dense, average):
    updates = RowUpdates(by_rows(0.3), {PATH: "words"}, padding_id=-1)
    mine, theirs = train(data, dense, updates, average), train(data, dense, None, average)
    assert mine[0].loss == pytest.approx(theirs[0].loss, rel=1e-5)
    assert np.abs(theirs[1]["words"]["embedding"] - model().words.embedding[...]).max() > 1e-2
    for a, b in zip(jax.tree.leaves(mine[1]), jax.tree.leaves(theirs[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_words_that_do_not_occur_keep_their_vectors_under_adam(data):
    updates = RowUpdates(rows.lazy_adam(0.3), {PATH: "words"}, padding_id=-1)
    _, trained = train(data, optax.adam, updates)
    moved = np.any(trained["words"]["embedding"] != model().words.embedding[...], axis=1)
    np.testing.assert_array_equal(np.flatnonzero(moved), np.unique(data["words"][data["words"] >= 0]))


def test_a_step_forms_no_gradient_of_the_table_and_works_in_place(data):
    graphdef, params, constants = nnx.split(model(), nnx.Param, ...)
    updates = RowUpdates(rows.adagrad(0.1), {PATH: "words"}, padding_id=-1)
    optimizer = optax.sgd(0.1)
    step = make_step(graphdef, loss, optimizer, jax.random.key(0), rows=updates)
    arrays = {name: jnp.asarray(examples) for name, examples in data.items()}
    state = init_state(params, optimizer, rows=updates)
    indices = np.arange(16, dtype=np.int32)
    temporaries = step.lower(state, constants, arrays, indices).compile().memory_analysis().temp_size_in_bytes
    assert temporaries < 3 * 80 * 6 * 4 + 40_000

    def tables(state):
        return [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state) if leaf.shape == (WORDS, 6)]

    where = tables(state)
    assert len(where) == 2
    assert tables(step(state, constants, arrays, indices)) == where


@pytest.mark.parametrize("by_rows", [True, False])
def test_a_scale_multiplies_what_tables_and_other_parameters_move_by(data, by_rows):
    graphdef, params, constants = nnx.split(model(), nnx.Param, ...)
    updates = RowUpdates(rows.sgd(0.1), {PATH: "words"}, padding_id=-1) if by_rows else None
    step = make_step(graphdef, loss, optax.sgd(0.1), jax.random.key(0), rows=updates)
    arrays = {name: jnp.asarray(examples) for name, examples in data.items()}

    def moved(*scale):
        state = init_state(params, optax.sgd(0.1), rows=updates)
        after = step(state, constants, arrays, np.arange(16, dtype=np.int32), *scale).params
        return jax.tree.map(lambda a, b: np.asarray(a - b), after, params)

    for half, whole in zip(*map(jax.tree.leaves, (moved(jnp.float32(0.5)), moved())), strict=True):
        assert np.any(whole)
        np.testing.assert_allclose(half, whole / 2, atol=1e-6)


def test_a_state_that_was_put_away_goes_on_where_it_was(data):
    graphdef, params, constants = nnx.split(model(), nnx.Param, ...)
    updates = RowUpdates(rows.lazy_adam(0.1), {PATH: "words"}, padding_id=-1)
    step = make_step(graphdef, loss, optax.sgd(0.1), jax.random.key(0), rows=updates)
    arrays = {name: jnp.asarray(examples) for name, examples in data.items()}
    state = init_state(params, optax.sgd(0.1), rows=updates)
    once = step(state, constants, arrays, np.arange(16, dtype=np.int32))
    leaves, structure = jax.tree.flatten(once)
    kept = jax.tree.unflatten(structure, [jnp.asarray(np.array(leaf)) for leaf in leaves])
    for a, b in zip(
        jax.tree.leaves(step(once, constants, arrays, np.arange(16, 32, dtype=np.int32))),
        jax.tree.leaves(step(kept, constants, arrays, np.arange(16, 32, dtype=np.int32))),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_a_path_that_leads_nowhere_is_named(data):
    params = nnx.state(model(), nnx.Param)
    updates = RowUpdates(rows.sgd(0.1), {("verbs", "embedding"): "words"})
    with pytest.raises(ValueError, match=r"lookups name verbs/embedding, but .*words/embedding"):
        init_state(params, optax.sgd(0.1), rows=updates)


def test_which_optimizers_work_by_rows():
    schedule = optax.constant_schedule(0.1)
    made = {
        name: make_row_optimizer(dataclasses.replace(Config(), optimizer=name), schedule)
        for name in ("sgd", "adagrad", "adam", "momentum", "radam", "rmsprop")
    }
    assert [name for name, optimizer in made.items() if optimizer is None] == ["momentum", "radam", "rmsprop"]
    tables = {"sgd": 0, "adagrad": 1, "adam": 2}
    for name, count in tables.items():
        state = made[name].init(jnp.ones((5, 2)))
        assert sum(leaf.shape == (5, 2) for leaf in jax.tree.leaves(state)) == count

"""The loop on a small regression: it learns, repeats to the last bit, donates, and spares what is frozen."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxbackprop.data import batch_indices
from jaxbackprop.train import Diverged, epoch_end, fit, init_state, make_step

COUNT = 50
F32 = float(np.float32(0.05))


class Model(nnx.Module):
    def __init__(self, rngs):
        self.table = nnx.Param(jax.random.normal(rngs.params(), (20, 3)))
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (3, 2)))

    def __call__(self, ids):
        return self.table[...][ids] @ self.kernel[...]


def loss(model, batch, key):
    noise = 0.01 * jax.random.normal(key, batch["y"].shape)
    return jnp.mean((model(batch["ids"]) + noise - batch["y"]) ** 2)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return {
        "ids": rng.integers(0, 20, COUNT).astype(np.int32),
        "y": rng.normal(size=(COUNT, 2)).astype(np.float32),
    }


def run(data, seed=0, epochs=4, optimizer=None, batch_size=8, **options):
    schedule = optax.constant_schedule(0.05)
    epochs = fit(
        Model(nnx.Rngs(1)),
        loss,
        data,
        optimizer=optimizer or optax.adam(schedule),
        schedule=schedule,
        batch_size=batch_size,
        epochs=epochs,
        seed=seed,
        **options,
    )
    return [(record, jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(model)))) for record, model in epochs]


def leaves(tree):
    return jax.tree.leaves(tree)


def test_the_loss_falls(data):
    losses = [record.loss for record, _ in run(data, epochs=8)]
    assert losses[-1] < 0.5 * losses[0]


def test_the_same_seed_gives_the_same_bits_and_another_does_not(data):
    first, second, other = run(data), run(data), run(data, seed=1)
    assert [record for record, _ in first] == [record for record, _ in second]
    for a, b in zip(leaves(first[-1][1]), leaves(second[-1][1]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert first[-1][0].loss != other[-1][0].loss


def test_fewer_epochs_are_the_beginning_of_more(data):
    assert [record for record, _ in run(data, epochs=2)] == [record for record, _ in run(data, epochs=4)][:2]


def test_an_epoch_record_is_the_mean_over_its_batches(data):
    """Replays the run by hand, a batch at a time."""
    optimizer = optax.sgd(0.05)
    graphdef, params = nnx.split(Model(nnx.Rngs(1)), nnx.Param)
    opt_state = optimizer.init(params)
    losses = []
    for step in range(epoch_end(2, COUNT, 8)):
        indices = batch_indices(0, step, count=COUNT, batch_size=8)
        batch = {name: jnp.asarray(rows[indices]) for name, rows in data.items()}
        key = jax.random.fold_in(jax.random.key(0), step)
        value, grads = jax.value_and_grad(lambda p, b=batch, k=key: loss(nnx.merge(graphdef, p), b, k))(
            params
        )
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(value))
    records = run(data, epochs=2, optimizer=optimizer)
    first = epoch_end(1, COUNT, 8)
    assert [record.step for record, _ in records] == [first, len(losses)]
    assert records[0][0].loss == pytest.approx(np.mean(losses[:first]), rel=1e-5)
    assert records[1][0].loss == pytest.approx(np.mean(losses[first:]), rel=1e-5)
    for a, b in zip(leaves(records[1][1]), leaves(nnx.to_pure_dict(params)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_model_that_was_passed_in_stays_as_it_was(data):
    model = Model(nnx.Rngs(1))
    before = np.array(model.kernel[...])
    schedule = optax.constant_schedule(0.05)
    options = {"batch_size": 8, "epochs": 1, "seed": 0}
    list(fit(model, loss, data, optimizer=optax.sgd(schedule), schedule=schedule, **options))
    np.testing.assert_array_equal(model.kernel[...], before)


def test_what_is_not_trained_has_no_gradient_no_optimizer_state_and_no_change(data):
    trainable = nnx.All(nnx.Param, nnx.Not(nnx.PathContains("table")))
    (_, parameters), *_ = run(data, epochs=1, trainable=trainable)
    fresh = Model(nnx.Rngs(1))
    np.testing.assert_array_equal(parameters["table"], fresh.table[...])
    assert not np.array_equal(parameters["kernel"], fresh.kernel[...])

    graphdef, params, constants = nnx.split(fresh, trainable, ...)
    optimizer = optax.adam(0.1)
    state = init_state(params, optimizer)
    assert (20, 3) not in {leaf.shape for leaf in leaves(state)}
    step = make_step(graphdef, loss, optimizer, jax.random.key(0))
    arrays = {name: jnp.asarray(rows) for name, rows in data.items()}
    compiled = step.lower(state, constants, arrays, np.arange(8, dtype=np.int32)).compile().as_text()
    assert "scatter" not in compiled


def test_a_step_uses_up_its_state_and_writes_into_the_same_buffers(data):
    graphdef, params, constants = nnx.split(Model(nnx.Rngs(1)), nnx.Param, ...)
    optimizer = optax.adam(0.1)
    step = make_step(graphdef, loss, optimizer, jax.random.key(0))
    arrays = {name: jnp.asarray(rows) for name, rows in data.items()}
    state = init_state(params, optimizer)
    where = {leaf.unsafe_buffer_pointer() for leaf in leaves(state)}
    after = step(state, constants, arrays, np.arange(8, dtype=np.int32))
    assert all(leaf.is_deleted() for leaf in leaves(state))
    assert {leaf.unsafe_buffer_pointer() for leaf in leaves(after)} <= where
    assert not any(leaf.is_deleted() for leaf in leaves(params))


def test_a_step_is_a_pure_function(data):
    graphdef, params, constants = nnx.split(Model(nnx.Rngs(1)), nnx.Param, ...)
    optimizer = optax.adam(0.1)
    step = make_step(graphdef, loss, optimizer, jax.random.key(0), average=0.9)
    arrays = {name: jnp.asarray(rows) for name, rows in data.items()}
    twice = [
        step(init_state(params, optimizer, average=0.9), constants, arrays, np.arange(8, dtype=np.int32))
        for _ in range(2)
    ]
    for a, b in zip(leaves(twice[0]), leaves(twice[1]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_average_follows_its_definition_and_is_what_is_handed_over(data):
    raw = [parameters for _, parameters in run(data, epochs=5, batch_size=COUNT)]
    averaged = [parameters for _, parameters in run(data, epochs=5, batch_size=COUNT, average=0.3)]
    expected = {name: np.asarray(value[...]) for name, value in nnx.state(Model(nnx.Rngs(1))).items()}
    for t, (now, handed) in enumerate(zip(raw, averaged, strict=True)):
        decay = min(0.3, (1 + t) / (10 + t))
        expected = {name: decay * expected[name] + (1 - decay) * now[name] for name in now}
        for name in now:
            np.testing.assert_allclose(handed[name], expected[name], rtol=1e-5, atol=1e-6)


def test_losses_are_read_every_hundred_steps_and_at_the_end_of_an_epoch(data):
    told = []
    records = run(data, epochs=3, batch_size=1, on_steps=lambda *news: told.append(news))
    assert [(made, rate) for made, _, rate in told] == [(50, F32), (100, F32), (150, F32)]
    assert [mean for _, mean, _ in told] == pytest.approx([record.loss for record, _ in records])


@pytest.mark.parametrize(("count", "batch_size"), [(50, 8), (50, 50), (7, 3), (1, 1)])
def test_epochs_end_when_every_example_has_been_seen_as_often(count, batch_size):
    seen = np.zeros(count, int)
    step = 0
    for epoch in range(1, 6):
        end = epoch_end(epoch, count, batch_size)
        assert end > step
        for step in range(step, end):  # noqa: B020
            np.add.at(seen, batch_indices(3, step, count=count, batch_size=batch_size), 1)
        step = end
        assert seen.min() >= epoch
        assert seen.sum() < epoch * count + batch_size


def test_a_loss_that_is_no_number_ends_the_run(data):
    def explode(model, batch, key):
        return loss(model, batch, key) * jnp.where(batch["ids"][0] >= 0, jnp.inf, 1.0)

    schedule = optax.constant_schedule(0.1)
    epochs = fit(
        Model(nnx.Rngs(1)),
        explode,
        data,
        optimizer=optax.sgd(schedule),
        schedule=schedule,
        batch_size=8,
        epochs=2,
        seed=0,
    )
    with pytest.raises(Diverged, match=r"the loss is inf at step 1: a lower learning rate may help"):
        next(epochs)


@pytest.mark.parametrize("batch_size", [0, COUNT + 1])
def test_a_batch_holds_from_one_to_all_examples(data, batch_size):
    with pytest.raises(ValueError, match=r"batch_size must be in \[1, 50\]"):
        run(data, batch_size=batch_size)


def test_there_must_be_examples(data):
    with pytest.raises(ValueError, match="no example"):
        run({name: rows[:0] for name, rows in data.items()})


def test_epochs_come_one_by_one(data):
    """A caller that stops early has paid for no more."""
    schedule = optax.constant_schedule(0.1)
    calls = []
    epochs = fit(
        Model(nnx.Rngs(1)),
        loss,
        data,
        optimizer=optax.sgd(schedule),
        schedule=schedule,
        batch_size=8,
        epochs=1000,
        seed=0,
        on_steps=lambda made, mean, rate: calls.append(made),
    )
    assert len(list(itertools.islice(epochs, 2))) == 2
    assert calls[-1] == epoch_end(2, COUNT, 8)

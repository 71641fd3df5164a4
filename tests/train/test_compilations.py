"""What training costs that no clock is needed for: programs compiled, and buffers written in place."""

import functools
import logging

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from jaxbackprop.models import WindowNER, window_ner_loss
from jaxbackprop.train import Config, RowUpdates, fit, make_optimizer, make_row_optimizer

WORDS, COUNT = 300, 240
COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _, **__: event.endswith("backend_compile_duration") and COMPILED.append(event)
)


@pytest.fixture
def model():
    sizes = {"num_words": WORDS, "word_dim": 8, "num_shapes": 4, "num_prefixes": 6, "num_suffixes": 6}
    return WindowNER(**sizes, affix_dim=2, num_tags=5, hidden=16, rngs=nnx.Rngs(0))


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    highs = {"words": WORDS, "shapes": 4, "prefixes": 6, "suffixes": 6}
    ids = {name: rng.integers(-1, high, (COUNT, 5), dtype=np.int32) for name, high in highs.items()}
    return ids | {"labels": rng.integers(0, 5, COUNT, dtype=np.int32)}


def epochs_of(model, data, optimizer="adagrad", by_rows=False, **options):
    config = Config(optimizer=optimizer, lr=0.05, average=options.get("average", 0.0))
    schedule = optax.constant_schedule(config.lr)
    loss = functools.partial(_loss, config.l2)
    settings = {"batch_size": 8, "epochs": 6, "seed": 0} | options
    if by_rows:
        rows = make_row_optimizer(config, schedule)
        settings["rows"] = RowUpdates(rows, {("words", "embedding"): "words"}, model.words.padding_id)
    return fit(model, loss, data, optimizer=make_optimizer(config, schedule), schedule=schedule, **settings)


def _loss(l2, model, batch, key):
    return window_ner_loss(model, batch, l2, key=key)


@pytest.mark.parametrize("by_rows", [False, True], ids=["dense", "by rows"])
def test_the_step_compiles_once_whatever_the_batches_hold(model, data, caplog, by_rows):
    """180 steps of other words each, with the loss read seven times."""
    epochs = epochs_of(model, data, by_rows=by_rows, average=0.9)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        next(epochs)
        said = [record.getMessage() for record in caplog.records]
        assert sum(line.startswith("Finished XLA compilation of jit(step)") for line in said) == 1
        # The very first epoch compiled the step, the initial state and what reads the learning rate.
        before = len(COMPILED)
        assert before
        for _ in epochs:
            pass
    assert len(COMPILED) == before


@pytest.mark.parametrize(("optimizer", "by_rows"), [("adam", False), ("adam", True), ("sgd", True)])
def test_an_epoch_writes_into_the_parameters_of_the_last(model, data, optimizer, by_rows):
    """The model that is handed over holds the training state's own arrays, the word table among them."""

    def places(current):
        return {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(nnx.state(current, nnx.Param))}

    epochs = epochs_of(model, data, optimizer, by_rows)
    found = [places(current) for _, current in epochs]
    assert len(found[0]) == len(jax.tree.leaves(nnx.state(model, nnx.Param)))
    assert all(after == found[0] for after in found[1:])
    assert not found[0] & places(model)

"""One's own model: whatever flax, optax and the data bring."""

import contextlib
import itertools
import json
import math

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from jaxbackprop.train import RunError, fit
from tests.train.own_model import COUNT, SIZE, Again, Model, accuracy, arrays, examples, loss, train


def test_a_model_learns_and_all_that_a_forward_pass_changes_goes_on():
    model = Model(nnx.Rngs(0))
    training = train(model=model, epochs=8, evaluate=accuracy, monitor="dev")
    epochs = [epoch for epoch, _ in training]
    assert epochs[-1].loss < epochs[0].loss
    assert epochs[-1].metrics["accuracy"] > epochs[0].metrics["accuracy"]
    assert set(epochs[0].metrics) == {"accuracy", "dev"}
    trained = training.best_model
    assert abs(np.asarray(trained.norm.mean[...])).max() > 0
    assert abs(np.asarray(trained.ours.mean[...])).max() > 0
    assert int(trained.dropout.rngs.count[...]) == int(model.dropout.rngs.count[...]) + epochs[-1].step
    np.testing.assert_array_equal(model.norm.mean[...], np.zeros(8))


def test_the_auxiliary_scalars_are_means_over_the_epochs_batches():
    def numbered(model, batch, key):
        return loss(model, batch, key)[0], {"rows": {"first": batch["row"][0]}, "one": 1}

    data = examples() | {"row": np.arange(COUNT, dtype=np.int32)}
    (epoch, _), *_ = fit(
        Model(nnx.Rngs(0)), numbered, data, optimizer=optax.sgd(0.1), epochs=1, batch_size=COUNT
    )
    assert epoch.metrics["one"] == 1
    assert epoch.metrics["rows/first"] == np.random.default_rng((0, 0)).permutation(COUNT)[0]


def test_what_is_done_to_the_model_is_not_done_to_the_training():
    def run(evaluate):
        training = train(evaluate=evaluate)
        list(training)
        return training.best_model

    def meddle(model):
        model(examples()["x"] + 100)
        model.last.bias[...] = model.last.bias[...] + 1
        return {}

    for ours, theirs in zip(arrays(run(lambda model: {})), arrays(run(meddle)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# Data


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (
            {"x": np.zeros((5, 3)), "y": np.zeros(3)},
            ValueError,
            r"data\['x'\] has 5 rows but data\['y'\] has 3",
        ),
        ({"x": [[1.0, 2.0]]}, TypeError, r"data\['x'\]\[0\]\[0\] is float 1.0, not an array"),
        ({"x": np.array(["a", "b"])}, TypeError, r"data\['x'\] has dtype <U1, not numbers"),
        ({"x": np.float32(3)}, ValueError, r"data\['x'\] is a scalar"),
        (examples, TypeError, "data is a function: pass what"),
        ({}, ValueError, "data holds no example"),
        ({"x": np.zeros((0, 3))}, ValueError, "data holds no example"),
    ],
)
def test_data_that_does_not_fit_is_named(data, error, message):
    with pytest.raises(error, match=message):
        fit(Model(nnx.Rngs(0)), loss, data, optimizer=optax.sgd(0.1), epochs=1, batch_size=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": None}, "batch_size is missing"),
        ({"batch_size": 0}, r"batch_size must be in \[1, 48\]"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"steps_per_epoch": 3}, "steps_per_epoch is given, but data is a pytree of arrays"),
        ({"data": iter([]), "batch_size": 3}, "batch_size is given, but data gives whole batches"),
        ({"patience": 2}, "patience needs monitor"),
        ({"patience": 0, "monitor": "loss"}, "patience must be at least 1"),
        ({"mode": "most"}, "mode must be max or min"),
        ({"save_every": 0}, "save_every must be at least 1"),
    ],
)
def test_arguments_that_do_not_fit_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        train(**changes)


def test_a_loss_that_is_no_scalar_is_refused():
    def vector(model, batch, key):
        return model(batch["x"])

    message = r"the loss must be a floating-point scalar, not float32 of shape \(8, 2\)"
    with pytest.raises(TypeError, match=message):
        next(fit(Model(nnx.Rngs(0)), vector, examples(), optimizer=optax.sgd(0.1), epochs=1, batch_size=SIZE))


def test_a_stream_of_batches_is_read_to_its_end_once_an_epoch():
    epochs = [epoch for epoch, _ in train(Again(), batch_size=None, epochs=3)]
    assert [epoch.step for epoch in epochs] == [6, 12, 18]


def test_an_endless_stream_is_cut_into_epochs():
    stream = itertools.cycle(Again())
    epochs = [epoch for epoch, _ in train(stream, batch_size=None, epochs=3, steps_per_epoch=4)]
    assert [epoch.step for epoch in epochs] == [4, 8, 12]


def test_a_stream_that_can_be_read_once_is_not_enough_for_two_epochs():
    training = train(iter(Again()), batch_size=None, epochs=2)
    next(training)
    with pytest.raises(ValueError, match="no batch again: pass what can be iterated over more than once"):
        next(training)
    with pytest.raises(ValueError, match="data gives no batch$"):
        next(train(iter([]), batch_size=None))


def test_a_batch_of_nothing_does_not_end_the_epoch_in_silence():
    class Holed(Again):
        def __iter__(self):
            yield from itertools.islice(super().__iter__(), 2)
            yield None

    with pytest.raises(TypeError, match="data gives a batch that holds no array: None"):
        list(train(Holed(), batch_size=None))


def test_a_batch_of_text_is_named():
    with pytest.raises(TypeError, match=r"a batch of data\['id'\]\[0\] is str 'a', not numbers"):
        list(train(iter([{**examples(), "id": ["a"]}]), batch_size=None, epochs=1))


# Which epoch is the best, and when to stop


def test_patience_stops_and_the_best_epoch_is_handed_over():
    figures = iter([0.1, 0.7, 0.3, 0.7, 0.2, 0.9])
    training = train(evaluate=lambda model: {"dev": next(figures)}, monitor="dev", patience=2, epochs=6)
    seen = {epoch.epoch: arrays(model) for epoch, model in training}
    # 0.7 again is no better than 0.7, but as good, and later.
    assert list(seen) == [1, 2, 3, 4]
    assert training.best["epoch"] == 4


def test_the_smallest_may_be_the_best():
    figures = iter([3.0, 1.0, float("nan"), 2.0])
    training = train(evaluate=lambda model: {"dev": next(figures)}, monitor="dev", mode="min")
    best = [jax.tree.map(np.array, arrays(model)) for _, model in training]
    assert training.best["epoch"] == 2
    for a, b in zip(arrays(training.best_model), best[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_figure_that_nobody_gives_is_named():
    with pytest.raises(KeyError, match="monitor is 'f1', but an epoch's figures are epoch, step, loss"):
        list(train(monitor="f1"))


def test_the_optimizer_may_ask_for_the_loss():
    """Optax's line search calls it, its reduction on plateau wants its value."""
    full = {"batch_size": COUNT, "epochs": 6}
    losses = [epoch.loss for epoch, _ in train(optimizer=optax.lbfgs(), **full)]
    assert losses[-1] < losses[0]
    plateau = optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(patience=1))
    assert len(list(train(optimizer=plateau, **full))) == 6


def test_progress_is_a_line_an_epoch(capsys):
    list(train(progress=True, epochs=2))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", "1"], ["epoch", "2"]]
    assert "accuracy" in lines[0]


def test_nothing_is_compiled_after_the_first_epoch(caplog):
    with jax.log_compiles():
        training = train(epochs=5)
        next(training)
        caplog.clear()
        list(training)
    assert not [record for record in caplog.records if "Compiling" in record.getMessage()]


# What a caller's own model and functions may be


class Counting(Model):
    def __init__(self, rngs):
        super().__init__(rngs)
        self.count = nnx.Param(np.arange(3))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": Counting(nnx.Rngs(0))}, TypeError, r"count.* of the model, whose dtype int32 has no grad"),
        ({"model": {"a": 1}}, TypeError, "model must be a flax.nnx module"),
        ({"trainable": nnx.PathContains("typo")}, ValueError, "trainable selects nothing"),
        ({"optimizer": "adam"}, TypeError, "optimizer must be a transformation of optax, not str"),
        ({"average": 1.5}, ValueError, "average must be at least 0 and below 1, not 1.5"),
        ({"epochs": 2.5}, TypeError, "epochs must be an integer, not 2.5"),
        ({"keep": 0}, ValueError, "keep must be at least 1"),
    ],
)
def test_what_cannot_be_trained_is_named_and_leaves_no_folder(changes, error, message, tmp_path):
    with pytest.raises(error, match=message):
        train(run=tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        ({"epoch": 1.0}, ValueError, "evaluate gives a figure named 'epoch'.*such as dev_epoch"),
        ({"loss": 1.0}, ValueError, "such as dev_loss"),
        ({"dev": "x"}, TypeError, "evaluate gives 'dev': 'x', which is no number"),
        (0.5, TypeError, "evaluate must give figures by name, not float"),
        (None, TypeError, "evaluate must give figures by name, not NoneType"),
    ],
)
def test_figures_that_are_none_are_named(found, error, message):
    with pytest.raises(error, match=message):
        list(train(evaluate=lambda model: found, epochs=1))


def test_a_loss_may_not_hide_what_is_missing():
    for result, message in ((None, "not None"), ((1.0, {"a": "hi"}), "must be numbers, not 'hi'")):
        with pytest.raises(TypeError, match=message):
            list(
                fit(
                    Model(nnx.Rngs(0)),
                    lambda model, batch, key, result=result: result,
                    examples(),
                    optimizer=optax.sgd(0.1),
                    epochs=1,
                    batch_size=8,
                )
            )


def test_a_figure_may_be_nan_and_the_run_go_on(tmp_path):
    def nan_beside(model, batch, key):
        return loss(model, batch, key)[0], {"ratio": np.float32("nan")}

    def go(epochs, figures):
        return fit(
            Model(nnx.Rngs(0)),
            nan_beside,
            examples(),
            optimizer=optax.sgd(0.1),
            epochs=epochs,
            batch_size=8,
            evaluate=lambda model: next(figures),
            monitor="dev",
            run=tmp_path / "run",
            resume=True,
            save_every=4,
        )

    with contextlib.closing(go(3, iter([{"dev": math.nan, "rare": 1.0}]))) as training:
        epoch, _ = next(training)
    assert math.isnan(epoch.metrics["dev"])
    # The checkpoint at step 4, whose sum of ratios is nan, is whole.
    assert [
        epoch.step for epoch, _ in go(3, iter([{"dev": math.nan}, {"dev": 0.5}, {"dev": 0.4, "f": 1.0}]))
    ] == [
        6,
        12,
        18,
    ]
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["dev"] for line in lines] == [None, 0.5, 0.4]
    assert {line["ratio"] for line in lines} == {None}
    assert json.loads((tmp_path / "run/results.json").read_text())["best"]["epoch"] == 2


def test_a_resumption_that_is_refused_lets_go_of_the_folder(tmp_path):
    list(train(run=tmp_path / "run", epochs=1))
    with pytest.raises(RunError, match="seed is 1 but was 0"):
        train(run=tmp_path / "run", epochs=1, resume=True, seed=1)
    list(train(run=tmp_path / "run", epochs=1, resume=True))

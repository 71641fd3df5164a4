"""A run that is stopped, however and wherever, goes on to the bits of one that was not."""

import itertools
import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxbackprop.train import Diverged, RunError, fit
from tests.parts import a_part
from tests.train.own_model import (
    COUNT,
    SIZE,
    Again,
    Indexed,
    Model,
    Plain,
    Stateful,
    accuracy,
    assert_same,
    examples,
    plain_loss,
    train,
)


class Stop(Exception):
    pass


def stopped(out, at, *, number=None, **options):
    """A run that ends after so many steps: by a signal, or in no orderly way."""
    training = train(run=out, **options)
    step = training._step

    def counted(state, *rest):
        made = int(state.step)
        if made == at:
            if number is None:
                raise Stop
            signal.raise_signal(number)
        return step(state, *rest)

    training._step = counted
    with pytest.raises(Stop if number is None else KeyboardInterrupt):
        list(training)
    training.close()


OPTIONS = {
    "adam": {},
    "averaged": {"average": 0.9, "evaluate": accuracy, "monitor": "dev"},
    "frozen": {"trainable": nnx.All(nnx.Param, nnx.Not(nnx.PathContains("first")))},
    "momentum and schedule": {
        "optimizer": optax.sgd(optax.cosine_decay_schedule(0.1, 20), momentum=0.9),
        "schedule": optax.cosine_decay_schedule(0.1, 20),
    },
    "stream": {"data": Again(), "batch_size": None},
    "stateful stream": {"data": Stateful(), "batch_size": None},
    "stream with a state of its own": {"data": Stateful(dict), "batch_size": None},
    "indexed": {"data": Indexed()},
    "indexed, batches over the end of an epoch": {"data": Indexed(), "batch_size": 5},
    "epochs of another length": {"data": Again(), "batch_size": None, "steps_per_epoch": 4},
}


STOPS = [
    pytest.param(name, at, number, id=f"{name}-{at}-{'killed' if number is None else 'asked to stop'}")
    for (at, number), name in itertools.product(itertools.product((4, 6, 15), (None, signal.SIGINT)), OPTIONS)
]


@pytest.mark.parametrize(("name", "at", "number"), a_part(STOPS, 7))
def test_a_stopped_run_goes_on_to_the_bits_of_one_that_was_not(tmp_path, name, at, number):
    options = OPTIONS[name]
    whole = train(run=tmp_path / "whole", **options)
    list(whole)
    stopped(tmp_path / "run", at, number=number, save_every=5 if at == 15 else None, **options)
    if number is not None:
        status = json.loads((tmp_path / "run" / "status.json").read_text())
        assert (status["status"], status["step"]) == ("interrupted", at + 1)
    resumed = train(run=tmp_path / "run", resume=True, **options)
    list(resumed)
    metrics, results = (
        [(tmp_path / name / file).read_text() for name in ("whole", "run")]
        for file in ("metrics.jsonl", "results.json")
    )
    assert metrics[0] == metrics[1]
    assert len({json.loads(text)["parameters_sha256"] for text in results}) == 1
    assert_same(whole.best_model, resumed.best_model)


# flax's own batch normalization adds float32 to bfloat16.
@jax.numpy_dtype_promotion("standard")
def test_a_model_that_computes_in_bfloat16_keeps_float32_parameters_and_goes_on_to_the_same_bits(tmp_path):
    def run(out, **options):
        return train(model=Model(nnx.Rngs(0), jnp.bfloat16), run=tmp_path / out, average=0.9, **options)

    whole = run("whole")
    losses = [epoch.loss for epoch, _ in whole]
    assert losses[-1] < losses[0]
    stopped(tmp_path / "run", 9, number=signal.SIGINT, model=Model(nnx.Rngs(0), jnp.bfloat16), average=0.9)
    resumed = run("run", resume=True)
    list(resumed)
    assert_same(whole.best_model, resumed.best_model)
    trained = jax.tree.leaves(nnx.state(resumed.best_model, nnx.Any(nnx.Param, nnx.BatchStat)))
    assert {leaf.dtype for leaf in trained} == {jnp.dtype("float32")}
    assert resumed.best_model(examples()["x"]).dtype == jnp.bfloat16


@pytest.mark.parametrize("lost", a_part(["opt_state", "variables", "step", "position", "loss_sum"], 3))
def test_what_a_checkpoint_holds_is_needed(tmp_path, monkeypatch, lost):
    """The test above has teeth: without optimizer, dropout and statistics, keys or position it fails."""
    from jaxbackprop.train import _batches, _loop

    list(train(run=tmp_path / "whole"))
    stopped(tmp_path / "run", 9, number=signal.SIGINT)
    if lost == "position":
        monkeypatch.setattr(_batches.ArrayBatches, "restore", lambda self, position: None)
    else:
        restore = _loop.Training.restore

        def forget(self):
            fresh = getattr(self._state, lost)
            restore(self)
            self._state = self._state._replace(**{lost: fresh})

        monkeypatch.setattr(_loop.Training, "restore", forget)
    list(train(run=tmp_path / "run", resume=True))
    assert (tmp_path / "whole" / "metrics.jsonl").read_text() != (
        tmp_path / "run" / "metrics.jsonl"
    ).read_text()


def test_a_run_that_has_not_begun_begins_and_one_that_has_finished_is_evaluated_again(tmp_path):
    first = train(run=tmp_path / "run", resume=True, evaluate=accuracy)
    assert len(list(first)) == 4
    again = train(run=tmp_path / "run", resume=True, evaluate=accuracy)
    ((epoch, _),) = again
    assert epoch.epoch == 4
    assert again.records == first.records
    assert_same(first.best_model, again.best_model)


def test_without_resume_a_run_is_left_alone(tmp_path):
    list(train(run=tmp_path / "run"))
    with pytest.raises(RunError, match="run exists and is not empty"):
        train(run=tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed is 1 but was 0"),
        ({"average": 0.5}, "does not fit its configuration: .*average"),
        ({"batch_size": 6}, "batch_size is 6 but was 8"),
        ({"data": examples(49)}, "data has changed"),
        ({"optimizer": optax.sgd(0.1)}, "state/opt_state/0/count is int32 of shape .*, expected absent"),
        ({"model": nnx.Linear(3, 2, rngs=nnx.Rngs(0))}, "absent"),
    ],
)
def test_a_run_goes_on_with_what_it_began_with(tmp_path, changes, message):
    stopped(tmp_path / "run", 9, number=signal.SIGINT)
    with pytest.raises(RunError, match=message):
        train(run=tmp_path / "run", resume=True, **changes)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "interrupted"


def test_the_folder_holds_curves_results_and_no_more_checkpoints_than_asked_for(tmp_path):
    list(train(run=tmp_path / "run", keep=1, save_every=3, epochs=3))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"checkpoints", "curves.png", "metrics.jsonl", "results.json", "status.json"}
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["0000000018"]


# What goes wrong


def poisoned(at):
    """Data whose example `at` has an infinite feature."""
    data = examples()
    data["x"][at] = np.inf
    return data


@pytest.mark.parametrize("saved", [False, True])
def test_a_loss_that_is_nan_names_the_step_and_its_batch(tmp_path, saved):
    options = {"run": tmp_path / "run", "save_every": 2} if saved else {}
    training = fit(
        Plain(nnx.Rngs(0)),
        plain_loss,
        poisoned(17),
        optimizer=optax.sgd(0.1),
        epochs=2,
        batch_size=SIZE,
        **options,
    )
    with pytest.raises(Diverged, match="the loss is nan at step") as caught:
        list(training)
    error = caught.value
    order = np.random.default_rng((0, 0)).permutation(COUNT)
    assert error.step == int(np.flatnonzero(order == 17)[0]) // SIZE + 1
    assert 17 in error.indices
    if saved:
        assert np.isfinite(error.model.linear.kernel[...]).all()
        assert not np.isfinite(plain_loss(error.model, error.batch, error.key))
        assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "failed"
    else:
        assert error.model is None


def test_a_finite_loss_whose_gradient_is_not_is_the_step_that_is_named(tmp_path):
    """The next step's loss is the first that is nan."""

    def loss(model, batch, key):
        hidden = model(batch["x"])
        kink = jnp.where(batch["bad"].any(), 0.0, 1.0)
        return jnp.sqrt(kink * (hidden**2).mean())

    data = examples() | {"bad": np.arange(COUNT) == 17}
    training = fit(
        Plain(nnx.Rngs(0)),
        loss,
        data,
        optimizer=optax.sgd(0.1),
        epochs=1,
        batch_size=SIZE,
        run=tmp_path / "run",
    )
    with pytest.raises(Diverged) as caught:
        list(training)
    assert 17 in caught.value.indices
    assert np.isfinite(caught.value.model.linear.kernel[...]).all()


def test_a_loss_that_grows_a_thousandfold_is_said():
    said = []
    growing = optax.sgd(-0.3)
    training = fit(
        Plain(nnx.Rngs(0)),
        lambda model, batch, key: (model(batch["x"]) ** 2).mean(),
        examples(),
        optimizer=growing,
        epochs=6,
        batch_size=SIZE,
        warn=said.append,
    )
    list(training)
    assert said
    assert "the loss has grown from" in said[0]
    assert len(said) < 6


def test_a_disk_that_refuses_is_one_error_and_the_last_checkpoint_still_loads(tmp_path, monkeypatch):
    from jaxbackprop.train import _checkpoint

    training = train(run=tmp_path / "run")
    next(training)
    next(training)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_checkpoint, "checksums", full)
    with pytest.raises(RunError, match=r"cannot write .*checkpoints/00000000\d\d: No space left on device"):
        list(training)
    monkeypatch.undo()
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["status"] == "failed"
    assert "No space left" in status["why"]
    resumed = train(run=tmp_path / "run", resume=True)
    assert next(iter(resumed))[0].epoch <= 2
    list(resumed)
    assert_same(resumed.best_model, train_to_the_end())


def train_to_the_end():
    training = train()
    list(training)
    return training.best_model


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_folder_that_is_read_only_is_refused(tmp_path):
    list(train(run=tmp_path / "run", epochs=1))
    (tmp_path / "run").chmod(0o500)
    with pytest.raises(RunError, match="cannot write"):
        train(run=tmp_path / "run", resume=True)

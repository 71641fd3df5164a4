"""The window classifier in plain flax is the same model, so that its step is a fair peer."""

import types

import jax
import numpy as np
import pytest
from flax import nnx

from jaxbackprop.bench import _train
from jaxbackprop.bench._machine import Limits
from jaxbackprop.bench._measure import Peer, Row
from jaxbackprop.bench._memory import temporary_bytes
from jaxbackprop.train import Config


@pytest.fixture
def small(monkeypatch):
    for name, size in {"_WORDS": 30, "_AFFIXES": 9, "_TAGS": 5, "_WORD_DIM": 4, "_EXAMPLES": 32}.items():
        monkeypatch.setattr(_train, name, size)


@pytest.fixture
def promoting():
    """Layers of flax rely on it."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def test_loss_and_gradient_are_those_of_the_same_model(small, promoting):
    batch = {name: rows[:8] for name, rows in _train._examples().items()}
    (ours, our_loss), (plain, plain_loss) = (_train._model(name, Config()) for name in ("ours", _train.FLAX))
    our_def, params = nnx.split(ours, nnx.Param)
    plain_def, theirs, rest = nnx.split(plain, nnx.Param, ...)
    nnx.replace_by_pure_dict(theirs, nnx.to_pure_dict(params))
    got = jax.jit(jax.value_and_grad(lambda p: our_loss(nnx.merge(our_def, p), batch, None)))(params)
    want = jax.jit(jax.value_and_grad(lambda p: plain_loss(nnx.merge(plain_def, p, rest), batch, None)))(
        theirs
    )
    assert float(got[0]) == pytest.approx(float(want[0]), rel=1e-6)
    grads = nnx.to_pure_dict(got[1]), nnx.to_pure_dict(want[1])
    assert jax.tree.structure(grads[0]) == jax.tree.structure(grads[1])
    for mine, other in zip(*map(jax.tree.leaves, grads), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)
    # Places outside the sentence are among the examples.
    assert (batch["words"] < 0).any()


@pytest.mark.parametrize("name", ["ours", _train.FLAX])
def test_a_step_trains_in_place(small, promoting, name):
    stepper = _train.Stepper(name, 8)
    before = {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(stepper._state)}
    first = np.array(jax.tree.leaves(stepper._state.params)[0])
    stepper.peer().call()
    assert {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(stepper._state)} <= before
    assert int(stepper._state.step) == 1
    assert not np.array_equal(jax.tree.leaves(stepper._state.params)[0], first)
    assert temporary_bytes(stepper.program) > 0
    # Forward, and two products backward, of each layer.
    assert stepper.operations == 3 * 2 * 8 * 300 * (5 * (4 + 5 + 10 + 10) + 5)


class Waiter:
    """Takes no time and as many bytes as words."""

    def __init__(self, name, batch):
        self.name, self.operations = name, 1.0
        analysis = types.SimpleNamespace(temp_size_in_bytes=batch)
        self.program = types.SimpleNamespace(memory_analysis=lambda: analysis)

    def peer(self):
        return Peer(self.name, lambda: None)


def test_rows_and_curves(monkeypatch):
    def side_by_side(benchmark, case, ours, peers, **settings):
        return [Row(benchmark, case, peers[0].name, 1.0, 2.0, (2.0, 2.0, 2.0), None)]

    monkeypatch.setattr(_train, "Stepper", Waiter)
    monkeypatch.setattr(_train, "side_by_side", side_by_side)
    said = []
    timed, temporary, *_ = _train.train(Limits(1.0, 1.0), said.append)
    assert timed.case == "a step on 128 words"
    assert (temporary.unit, temporary.ours) == ("bytes", 128)
    assert said[0] == "train, words a second in batches of 128: ours 128,000, plain flax 64,000"
    (curve,) = _train.curves(Limits(1.0, 1.0), said.append)
    assert set(curve.values) == {"ours", _train.FLAX}
    assert list(curve.x) == list(_train._GROWTH)

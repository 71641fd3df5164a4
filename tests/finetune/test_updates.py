"""Frozen parts, learning rates by layer, and layers that begin later."""

import jax
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop._errors import CannotRun
from jaxbackprop.finetune import Settings, make_updates, trainable
from jaxbackprop.finetune._parts import depth_of, frozen_parts, part_of
from jaxbackprop.models import Bert, BertClassifier, BertConfig

LAYERS = 3
CONFIG = BertConfig(
    vocab_size=7,
    hidden_size=4,
    num_hidden_layers=LAYERS,
    num_attention_heads=2,
    intermediate_size=6,
    max_position_embeddings=5,
)
PARTS = ["embeddings", "layers:0", "layers:1", "layers:2", "pooler", "classifier"]


@pytest.fixture(scope="module")
def model():
    return BertClassifier(Bert(CONFIG, rngs=nnx.Rngs(0)), 2, rngs=nnx.Rngs(1))


def settings(**own):
    return Settings.of(own, {"optimizer": "sgd", "lr": 1.0, "warmup_epochs": 0.0, "schedule": "constant"})


def moved(model, chosen, steps, per_epoch=2):
    """How far each part has moved after each step, where every gradient is 1."""
    _, params, _ = nnx.split(model, trainable(chosen, LAYERS), ...)
    optimizer = make_updates(chosen, lambda step: 1.0, per_epoch, LAYERS)
    state = optimizer.init(params)
    ones = jax.tree.map(lambda leaf: leaf * 0 + 1, params)
    update = jax.jit(optimizer.update)
    found = []
    for _ in range(steps):
        updates, state = update(ones, state, params)
        by_part = {}
        for path, leaf in nnx.to_flat_state(updates):
            by_part.setdefault(part_of(path), set()).update(np.unique(-leaf[...]).tolist())
        found.append({part: (sizes.pop() if len(sizes) == 1 else sizes) for part, sizes in by_part.items()})
    return found


def test_every_parameter_belongs_to_a_part(model):
    flat = nnx.to_flat_state(nnx.state(model, nnx.Param))
    assert {part_of(path) for path, _ in flat} == set(PARTS)
    assert [depth_of(part, LAYERS) for part in PARTS] == [4, 3, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("freeze", "left"),
    [
        (None, PARTS),
        ("bert", ["classifier"]),
        ("embeddings,layers:0-1", ["layers:2", "pooler", "classifier"]),
        (" layers:1 , pooler", ["embeddings", "layers:0", "layers:2", "classifier"]),
    ],
)
def test_frozen_parts_have_no_updates(model, freeze, left):
    assert set(moved(model, settings(freeze=freeze), 1)[0]) == set(left)


@pytest.mark.parametrize(
    "freeze", ["layers:3", "layers:2-1", "layers", "layers:", "layers:-1", "head", "", "layers:0-9"]
)
def test_parts_that_are_not_there_are_refused(freeze):
    with pytest.raises(CannotRun, match="--freeze"):
        frozen_parts(freeze, LAYERS)


@given(st.text("layers:0-,bert poolrmdings", max_size=20))
def test_whatever_is_said_is_read_or_refused(text):
    try:
        assert frozen_parts(text, LAYERS) <= set(PARTS)
    except CannotRun:
        pass


def test_each_layer_learns_slower_than_the_one_above(model):
    chosen = Settings.of(
        {"layerwise_decay": 0.5}, {"optimizer": "sgd", "clip_norm": 1e9, "warmup_epochs": 0.0}
    )
    (found,) = moved(model, chosen, 1)
    assert found == dict(zip(PARTS, [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 1], strict=True))


def test_layers_begin_one_an_epoch_from_the_top(model):
    chosen = Settings.of(
        {"unfreeze_gradually": True}, {"optimizer": "sgd", "clip_norm": 1e9, "warmup_epochs": 0.0}
    )
    found = moved(model, chosen, 9, per_epoch=2)
    begins = {part: next(n for n, step in enumerate(found) if step[part]) for part in PARTS}
    assert begins == {
        "embeddings": 8,
        "layers:0": 6,
        "layers:1": 4,
        "layers:2": 2,
        "pooler": 0,
        "classifier": 0,
    }
    # Once it has begun, a part moves as the schedule says.
    assert set(found[-1].values()) == {1.0}


def test_settings_that_do_not_go_are_named():
    for own, shared, said in (
        ({"layerwise_decay": 1.5}, {}, "--layerwise-decay must be at most 1"),
        ({"max_length": 2}, {}, "--max-length must be at least 4"),
        ({"model": ""}, {}, "--model must not be empty"),
        ({}, {"epochs": 0}, "--epochs must be at least 1"),
        ({}, {"hidden": 3}, "unknown hidden"),
    ):
        with pytest.raises(ValueError, match=said):
            Settings.of(own, shared)
    assert Settings.of({}, {"optimizer": "sgd"}).training.lr == 0.2
    assert Settings.of({}, {"epochs": 1}).training.warmup_epochs < 0.2

"""The process of `bench mesh`: it sees eight devices, and prints what it found as a line of JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping

import jax
import numpy as np
import optax
from flax import nnx

from jaxbackprop.models import MASK, WindowNER, window_ner_loss
from jaxbackprop.optim import rows
from jaxbackprop.train import RowUpdates, Training, describe_machine, fit, parse_mesh

from ._collectives import collectives, moved
from ._mesh import DEVICES, MESHES

_VOCABULARY, _SHAPES, _AFFIXES, _TAGS, _DIM = 100_000, 8, 1_000, 21, 50
_STEPS, _TURNS = 40, 5
# How often a number is read or written: of a touched row that of table and two moments; of the other
# parameters also gradient and average.
_TOUCHED, _UPDATED = 6, 9


def main() -> None:
    """Measures and prints; the argument is the number of words a batch."""
    words = int(sys.argv[1])
    data = _examples(words * _STEPS)
    trainings = {mesh: _training(mesh, data, words) for mesh in MESHES}
    rates: dict[str | None, list[float]] = {mesh: [] for mesh in MESHES}
    for training in trainings.values():
        next(training)  # compiles
    for _ in range(_TURNS):
        for mesh, training in trainings.items():
            began = time.perf_counter()
            next(training)
            rates[mesh].append(_STEPS / (time.perf_counter() - began))
    parameters = {mesh: _parameters(training) for mesh, training in trainings.items()}
    model = _model()
    dense = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
    dense -= model.words.embedding[...].size
    found = {
        "cores": describe_machine()["threads"],
        "words": words,
        "steps": _STEPS * (_TURNS + 1),
        "measured": [
            {
                "mesh": mesh,
                "rates": rates[mesh],
                "moved": _moved(training),
                "apart": float(np.abs(parameters[mesh] - parameters[None]).max()),
            }
            for mesh, training in trainings.items()
        ],
        "programs": [
            {"words": count, "moved": _moved(_training(f"data={DEVICES}", data, count))}
            for count in (words, 2 * words)
        ],
        # Products, forward and backward for weights and inputs.
        "operations": 3 * 2 * (model.hidden.kernel[...].size + model.output.kernel[...].size),
        "fixed_memory": _UPDATED * 4 * dense,
        "word_memory": _TOUCHED * 4 * _DIM * (2 * model.window + 1),
    }
    print(json.dumps(found))


def _training(mesh: str | None, data: Mapping[str, np.ndarray], words: int) -> Training[WindowNER]:
    return fit(
        _model(),
        lambda model, batch, key: window_ner_loss(model, batch, 1e-5, key=key),
        data,
        optimizer=optax.adam(1e-3),
        rows=RowUpdates(rows.lazy_adam(1e-3), {("words", "embedding"): "words"}, padding_id=-1),
        mesh=None if mesh is None else parse_mesh(mesh),
        mask=MASK,
        average=0.99,
        batch_size=words,
        epochs=_TURNS + 1,
    )


def _parameters(training: Training[WindowNER]) -> np.ndarray:
    leaves = jax.tree.leaves(nnx.state(training.best_model, nnx.Param))
    return np.concatenate([np.asarray(leaf).ravel() for leaf in leaves])


def _moved(training: Training[WindowNER]) -> dict[str, int]:
    return moved(collectives(training.compiled().as_text() or ""))


def _model() -> WindowNER:
    return WindowNER(
        num_words=_VOCABULARY,
        word_dim=_DIM,
        num_shapes=_SHAPES,
        num_prefixes=_AFFIXES,
        num_suffixes=_AFFIXES,
        num_tags=_TAGS,
        rngs=nnx.Rngs(0),
    )


def _examples(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = {"words": _VOCABULARY, "shapes": _SHAPES, "prefixes": _AFFIXES, "suffixes": _AFFIXES}
    data = {}
    for name, high in rows.items():
        # Few words are frequent, most are rare.
        chances = 1 / np.arange(1, high + 1)
        data[name] = rng.choice(high, (count, 5), p=chances / chances.sum()).astype(np.int32)
    return data | {"labels": rng.integers(0, _TAGS, count, dtype=np.int32)}

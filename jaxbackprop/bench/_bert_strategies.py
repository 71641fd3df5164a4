"""The lecture's four ways to train a pretrained encoder with a new layer on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Int

from jaxbackprop.finetune import Settings, classifier_loss, labels_loss, make_updates, trainable
from jaxbackprop.models import MASK, BertClassifier
from jaxbackprop.train import init_state, make_schedule, make_step

from ._bert_texts import EncodedTexts

BATCH = 16
_WARM_UP = 0.1
HEAD, LAST, ALL = "head", "last", "all"


@dataclass(frozen=True)
class Strategy:
    """What is trained, one stage after another.

    Attributes:
        name: in the table.
        stages: `HEAD`, `LAST` or `ALL`, an equal share of the updates each.
        rates: the highest learning rates that development data chooses from.
        longer: epochs, as a multiple of those of the size.
    """

    name: str
    stages: tuple[str, ...]
    rates: tuple[float, ...]
    longer: int = 1

    @property
    def frozen(self) -> bool:
        """Whether the encoder stays as it is."""
        return self.stages == (HEAD,)


_RATES = (1e-4, 3e-4)
STRATEGIES = (
    # An epoch of the head is nearly free: the encoder's outputs are there.
    Strategy("head only", (HEAD,), (1e-3, 1e-2, 1e-1), 10),
    Strategy("last layers", (LAST,), _RATES),
    Strategy("all layers", (ALL,), _RATES),
    Strategy("gradual", (HEAD, LAST, ALL), _RATES),
)


class Trainer:
    """Trains models of one structure; what is compiled serves every size, seed and rate."""

    def __init__(self, settings: Settings, layers: int) -> None:
        """Compiles nothing yet.

        Args:
            settings: of the optimizer.
            layers: of the encoder.
        """
        last = max(1, layers // 3)
        below = ["embeddings"] + ([f"layers:0-{layers - last - 1}"] if layers > last else [])
        self._layers, self._settings = layers, settings
        self._freeze = {HEAD: "bert", LAST: ",".join(below), ALL: None}
        self._programs = cache(self._compiled)

    def train(
        self,
        model: BertClassifier,
        strategy: Strategy,
        rate: float,
        texts: EncodedTexts,
        rows: Int[np.ndarray, "n"],
        epochs: int,
        seed: int,
    ) -> BertClassifier:
        """The model after some epochs.

        The rate rises over a tenth of the updates, then falls to 0 as a cosine. Each stage begins with an
        optimizer of its own.

        Args:
            model: with its pretrained encoder; it is not changed.
            strategy: what is trained.
            rate: the highest learning rate.
            texts: the sentences.
            rows: those to train on.
            epochs: passes over them, but for the strategy's multiple.
            seed: of batches and dropout.
        """
        rng = np.random.default_rng(seed)
        epochs *= strategy.longer
        total = epochs * -(-len(rows) // BATCH)
        config = dataclasses.replace(
            self._settings.training, lr=rate, epochs=epochs, warmup_epochs=_WARM_UP * epochs
        )
        rates = np.asarray(make_schedule(config, total / epochs)(np.arange(total)))
        ends = [round(total * (n + 1) / len(strategy.stages)) for n in range(len(strategy.stages))]
        batches = (batch for _ in range(epochs) for batch in texts.batches(rows, BATCH, rng))
        made = 0
        for stage, end in zip(strategy.stages, ends, strict=True):
            step, optimizer = self._programs(stage, nnx.graphdef(model))
            graphdef, *states = nnx.split(model, self._trained(stage), ...)
            params, constants = states
            state = init_state(params, optimizer)
            while made < end:
                batch = next(batches) | {"seed": np.int32(seed * total + made)}
                read = _HEAD_READS if stage == HEAD else batch.keys() - {"pooled"}
                state = step(
                    state, constants, {name: batch[name] for name in read}, None, np.float32(rates[made])
                )
                made += 1
            model = nnx.merge(graphdef, state.params, constants)
        return model

    def _trained(self, stage: str) -> nnx.filterlib.Filter:
        own = dataclasses.replace(self._settings.own, freeze=self._freeze[stage])
        return trainable(dataclasses.replace(self._settings, own=own), self._layers)

    def _compiled(self, stage: str, graphdef: nnx.GraphDef[Any]) -> tuple[Any, optax.GradientTransformation]:
        # Rates are told step by step, and the dropouts' seed comes with a batch: so the program depends on
        # neither.
        optimizer = make_updates(self._settings, lambda step: jnp.ones(()), 1.0, self._layers)
        loss = _head_loss if stage == HEAD else _loss
        return make_step(graphdef, loss, optimizer, jax.random.key(0)), optimizer


_HEAD_READS = ("pooled", "labels", MASK, "seed")


def _loss(model: BertClassifier, batch: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
    return classifier_loss(model, batch, jax.random.fold_in(key, batch["seed"]))


def _head_loss(model: BertClassifier, batch: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
    """As `_loss`, from what the frozen encoder gave."""
    drawn = jax.random.fold_in(key, batch["seed"])
    logits = model.classifier(model.dropout(batch["pooled"], deterministic=False, rngs=drawn))
    return labels_loss(logits, batch)

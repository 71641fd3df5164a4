"""The fine-tuning of a classifier: what is learnt from, and how an epoch is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxbackprop import ops
from jaxbackprop.models import MASK, BertClassifier, class_logits
from jaxbackprop.pretrained import BertTokenizer
from jaxbackprop.train import (
    Diverged,
    RunFolder,
    TagScores,
    Training,
    epoch_end,
    fit,
    make_plateau,
    make_schedule,
    rates_made,
)

from ._build import encode
from ._classifier import Classifier
from ._config import Settings
from ._texts import Texts
from ._updates import make_updates, trainable


def classifier_loss(
    model: BertClassifier, batch: Mapping[str, jax.Array], key: jax.Array | None
) -> jax.Array:
    """Mean cross-entropy of the labels, in float32 whatever the model computes in.

    Args:
        model: the classifier.
        batch: the model's input and ``labels``; where there is a ``mask``, it is False for rows that fill the
            batch up and do not count.
        key: of the dropouts; None drops nothing.
    """
    logits = model(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"], key=key)
    return labels_loss(logits, batch)


def labels_loss(logits: jax.Array, batch: Mapping[str, jax.Array]) -> jax.Array:
    """As `classifier_loss`, from the logits (B, C)."""
    losses = ops.softmax_cross_entropy(logits.astype(jnp.float32), batch["labels"])
    if MASK not in batch:
        return jnp.mean(losses)
    counted = jnp.where(batch[MASK], losses, jnp.zeros((), losses.dtype))
    return jnp.sum(counted) / jnp.sum(batch[MASK], dtype=losses.dtype)


class ClassifierTraining:
    """All that fine-tuning a classifier takes: a `jaxbackprop.train.Job`.

    Attributes:
        monitor: the figure that chooses the best epoch.
        steps: updates in the whole run.
    """

    monitor = "dev_accuracy"

    def __init__(
        self,
        settings: Settings,
        model: BertClassifier,
        tokenizer: BertTokenizer,
        texts: Texts,
        mesh: Mesh | None = None,
    ) -> None:
        """Encodes the sentences.

        Args:
            settings: of the run.
            model: with its pretrained encoder.
            tokenizer: text to pieces.
            texts: what to train on, and to choose the epoch by.
            mesh: the devices that the work is split over, or None for one.
        """
        self._settings, self._model, self._tokenizer, self._texts = settings, model, tokenizer, texts
        self._mesh, config = mesh, settings.training
        self._train = self._encoded(texts.train)
        self._dev = self._encoded(texts.dev)
        count = len(texts.train)
        self._batch_size = min(config.batch_size, count)
        self._per_epoch = count / self._batch_size
        self._schedule = make_schedule(config, self._per_epoch)
        self.steps = epoch_end(config.epochs, count, self._batch_size)

    def loss(self, model: BertClassifier, batch: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
        """What is minimized."""
        return classifier_loss(model, batch, key)

    def begin(
        self,
        run: RunFolder,
        *,
        resume: bool,
        on_steps: Callable[[int, float, float | None], None],
        warn: Callable[[str], None],
    ) -> Training[BertClassifier]:
        """The training, to be iterated over; see `jaxbackprop.train.fit`."""
        settings, config = self._settings, self._settings.training
        layers = self._model.bert.config.num_hidden_layers
        return fit(
            self._model,
            self.loss,
            self._train,
            optimizer=make_updates(settings, self._schedule, self._per_epoch, layers),
            schedule=self._schedule,
            plateau=make_plateau(config),
            batch_size=self._batch_size,
            epochs=config.epochs,
            seed=config.seed,
            average=config.average,
            trainable=trainable(settings, layers),
            mesh=self._mesh,
            mask=MASK,
            evaluate=self._evaluate,
            monitor=self.monitor,
            patience=config.patience,
            run=run,
            resume=resume,
            save_every=config.save_every,
            keep=config.keep,
            on_steps=on_steps,
            warn=warn,
        )

    def learning_rate(self, records: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """The learning rate of the new layer; see `jaxbackprop.train.rates_made`."""
        plateau = self._settings.training.schedule == "plateau"
        return rates_made(self._schedule, records, steps_per_epoch=self._per_epoch, plateau=plateau)

    def sentences(self, error: Diverged) -> list[int]:
        """The training sentences, counted from 1, of the batch where the loss was no number."""
        assert error.indices is not None  # batches of arrays have them
        return sorted({int(at) + 1 for at in error.indices})

    def test(self, model: BertClassifier) -> TagScores | None:
        """The scores of a model on the test sentences; None where there are none."""
        if not self._texts.test:
            return None
        texts = self._texts
        return Classifier(self._settings, texts.labels, texts.in_pairs, self._tokenizer, model).evaluate(
            texts.test
        )[0]

    def _encoded(self, rows: Sequence[Any]) -> dict[str, np.ndarray]:
        return encode(self._tokenizer, rows, self._texts.labels, self._settings.own.max_length)

    def _evaluate(self, model: BertClassifier) -> dict[str, float]:
        predicted = class_logits(model, self._dev).argmax(-1)
        return {self.monitor: float(np.mean(predicted == self._dev["labels"]))}

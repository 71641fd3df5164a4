"""The training of a window classifier: what is learnt from, and how an epoch is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from jaxbackprop.data import Corpus, Encoder, StreamedCorpus, WordVectors
from jaxbackprop.models import MASK, WindowNER, window_ner_loss
from jaxbackprop.train import (
    Config,
    Diverged,
    RangeTest,
    RowUpdates,
    RunFolder,
    Schedule,
    Scores,
    TagScores,
    Training,
    epoch_end,
    first_batch,
    fit,
    growing_rate,
    kernels,
    make_clipping,
    make_momentum,
    make_optimizer,
    make_plateau,
    make_row_optimizer,
    make_schedule,
    range_test,
    rates_made,
    score,
    score_tags,
)

from ._build import tag_sentences, trainable
from ._tagger import Tagger
from ._training_text import training_text

Loss = Callable[[WindowNER, Mapping[str, jax.Array], jax.Array], jax.Array]
# Called before the first step with the model, its loss, the first batch and that step's key.
AtStart = Callable[[WindowNER, Loss, dict[str, np.ndarray], jax.Array], None]


def make_updates(
    config: Config, schedule: Schedule, steps_per_epoch: float, padding_id: int | None
) -> tuple[optax.GradientTransformation, RowUpdates | None]:
    """How the classifier's gradients become updates.

    Args:
        config: the settings.
        schedule: step -> learning rate.
        steps_per_epoch: updates in one pass over the training words.
        padding_id: the word id that is no row of the table.

    Returns:
        The optimizer, and the updates of the word vectors where those are trained by rows.
    """
    row_optimizer = make_row_optimizer(config, schedule) if config.tune_vectors else None
    by_rows = None
    if row_optimizer is not None:
        by_rows = RowUpdates(
            row_optimizer, {("words", "embedding"): "words"}, padding_id, make_clipping(config)
        )
    momentum = make_momentum(config, steps_per_epoch)
    # Beside rows it clips what has been clipped with them, which changes nothing.
    optimizer = make_optimizer(config, schedule, momentum=momentum, decayed=kernels)
    return optimizer, by_rows


class TaggerTraining:
    """All that training a window classifier takes.

    Args:
        config: the settings.
        model: with its initial parameters.
        encoder: words to ids.
        corpus: what to train on, and to choose the epoch by.
        mesh: the devices that the work is split over, or None for one.
        vectors: where words of the test sentences that training does not see are looked up.

    Attributes:
        monitor: the figure that chooses the best epoch.
        steps: updates in the whole run.
    """

    def __init__(
        self,
        config: Config,
        model: WindowNER,
        encoder: Encoder,
        corpus: Corpus | StreamedCorpus,
        mesh: Mesh | None = None,
        vectors: WordVectors | None = None,
    ) -> None:
        self._config, self._model, self._encoder, self._corpus = config, model, encoder, corpus
        self._mesh, self._vectors = mesh, vectors
        self._text = training_text(corpus.train)
        self._examples = self._text.examples(encoder)
        self._dev_windows = encoder.encode(corpus.dev, labels=False)
        self._count = self._text.words
        self._batch_size = min(config.batch_size, self._count)
        self._schedule = make_schedule(config, self._count / self._batch_size)
        spans = config.task == "spans"
        self._score = score if spans else score_tags
        self.monitor = f"dev_{(Scores if spans else TagScores).decides}"
        self.steps = epoch_end(config.epochs, self._count, self._batch_size)

    def loss(self, model: WindowNER, batch: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
        """What is minimized."""
        return window_ner_loss(model, batch, self._config.l2, key=key)

    def first(self, at_start: AtStart) -> None:
        """Calls `at_start`."""
        seed = self._config.seed
        batch = first_batch(self._examples, batch_size=self._batch_size, seed=seed)
        at_start(self._model, self.loss, batch, jax.random.fold_in(jax.random.key(seed), 0))

    def begin(
        self,
        run: RunFolder,
        *,
        resume: bool,
        on_steps: Callable[[int, float, float | None], None],
        warn: Callable[[str], None],
    ) -> Training[WindowNER]:
        """The training, to be iterated over; see `jaxbackprop.train.fit`."""
        config = self._config
        optimizer, by_rows = self._updates(self._schedule)
        return fit(
            self._model,
            self.loss,
            self._examples,
            optimizer=optimizer,
            schedule=self._schedule,
            plateau=make_plateau(config),
            batch_size=self._batch_size,
            epochs=config.epochs,
            seed=config.seed,
            average=config.average,
            trainable=trainable(config),
            rows=by_rows,
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

    def range_test(
        self, low: float, high: float, steps: int, *, on_steps: Callable[[int, float, float], None]
    ) -> RangeTest:
        """The loss under a growing learning rate; see `jaxbackprop.train.range_test`."""
        config, schedule = self._config, growing_rate(low, high, steps)
        optimizer, by_rows = self._updates(schedule)
        return range_test(
            self._model,
            self.loss,
            self._examples,
            optimizer=optimizer,
            schedule=schedule,
            steps=steps,
            batch_size=self._batch_size,
            seed=config.seed,
            trainable=trainable(config),
            rows=by_rows,
            mesh=self._mesh,
            mask=MASK,
            on_steps=on_steps,
        )

    def _updates(self, schedule: Schedule) -> tuple[optax.GradientTransformation, RowUpdates | None]:
        steps_per_epoch = self._count / self._batch_size
        return make_updates(self._config, schedule, steps_per_epoch, self._model.words.padding_id)

    def learning_rate(self, records: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """The learning rate of a run with these epochs; see `jaxbackprop.train.rates_made`."""
        return rates_made(
            self._schedule,
            records,
            steps_per_epoch=self._count / self._batch_size,
            plateau=self._config.schedule == "plateau",
        )

    def sentences(self, error: Diverged) -> Sequence[int | str]:
        """The training sentences with words in the batch where the loss was no number."""
        assert error.indices is not None  # batches that are asked for by steps have them
        return self._text.places(error.indices)

    def test(self, model: WindowNER) -> Scores | TagScores | None:
        """The scores of a model on the test sentences; None where there are none."""
        if not self._corpus.test:
            return None
        return Tagger(self._config, self._encoder, model, self._vectors).evaluate(self._corpus.test)

    def _evaluate(self, model: WindowNER) -> dict[str, float]:
        predicted = tag_sentences(model, self._encoder, self._dev_windows, decode=self._config.decode)
        scores = self._score([sentence.tags for sentence in self._corpus.dev], predicted)
        return {f"dev_{name}": value for name, value in scores.measures.items()}

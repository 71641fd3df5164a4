"""The training of a tagger: what is learnt from, and how an epoch is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxbackprop.data import Corpus, Encoder, StreamedCorpus, WordVectors
from jaxbackprop.models import MASK, BertTagger, WindowNER
from jaxbackprop.train import (
    Config,
    Diverged,
    RangeTest,
    RunFolder,
    Scores,
    TagScores,
    Training,
    epoch_end,
    first_batch,
    fit,
    growing_rate,
    make_plateau,
    make_schedule,
    range_test,
    rates_made,
    score,
    score_tags,
)

from ._learning import learning_of
from ._pieces import PieceEncoder
from ._tagger import Tagger

Loss = Callable[[Any, Mapping[str, jax.Array], jax.Array], jax.Array]
# Called before the first step with the model, its loss, the first batch and that step's key.
AtStart = Callable[[Any, Loss, dict[str, np.ndarray], jax.Array], None]


class TaggerTraining:
    """All that training a tagger takes.

    Args:
        config: the settings.
        model: with its initial parameters.
        encoder: words to what the model reads.
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
        model: WindowNER | BertTagger,
        encoder: Encoder | PieceEncoder,
        corpus: Corpus | StreamedCorpus,
        mesh: Mesh | None = None,
        vectors: WordVectors | None = None,
    ) -> None:
        self._config, self._model, self._encoder, self._corpus = config, model, encoder, corpus
        self._mesh, self._vectors = mesh, vectors
        self._learning = learning_of(config, model, encoder, corpus)
        self._examples, self._count = self._learning.examples, self._learning.count
        self._batch_size = min(config.batch_size, self._count)
        self._schedule = make_schedule(config, self._count / self._batch_size)
        spans = config.task == "spans"
        self._score = score if spans else score_tags
        self.monitor = f"dev_{(Scores if spans else TagScores).decides}"
        self.steps = epoch_end(config.epochs, self._count, self._batch_size)

    def loss(self, model: Any, batch: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
        """What is minimized."""
        return self._learning.loss(model, batch, key)

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
    ) -> Training[Any]:
        """The training, to be iterated over; see `jaxbackprop.train.fit`."""
        config = self._config
        optimizer, by_rows = self._learning.updates(self._schedule, self._count / self._batch_size)
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
            trainable=self._learning.trainable,
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
        optimizer, by_rows = self._learning.updates(schedule, self._count / self._batch_size)
        return range_test(
            self._model,
            self.loss,
            self._examples,
            optimizer=optimizer,
            schedule=schedule,
            steps=steps,
            batch_size=self._batch_size,
            seed=config.seed,
            trainable=self._learning.trainable,
            rows=by_rows,
            mesh=self._mesh,
            mask=MASK,
            on_steps=on_steps,
        )

    def learning_rate(self, records: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """The learning rate of a run with these epochs; see `jaxbackprop.train.rates_made`."""
        return rates_made(
            self._schedule,
            records,
            steps_per_epoch=self._count / self._batch_size,
            plateau=self._config.schedule == "plateau",
        )

    def sentences(self, error: Diverged) -> Sequence[int | str]:
        """The training sentences in the batch where the loss was no number."""
        assert error.indices is not None  # batches that are asked for by steps have them
        return self._learning.places(error.indices)

    def test(self, model: Any) -> Scores | TagScores | None:
        """The scores of a model on the test sentences; None where there are none."""
        if not self._corpus.test:
            return None
        return Tagger(self._config, self._encoder, model, self._vectors).evaluate(self._corpus.test)

    def _evaluate(self, model: Any) -> dict[str, float]:
        predicted = self._learning.tag_dev(model)
        scores = self._score([sentence.tags for sentence in self._corpus.dev], predicted)
        return {f"dev_{name}": value for name, value in scores.measures.items()}

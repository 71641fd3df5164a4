"""The training of a window classifier: its epochs, and the best of them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rich.console import Console

from jaxbackprop.data import Corpus, Encoder, batch_indices
from jaxbackprop.models import WindowNER, window_ner_loss
from jaxbackprop.train import (
    Config,
    Progress,
    RowUpdates,
    epoch_end,
    fit,
    make_optimizer,
    make_row_optimizer,
    make_schedule,
    score,
    score_tags,
)

from ._build import as_batch, tag_sentences, trainable

Loss = Callable[[WindowNER, Mapping[str, jax.Array], jax.Array], jax.Array]
# An epoch's metrics by name.
Record = dict[str, float]
# Called before the first step with the model, its loss, the first batch and that step's key.
AtStart = Callable[[WindowNER, Loss, dict[str, np.ndarray], jax.Array], None]

# The curve of the learning rate is drawn through so many points at most.
_POINTS = 2000


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What training came to.

    Attributes:
        records: of all epochs, in order.
        best: the record of the epoch with the best development score.
        model: as it was after that epoch.
        learning_rate: the epochs (fractional) at which the rate was evaluated, and its values.
        seconds: from the first step to the end of the last epoch.
        interruption: what ended training early, or None.
    """

    records: list[Record]
    best: Record
    model: WindowNER
    learning_rate: tuple[np.ndarray, np.ndarray]
    seconds: float
    interruption: BaseException | None


def fit_tagger(
    config: Config,
    model: WindowNER,
    encoder: Encoder,
    corpus: Corpus,
    console: Console,
    at_start: AtStart | None,
) -> Outcome:
    """Trains a model, scores every epoch on development data and keeps the best.

    An interruption after the first epoch ends training as the last epoch would.

    Args:
        config: the settings.
        model: with its initial parameters.
        encoder: words to ids.
        corpus: what to train on, and to choose the epoch by.
        console: where progress is shown.
        at_start: see `AtStart`.

    Raises:
        Diverged: the loss became infinite or nan.
    """
    windows = encoder.encode(corpus.train)
    dev = encoder.encode(corpus.dev, labels=False)
    count = len(windows.labels)
    batch_size = min(config.batch_size, count)
    schedule = make_schedule(config, count / batch_size)
    row_optimizer = make_row_optimizer(config, schedule) if config.tune_vectors else None
    by_rows = None
    if row_optimizer is not None:
        by_rows = RowUpdates(row_optimizer, {("words", "embedding"): "words"}, model.words.padding_id)

    def loss(model: WindowNER, batch: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
        return window_ner_loss(model, batch, config.l2, key=key)

    if at_start is not None:
        rows = batch_indices(config.seed, 0, count=count, batch_size=batch_size)
        batch = {name: entries[rows] for name, entries in as_batch(windows).items()}
        at_start(model, loss, batch, jax.random.fold_in(jax.random.key(config.seed), 0))

    records: list[Record] = []
    best: tuple[Record, dict[str, Any]] | None = None
    interruption: BaseException | None = None
    began = time.perf_counter()
    with Progress(console, epoch_end(config.epochs, count, batch_size)) as progress:
        epochs = fit(
            model,
            loss,
            as_batch(windows),
            optimizer=make_optimizer(config, schedule),
            schedule=schedule,
            batch_size=batch_size,
            epochs=config.epochs,
            seed=config.seed,
            average=config.average,
            trainable=trainable(config),
            rows=by_rows,
            on_steps=progress.steps,
        )
        try:
            for epoch, current in epochs:
                predicted = tag_sentences(current, encoder, dev, decode=config.decode)
                scored = score if config.task == "spans" else score_tags
                scores = scored([sentence.tags for sentence in corpus.dev], predicted)
                measures = {f"dev_{name}": value for name, value in scores.measures.items()}
                record: Record = {**dataclasses.asdict(epoch), **measures}
                decides = f"dev_{scores.decides}"
                is_best = best is None or record[decides] >= best[0][decides]
                if is_best:
                    # A copy: the next step writes over the arrays that `current` holds.
                    best = record, jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(current)))
                records.append(record)
                progress.epoch(epoch, scores, best=is_best)
        except (KeyboardInterrupt, SystemExit, BrokenPipeError) as error:
            if best is None:
                raise
            if best[0] not in records:
                records.append(best[0])
            interruption = error
    assert best is not None  # there is at least one epoch
    seconds = time.perf_counter() - began

    record, parameters = best
    graphdef, state = nnx.split(model)
    nnx.replace_by_pure_dict(state, jax.tree.map(jnp.asarray, parameters))
    steps = np.unique(np.linspace(0, records[-1]["step"] - 1, _POINTS).astype(np.int32))
    rates = np.asarray(jax.jit(jax.vmap(schedule))(steps))
    learning_rate = (steps + 1) * (batch_size / count), rates
    return Outcome(records, record, nnx.merge(graphdef, state), learning_rate, seconds, interruption)

"""What a training is to do, and what an epoch of it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optax
from flax import nnx
from jax.sharding import Mesh

from ._batches import Batches
from ._figures import as_json
from ._plateau import Plateau
from ._rows import RowUpdates
from ._schedules import Schedule
from ._step import Loss


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to.

    Attributes:
        epoch: the epoch, counted from 1.
        step: updates made in all.
        loss: mean loss of the epoch's batches.
        lr: learning rate of the last update; None without a schedule.
        metrics: means of the loss's auxiliary scalars, and what `evaluate` found, by name.
        best: whether it is the best so far.
    """

    epoch: int
    step: int
    loss: float
    lr: float | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    best: bool = False

    def record(self) -> dict[str, Any]:
        """The figures as a line of metrics.jsonl holds them; None is a metric that is nan or infinite."""
        rate = {} if self.lr is None else {"lr": self.lr}
        return {"epoch": self.epoch, "step": self.step, "loss": self.loss, **rate, **as_json(self.metrics)}


@dataclass(frozen=True)
class Plan:
    """How a model is to be trained; see `fit`, which makes one.

    Attributes:
        loss: (model, batch, key) -> scalar, or (scalar, auxiliary results).
        optimizer: optax's transformation.
        batches: where the batches come from.
        epochs: passes over the data.
        seed: of batches and of the loss's keys.
        schedule: step -> learning rate, for the record.
        plateau: what lowers the learning rate where epochs are no better, or None.
        average: decay of the running average of the parameters, or 0.
        trainable: an nnx filter of what is trained.
        rows: the tables that are trained by rows, if any.
        mesh: the devices that the work is split over, or None for one.
        mask: the entry of a batch that tells examples from padding, or None.
        evaluate: model -> figures by name, after each epoch.
        on_steps: called with steps made, mean loss and learning rate.
        on_epoch: called with each epoch.
        warn: told, in one line, what is odd.
    """

    loss: Loss
    optimizer: optax.GradientTransformation
    batches: Batches
    epochs: int
    seed: int
    schedule: Schedule | None
    plateau: Plateau | None
    average: float
    trainable: nnx.filterlib.Filter
    rows: RowUpdates | None
    mesh: Mesh | None
    mask: str | None
    evaluate: Callable[[Any], Mapping[str, float]] | None
    on_steps: Callable[[int, float, float | None], None] | None
    on_epoch: Callable[[Epoch], None] | None
    warn: Callable[[str], None]

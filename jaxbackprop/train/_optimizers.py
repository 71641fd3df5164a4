"""optax's optimizers and the learning-rate schedules of the lecture, by name."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxbackprop.optim import cyclic_schedule, rows

from ._config import Config

Schedule = Callable[[ArrayLike], Float[Array, "..."]]

# Updates are counted in int32; a period beyond that is never completed.
_LONGEST = 2**31 - 1


def make_schedule(config: Config, steps_per_epoch: float) -> Schedule:
    """The learning rate as a function of the number of updates made so far.

    - ``constant``: lr.
    - ``halving``: lr (1/2)^floor(epochs / halve_every).
    - ``exponential``: lr exp(-decay epochs).
    - ``cyclic``: :func:`jaxbackprop.optim.cyclic_schedule` between base_lr and lr, ``cycle_epochs`` a cycle.

    Epochs are counted as updates / steps_per_epoch; they need not be whole.

    Args:
        config: the settings.
        steps_per_epoch: updates in one pass over the training words, at least 1; it need not be whole.

    Returns:
        A function step -> learning rate, of integers of any shape, that works under jit.

    Source: lecture, unit 3 "Learning Rate"; Smith 2017, arXiv:1506.01186.
    """
    if steps_per_epoch < 1:
        raise ValueError(f"steps_per_epoch must be at least 1, not {steps_per_epoch:g}")
    match config.schedule:
        case "constant":
            return lambda step: jnp.full(jnp.shape(step), config.lr, jnp.float32)
        case "halving":
            every = min(_LONGEST, max(1, round(config.halve_every * steps_per_epoch)))
            return lambda step: config.lr * jnp.exp2(-(jnp.asarray(step) // every).astype(jnp.float32))
        case "exponential":
            rate = config.decay / steps_per_epoch
            return lambda step: config.lr * jnp.exp(-rate * jnp.asarray(step).astype(jnp.float32))
        case "cyclic":
            cycle = min(_LONGEST, max(2, round(config.cycle_epochs * steps_per_epoch)))
            return cyclic_schedule(
                config.base_lr,
                config.lr,
                cycle // 2,
                cycle - cycle // 2,
                mode=config.cyclic_mode,
                gamma=config.gamma,
            )
    raise ValueError(f"--schedule {config.schedule!r} is unknown")


def make_optimizer(config: Config, schedule: Schedule) -> optax.GradientTransformation:
    """The optimizer of optax that has the configured name, driven by a schedule.

    Args:
        config: the settings.
        schedule: step -> learning rate.

    Returns:
        An optax gradient transformation.
    """
    match config.optimizer:
        case "sgd":
            return optax.sgd(schedule)
        case "momentum":
            return optax.sgd(schedule, momentum=config.momentum)
        case "adam":
            return optax.adam(schedule)
        case "radam":
            return optax.radam(schedule)
        case "adagrad":
            return optax.adagrad(schedule)
        case "rmsprop":
            return optax.rmsprop(schedule)
    raise ValueError(f"--optimizer {config.optimizer!r} is unknown")


def make_row_optimizer(config: Config, schedule: Schedule) -> optax.GradientTransformation | None:
    """The optimizer of that name that updates only the rows of a table that a batch looks up.

    sgd and adagrad follow the trajectory of the dense update exactly. adam is lazy: a word that does not
    occur in a batch keeps its vector and its running means (:func:`jaxbackprop.optim.rows.lazy_adam`).

    Args:
        config: the settings.
        schedule: step -> learning rate.

    Returns:
        A gradient transformation, or None for momentum, radam and rmsprop, which move every row in every
        step: the table is then updated as a whole.
    """
    match config.optimizer:
        case "sgd":
            return rows.sgd(schedule)
        case "adagrad":
            return rows.adagrad(schedule)
        case "adam":
            return rows.lazy_adam(schedule)
    return None

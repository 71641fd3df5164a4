"""The learning-rate schedules of the lecture by name, and the momentum that goes against the cyclic one."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxbackprop.optim import cyclic_schedule

from ._config import Config

Schedule = Callable[[ArrayLike], Float[Array, "..."]]

# Updates are counted in int32; a period beyond that is never completed.
_LONGEST = 2**31 - 1


def make_schedule(config: Config, steps_per_epoch: float) -> Schedule:
    """The learning rate as a function of the number of updates made so far.

    - ``constant`` and ``plateau``: lr; the latter is lowered by what training comes to (`Plateau`).
    - ``halving``: lr (1/2)^floor(epochs / halve_every).
    - ``exponential``: lr exp(-decay epochs).
    - ``cosine``: min_lr + (lr - min_lr) (1 + cos(π epochs / all epochs)) / 2.
    - ``cyclic``: :func:`jaxbackprop.optim.cyclic_schedule` between base_lr and lr, ``cycle_epochs`` a cycle.

    None of them but the cyclic one, which has base_lr, falls below min_lr. Before all of this, over
    ``warmup_epochs``, the rate rises on a straight line from 0 to where the schedule begins; the schedule's
    epochs are counted from there.

    Epochs are counted as updates / steps_per_epoch; they need not be whole.

    Args:
        config: the settings.
        steps_per_epoch: updates in one pass over the training words, at least 1; it need not be whole.

    Returns:
        A function step -> learning rate, of integers of any shape, that works under jit.

    Source: lecture, unit 3 "Learning Rate"; Smith 2017, arXiv:1506.01186; Loshchilov and Hutter 2017,
        arXiv:1608.03983 (cosine); Goyal et al. 2017, arXiv:1706.02677 (warm-up).
    """
    if steps_per_epoch < 1:
        raise ValueError(f"steps_per_epoch must be at least 1, not {steps_per_epoch:g}")
    warmup = _in_steps(config.warmup_epochs, steps_per_epoch, least=0)
    schedule = _without_warmup(config, steps_per_epoch, warmup)
    if warmup == 0:
        return schedule

    def warmed(step: ArrayLike) -> Float[Array, "..."]:
        count = jnp.asarray(step)
        share = jnp.minimum(count, warmup).astype(jnp.float32) / warmup
        return schedule(jnp.maximum(count - warmup, 0)) * share

    return warmed


def make_momentum(config: Config, steps_per_epoch: float) -> Schedule | None:
    """The momentum as a function of the number of updates made so far, where it is to change.

    It falls from ``momentum`` to ``base_momentum`` as the cyclic learning rate rises from base_lr to lr, and
    rises as that falls: what a steady gradient moves, lr / (1 - momentum), then swings less.

    Args:
        config: the settings.
        steps_per_epoch: updates in one pass over the training words.

    Returns:
        A function step -> momentum; None where ``base_momentum`` is not set.

    Source: Smith 2018, arXiv:1803.09820.
    """
    if config.base_momentum is None:
        return None
    low, high = config.base_momentum, config.momentum
    warmup = _in_steps(config.warmup_epochs, steps_per_epoch, least=0)
    height = _cyclic(config, steps_per_epoch, 0.0, 1.0)
    return lambda step: high - (high - low) * height(jnp.maximum(jnp.asarray(step) - warmup, 0))


def _without_warmup(config: Config, steps_per_epoch: float, warmup: int) -> Schedule:
    lr, least = config.lr, config.min_lr

    def bounded(schedule: Schedule) -> Schedule:
        return schedule if least == 0 else lambda step: jnp.maximum(schedule(step), jnp.float32(least))

    match config.schedule:
        case "constant" | "plateau":
            return lambda step: jnp.full(jnp.shape(step), lr, jnp.float32)
        case "halving":
            every = _in_steps(config.halve_every, steps_per_epoch, least=1)
            return bounded(lambda step: lr * jnp.exp2(-(jnp.asarray(step) // every).astype(jnp.float32)))
        case "exponential":
            rate = config.decay / steps_per_epoch
            return bounded(lambda step: lr * jnp.exp(-rate * jnp.asarray(step).astype(jnp.float32)))
        case "cosine":
            total = max(1, _in_steps(config.epochs, steps_per_epoch, least=1) - warmup)

            def cosine(step: ArrayLike) -> Float[Array, "..."]:
                part = jnp.minimum(jnp.asarray(step), total).astype(jnp.float32) / total
                # Both ends come out exactly.
                high = (1 + jnp.cos(math.pi * part)) / 2
                return least * (1 - high) + lr * high

            return cosine
        case "cyclic":
            return _cyclic(config, steps_per_epoch, config.base_lr, lr)
    raise ValueError(f"--schedule {config.schedule!r} is unknown")


def _cyclic(config: Config, steps_per_epoch: float, low: float, high: float) -> Schedule:
    cycle = _in_steps(config.cycle_epochs, steps_per_epoch, least=2)
    return cyclic_schedule(
        low, high, cycle // 2, cycle - cycle // 2, mode=config.cyclic_mode, gamma=config.gamma
    )


def _in_steps(epochs: float, steps_per_epoch: float, *, least: int) -> int:
    return min(_LONGEST, max(least, round(epochs * steps_per_epoch)))

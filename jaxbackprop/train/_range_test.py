"""Smith's range test: the loss under a learning rate that grows with every update."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ._batches import BatchesBySteps, on_host
from ._mesh import make_mesh
from ._placement import place
from ._rows import RowUpdates
from ._schedules import Schedule
from ._sources import make_batches
from ._step import Loss, init_state, make_step

# Of a running mean of the losses, by which divergence is told: some ten of them count.
_KEPT = 0.9
# A running mean that is so many times the lowest before has diverged.
_GROWN = 4.0
# Part of the updates over which the mean is taken that rates are read from; centred, so that it does not lag.
_WINDOW = 0.05
# Part of its whole fall after which the loss has begun to fall.
_BEGUN = 0.1
# A fall of so many standard deviations of a loss around the mean is one.
_NOISES = 2.0


@dataclass(frozen=True)
class RangeTest:
    """What a range test has found.

    Attributes:
        rates: the learning rate of each update.
        losses: the loss of its batch, before the update; finite.
        smoothed: the mean of the losses around it.
        base: the suggested lowest rate of a cycle; None where the loss does not fall.
        peak: the suggested highest rate; None likewise.
        diverged: whether it ended because the loss grew, before all updates were made.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    base: float | None
    peak: float | None
    diverged: bool

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON holds it."""
        return asdict(self)


def growing_rate(low: float, high: float, steps: int) -> Schedule:
    """The learning rate low (high / low)^(t / (steps - 1)) of update t, counted from 0.

    Smith's grows on a straight line. That tries rates of one size alone, nearly all of its updates lie in
    the highest decade, while what is sought may be anywhere in several; so each decade gets as many here.

    Args:
        low: of the first update, above 0.
        high: of the last.
        steps: updates.
    """
    growth = math.log(high / low) / max(1, steps - 1)

    def schedule(step: ArrayLike) -> Float[Array, "..."]:
        return low * jnp.exp(growth * jnp.asarray(step).astype(jnp.float32))

    return schedule


def range_test(
    model: nnx.Module,
    loss: Loss,
    data: Any,
    *,
    optimizer: optax.GradientTransformation,
    schedule: Schedule,
    steps: int,
    batch_size: int,
    seed: int = 0,
    trainable: nnx.filterlib.Filter = nnx.Param,
    rows: RowUpdates | None = None,
    mesh: Mesh | Mapping[str, int] | None = None,
    mask: str | None = None,
    on_steps: Callable[[int, float, float], None] | None = None,
) -> RangeTest:
    """Trains with a learning rate that grows with every update, until the loss diverges.

    Args:
        model: with initial parameters; it is copied, not changed.
        loss: as in `fit`; at least 0.
        data: a pytree of arrays with one row an example, or an indexed source; see `fit`.
        optimizer: driven by the schedule.
        schedule: see `growing_rate`.
        steps: updates at most.
        batch_size: examples a batch.
        seed: of batches and keys.
        trainable: an nnx filter of what is trained.
        rows: the tables that are trained by rows, driven by the schedule too.
        mesh: the devices that the work is split over; see `fit`.
        mask: the entry of a batch that tells examples from padding; see `fit`.
        on_steps: called after each update with how many were made, its loss and its learning rate.

    Returns:
        The losses by rate, and the rates that `suggest` reads from them.

    Source: Smith 2017, arXiv:1506.01186, section 3.3.
    """
    graphdef, *states = nnx.split(model, trainable, nnx.Not(nnx.Param), ...)
    params, variables, constants = states
    devices, init = make_mesh(mesh), partial(init_state, optimizer=optimizer, rows=rows)
    placement = place(devices, init, params, variables, constants, rows, mask)
    step = make_step(graphdef, loss, optimizer, jax.random.key(seed), rows=rows, placement=placement)
    state = placement.begin()
    as_array = jnp.asarray if devices is None else on_host
    batches = make_batches(
        data, batch_size=batch_size, epochs=1, seed=seed, steps_per_epoch=None, as_array=as_array
    )
    assert isinstance(batches, BatchesBySteps)
    rates = np.asarray(jax.vmap(schedule)(jnp.arange(steps, dtype=jnp.int32))).astype(float).tolist()
    losses: list[float] = []
    mean, lowest, diverged = 0.0, math.inf, False
    while len(losses) < steps and not diverged:
        batch = placement.batch(batches.at(len(losses)))
        state = step(state, placement.constants, *batch)
        placement.pace(state)
        value = float(state.loss_sum)
        if not math.isfinite(value):
            diverged = True
            break
        state = state._replace(loss_sum=placement.zero(), aux={})
        losses.append(value)
        mean = _KEPT * mean + (1 - _KEPT) * value
        now = mean / (1 - _KEPT ** len(losses))
        diverged = now > _GROWN * lowest
        lowest = min(lowest, now)
        if on_steps is not None:
            on_steps(len(losses), value, rates[len(losses) - 1])
    rates = rates[: len(losses)]
    smoothed = _smoothed(losses, steps)
    base, peak = suggest(rates, losses, smoothed) or (None, None)
    return RangeTest(tuple(rates), tuple(losses), smoothed, base, peak, diverged)


def suggest(
    rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float]
) -> tuple[float, float] | None:
    """The lowest and the highest rate of a cycle, read from a range test.

    Smith takes the rate where the score begins to get better, and that where it slows, becomes ragged or
    gets worse. Here

    - lowest: the first rate at which the smoothed loss has made a tenth of its fall, but at most a quarter of
      the highest (Smith: a third or a quarter of it);
    - highest: half the rate at which the smoothed loss is lowest. Beyond that rate it rises; near a minimum
      of curvature c it falls under rates below 2/c, and the fastest under half of that. And the test is
      short: a rate at which its loss is just bearable does not stay so over a whole training.

    Args:
        rates: of the updates, growing.
        losses: of each.
        smoothed: the means around each.

    Returns:
        (lowest, highest), or None where the loss falls by no more than its noise, or there is none.
    """
    if len(losses) == 0:
        return None
    at = int(np.argmin(smoothed))
    fall = smoothed[0] - smoothed[at]
    noise = float(np.std(np.subtract(losses, smoothed)[: at + 1]))
    if not fall > _NOISES * noise:
        return None
    begun = int(np.argmax(np.asarray(smoothed) <= smoothed[0] - _BEGUN * fall))
    highest = rates[at] / 2
    return min(rates[begun], highest / 4), highest


def _smoothed(losses: Sequence[float], steps: int) -> tuple[float, ...]:
    reach = max(1, round(_WINDOW * steps / 2))
    return tuple(float(np.mean(losses[max(0, at - reach) : at + reach + 1])) for at in range(len(losses)))

"""The window classifier trained many times and in memory: one compilation serves every seed and rate."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxbackprop import ops
from jaxbackprop.data import batch_indices
from jaxbackprop.models import WindowNER, window_ner_loss
from jaxbackprop.train import (
    Config,
    TrainState,
    epoch_end,
    init_state,
    make_plateau,
    make_schedule,
    make_step,
)

from ._build import make_updates, trainable

# Of the settings, those that a compiled run takes as arguments.
_ARGUMENTS = (
    *("seed", "epochs", "l2", "lr", "base_lr", "min_lr", "schedule", "warmup_epochs", "cycle_epochs"),
    *("halve_every", "decay", "plateau_monitor", "plateau_patience"),
    *("train", "dev", "test", "columns", "scheme", "task", "vectors", "min_count", "decode"),
)
# A program is compiled for a schedule of a multiple of so many updates.
_STEPS = 1024


@dataclass(frozen=True, eq=False)
class InMemoryRun:
    """What a training came to.

    Attributes:
        model: with its parameters (averaged, where they are) of the last epoch.
        losses: mean loss of each epoch, with dropout and penalty, in nats.
        diverged: whether a loss was no number.
    """

    model: WindowNER
    losses: tuple[float, ...]
    diverged: bool


def train_in_memory(
    config: Config,
    model: WindowNER,
    examples: Mapping[str, jax.Array],
    *,
    count: int | None = None,
    measure: Callable[[WindowNER], dict[str, float]] = lambda model: {},
) -> InMemoryRun:
    """Trains as `jaxbackprop train` does with these settings, without a folder and to the last epoch.

    Args:
        config: the settings; those that differ in the seed or the learning rate share a compiled program.
        model: with its initial parameters, which stay as they are.
        examples: see `as_batch`; arrays of C rows.
        count: rows that there really are; the others fill up and are never drawn. None for all.
        measure: figures of an epoch, asked for where the schedule watches them.
    """
    count = len(examples["labels"]) if count is None else count
    batch_size = min(config.batch_size, count)
    ends = [epoch_end(epoch, count, batch_size) for epoch in range(config.epochs + 1)]
    padded = -(-ends[-1] // _STEPS) * _STEPS
    indices = np.zeros((padded, batch_size), np.int32)
    for step in range(ends[-1]):
        indices[step] = batch_indices(config.seed, step, count=count, batch_size=batch_size)
    planned = np.asarray(make_schedule(config, count / batch_size)(np.arange(padded)), np.float32)
    plateau = make_plateau(config)

    graphdef, *states = nnx.split(model, trainable(config), nnx.Not(nnx.Param), ...)
    params, variables, constants = states
    # Only a momentum that changes depends on how many updates an epoch has.
    steps_per_epoch = count / batch_size if config.base_momentum is not None else 1.0
    program = _program(compiled_settings(config), graphdef, steps_per_epoch, model.words.padding_id)
    state, losses = program.begin(params, variables), np.zeros(0, np.float32)

    def merged(state: TrainState) -> WindowNER:
        shown = state.params if state.average is None else state.average
        model: WindowNER = nnx.merge(graphdef, shown, state.variables, constants)
        return model

    given = constants, np.float32(config.l2), jax.random.key(config.seed), dict(examples), indices
    for begin, end in itertools.pairwise(ends):
        rates = planned if plateau is None else planned * np.float32(plateau.scale(begin))
        state, made = program.epoch(state, rates, begin, end, *given)
        losses = np.append(losses, made[begin:end])
        if plateau is not None:
            plateau.judge({"loss": float(losses[begin:end].mean()), **measure(merged(state))}, end)
    by_epoch = tuple(float(losses[begin:end].mean()) for begin, end in itertools.pairwise(ends))
    return InMemoryRun(merged(state), by_epoch, not bool(np.isfinite(losses).all()))


def compiled_settings(config: Config) -> Config:
    """The settings that `train_in_memory` compiles for; those that may change are at their defaults."""
    fixed = {name: value for name, value in config.to_dict().items() if name not in _ARGUMENTS}
    return Config(**fixed)


class _Program(NamedTuple):
    begin: Callable[..., TrainState]
    epoch: Callable[..., tuple[TrainState, jax.Array]]


@functools.cache
def _program(
    fixed: Config, graphdef: nnx.GraphDef[WindowNER], steps_per_epoch: float, padding_id: int | None
) -> _Program:
    """The start of a run, and an epoch of it, as compiled functions."""

    @jax.jit
    def begin(params: nnx.State, variables: nnx.State) -> TrainState:
        optimizer, rows = make_updates(fixed, lambda step: jnp.float32(0), steps_per_epoch, padding_id)
        return init_state(params, optimizer, variables=variables, average=fixed.average, rows=rows)

    @jax.jit
    def epoch(
        state: TrainState,
        rates: jax.Array,
        first: int,
        last: int,
        constants: nnx.State,
        l2: jax.Array,
        key: jax.Array,
        data: dict[str, jax.Array],
        indices: jax.Array,
    ) -> tuple[TrainState, jax.Array]:
        def schedule(step: Any) -> jax.Array:
            return rates[step]

        def loss(model: WindowNER, batch: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
            penalty = ops.l2(nnx.to_pure_dict(nnx.state(model, nnx.Param)), l2)
            return window_ner_loss(model, batch, 0.0, key=key) + penalty

        optimizer, rows = make_updates(fixed, schedule, steps_per_epoch, padding_id)
        step = make_step(graphdef, loss, optimizer, key, average=fixed.average, rows=rows)

        def advance(at: jax.Array, carried: tuple[TrainState, jax.Array]) -> tuple[TrainState, jax.Array]:
            state, losses = carried
            state = step(state, constants, data, indices[at])
            losses = losses.at[at].set(jnp.where(state.bad_step < 0, state.loss_sum, jnp.nan))
            return state._replace(aux={}, loss_sum=jnp.zeros((), jnp.float32)), losses

        made: tuple[TrainState, jax.Array] = jax.lax.fori_loop(
            first, last, advance, (state, jnp.zeros(len(rates), jnp.float32))
        )
        return made

    return _Program(begin, epoch)

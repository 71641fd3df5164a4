"""The training loop: one pure, donated step under jit, and an epoch's bookkeeping around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxbackprop.data import batch_indices

from ._optimizers import Schedule
from ._rows import Batch, RowUpdates

Model = TypeVar("Model", bound=nnx.Module)
Loss = Callable[[Any, Batch, jax.Array], Float[Array, ""]]
_READ_EVERY = 100


class Diverged(FloatingPointError):
    """The loss is no longer a number."""


class TrainState(NamedTuple):
    """All that a step changes; its buffers are given to the next step.

    Attributes:
        step: updates made so far, int32.
        params: the trained parameters, as nnx.split gives them.
        average: running average of the parameters, or None where none is kept.
        opt_state: the optimizer's state for those parameters.
        loss_sum: sum of the losses since it was last read, float32.
    """

    step: Int[Array, ""]
    params: nnx.State
    average: nnx.State | None
    opt_state: optax.OptState
    loss_sum: Float[Array, ""]


class Step(Protocol):
    """One update; the state passed in is used up."""

    def __call__(
        self, state: TrainState, constants: nnx.State, data: Batch, indices: ArrayLike
    ) -> TrainState:
        """Makes one update."""
        ...


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to.

    Attributes:
        epoch: the epoch, counted from 1.
        step: updates made in all.
        loss: mean loss of the epoch's batches.
        lr: learning rate of the last update.
    """

    epoch: int
    step: int
    loss: float
    lr: float


def init_state(
    params: nnx.State,
    optimizer: optax.GradientTransformation,
    *,
    average: float = 0.0,
    rows: RowUpdates | None = None,
) -> TrainState:
    """The state before the first step; see `make_step` for the arguments. Copies the parameters."""

    @jax.jit  # one program, rather than one for the shape of every parameter
    def init(params: nnx.State) -> TrainState:
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=jax.tree.map(jnp.copy, params),
            average=jax.tree.map(jnp.copy, params) if average else None,
            opt_state=optimizer.init(params)
            if rows is None
            else rows.beside(optimizer).init(rows.split(params)),
            loss_sum=jnp.zeros((), jnp.float32),
        )

    state: TrainState = init(params)
    return state


def make_step(
    graphdef: nnx.GraphDef[Any],
    loss: Loss,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    average: float = 0.0,
    rows: RowUpdates | None = None,
) -> Step:
    """Compiles one update of the parameters.

    The step is a pure function of (state, constants, data, indices): the randomness of step t comes from
    ``fold_in(key, t)``, so nothing but the state needs to be kept to go on from it.

    Args:
        graphdef: the model's structure, from ``nnx.split(model, trainable, ...)``.
        loss: (model, batch, key) -> scalar.
        optimizer: optax's transformation.
        key: the run's random key.
        average: decay d of the running average a <- d a + (1 - d) params, below 1; 0 keeps none. The first
            updates are averaged with the smaller decay (1 + t) / (10 + t), so that the initial parameters
            are soon forgotten.
        rows: the tables that are trained by the rows that a batch looks up, if any; the optimizer is then
            that of the other parameters.

    Returns:
        A jitted function that donates the state's buffers. ``constants`` is the rest of the model, for
        which no gradient and no optimizer state exist; ``data`` maps names to arrays with one row an
        example; ``indices`` picks the rows of the batch.
    """

    def step(state: TrainState, constants: nnx.State, data: Batch, indices: Array) -> TrainState:
        batch = {name: examples[indices] for name, examples in data.items()}
        step_key = jax.random.fold_in(key, state.step)

        def objective(params: nnx.State, batch: Batch) -> Array:
            return loss(nnx.merge(graphdef, params, constants), batch, step_key)

        if rows is not None:
            value, params, opt_state = rows.step(
                rows.beside(optimizer), objective, state.params, state.opt_state, batch
            )
        else:
            value, grads = jax.value_and_grad(objective)(state.params, batch)
            # optax multiplies counts by floats, which strict promotion would refuse.
            with jax.numpy_dtype_promotion("standard"):
                updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)
        running = state.average
        if average:
            t = state.step.astype(jnp.float32)
            fresh = 1 - jnp.minimum(average, (1 + t) / (10 + t))
            running = jax.tree.map(lambda a, p: a + fresh.astype(a.dtype) * (p - a), running, params)
        loss_sum = state.loss_sum + value.astype(jnp.float32)
        return TrainState(state.step + 1, params, running, opt_state, loss_sum)

    return jax.jit(step, donate_argnums=0)


def fit(
    model: Model,
    loss: Loss,
    data: dict[str, np.ndarray],
    *,
    optimizer: optax.GradientTransformation,
    schedule: Schedule,
    batch_size: int,
    epochs: int,
    seed: int,
    average: float = 0.0,
    trainable: nnx.filterlib.Filter = nnx.Param,
    rows: RowUpdates | None = None,
    on_steps: Callable[[int, float, float], None] | None = None,
) -> Iterator[tuple[Epoch, Model]]:
    """Trains a model, and hands it over after every epoch.

    The loss is summed on the device and read once in a hundred steps. The batches, the dropout masks and
    so the parameters depend on the seed and on nothing else (on one machine, with one version of jax and
    one number of threads, to the last bit).

    Args:
        model: the model; its parameters are copied, not changed.
        loss: (model, batch, key) -> scalar.
        data: the training examples, one row an example in every array.
        optimizer: optax's transformation.
        schedule: step -> learning rate, for the record.
        batch_size: examples a batch, at most all of them.
        epochs: passes over the examples.
        seed: of batches and dropout.
        average: decay of the running average of the parameters, or 0 for none; see `make_step`.
        trainable: an nnx filter of what is trained.
        rows: the tables that are trained by rows, if any; see `make_step`.
        on_steps: called with the steps made so far, the mean loss since the last call and the learning rate.

    Yields:
        After each epoch, its record and the model as it is now, with averaged parameters where they are
        kept. The model's arrays are the training state's own: use them before asking for the next epoch,
        which overwrites them.

    Raises:
        Diverged: the loss is nan or infinite.
        ValueError: no example, or fewer than a batch.
    """
    count = min((len(examples) for examples in data.values()), default=0)
    if count == 0:
        raise ValueError("data holds no example to train on")
    if not 1 <= batch_size <= count:
        raise ValueError(f"batch_size must be in [1, {count}], the number of examples, not {batch_size}")
    graphdef, *states = nnx.split(model, trainable, ...)
    params, constants = states
    state = init_state(params, optimizer, average=average, rows=rows)
    step = make_step(graphdef, loss, optimizer, jax.random.key(seed), average=average, rows=rows)
    rate = jax.jit(schedule)
    on_device = {name: jnp.asarray(examples) for name, examples in data.items()}
    at = 0
    for epoch in range(1, epochs + 1):
        begin, read_at, total = at, at, 0.0
        end = epoch_end(epoch, count, batch_size)
        while at < end:
            indices = batch_indices(seed, at, count=count, batch_size=batch_size)
            state = step(state, constants, on_device, indices)
            at += 1
            if at % _READ_EVERY == 0 or at == end:
                recent = float(state.loss_sum)
                if not math.isfinite(recent):
                    raise Diverged(f"the loss is {recent} by step {at}: a lower --lr may help")
                state = state._replace(loss_sum=jax.device_put(np.float32(0)))
                total += recent
                if on_steps is not None:
                    on_steps(at, recent / (at - read_at), float(rate(at - 1)))
                read_at = at
        record = Epoch(epoch, at, total / (at - begin), float(rate(at - 1)))
        shown = state.average if average else state.params
        yield record, nnx.merge(graphdef, shown, constants)


def epoch_end(epoch: int, count: int, batch_size: int) -> int:
    """Updates made by the end of an epoch, whose last batch may reach into the next."""
    return -(-epoch * count // batch_size)

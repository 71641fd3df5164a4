"""The training loop: epochs of steps, what is read of them, what is kept of them, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from functools import partial
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ._agreed_stop import AgreedStop
from ._batches import Batch, BatchesBySteps
from ._checkpoint import Checkpoints
from ._divergence import Diverged, first_bad_step
from ._figures import named_figures
from ._hosts import current_hosts
from ._indexed import IndexedBatches
from ._machine import describe_machine
from ._placement import place
from ._plan import Epoch, Plan
from ._position import Position, refuse_other
from ._run import INTERRUPTED, RunFolder
from ._selection import Selection
from ._step import TrainState, init_state, make_step
from ._stop import Deferred
from ._tree import sha256_of

Model = TypeVar("Model", bound=nnx.Module)
_READ_EVERY = 100
# A loss that is so many times the lowest before is said.
_GROWN = 1000


class Training(Generic[Model]):
    """A model in training, as an iterator: what `fit` returns."""

    def __init__(
        self,
        model: Model,
        plan: Plan,
        selection: Selection,
        run: RunFolder | None,
        *,
        save_every: int | None,
        keep: int,
        settings: Mapping[str, Any],
        contexts: Sequence[AbstractContextManager[Any]] = (),
        at_end: Callable[[Training[Model]], None] | None = None,
    ) -> None:
        graphdef, *states = nnx.split(model, plan.trainable, nnx.Not(nnx.Param), ...)
        params, variables, constants = states
        self._graphdef: nnx.GraphDef[Model] = graphdef
        self._plan, self._selection, self._run, self._save_every = plan, selection, run, save_every
        self._key = jax.random.key(plan.seed)
        self._rate = None if plan.schedule is None else jax.jit(plan.schedule)
        init = partial(init_state, optimizer=plan.optimizer, average=plan.average, rows=plan.rows)
        self._hosts = current_hosts()
        # An array of one process's devices alone is not saved where several are: NumPy's are.
        self._constants = jax.tree.map(_on_host, constants) if self._hosts.count > 1 else constants
        self._place = place(plan.mesh, init, params, variables, constants, plan.rows, plan.mask, plan.warn)
        if isinstance(plan.batches, IndexedBatches):
            plan.batches.part = self._place.part(plan.batches.batch_size)
        self._step = make_step(
            graphdef,
            plan.loss,
            plan.optimizer,
            self._key,
            average=plan.average,
            rows=plan.rows,
            placement=self._place,
        )
        self._checkpoints = None if run is None else Checkpoints(run.path, keep, plan.warn)
        self._agreed: AgreedStop | None = None
        # Looked at once: it asks the versions of packages of the disk.
        self._machine = {} if run is None else describe_machine(plan.mesh)
        self._at = Position(settings=dict(settings))
        # The auxiliary scalars of the steps since the losses were last read.
        self._aux: list[dict[str, Any]] = []
        self._state = self._place.begin()
        self._best: dict[str, Any] | None = None
        self._lowest, self._timed, self._seconds = math.inf, 0, 0.0
        self._contexts, self._at_end = contexts, at_end
        self._generator = self._epochs()

    def __iter__(self) -> Iterator[tuple[Epoch, Model]]:
        return self

    def __next__(self) -> tuple[Epoch, Model]:
        return next(self._generator)

    def close(self) -> None:
        """Ends training here; a run can go on from what has been saved."""
        self._generator.close()

    @property
    def records(self) -> list[dict[str, Any]]:
        """The figures of all epochs so far, also of those before the run was resumed."""
        return self._at.records

    @property
    def best(self) -> dict[str, Any] | None:
        """The figures of the best epoch so far; without `monitor`, of the last."""
        return self._selection.best

    @property
    def best_model(self) -> Model:
        """The model as it was after the best epoch so far."""
        best = self._place.whole(_as_best, self._state) if self._best is None else self._best
        return self._model(best["params"], best["variables"])

    @property
    def parameters_sha256(self) -> str:
        """A checksum of the parameters after the last step: of all leaves, in order."""
        return sha256_of(self._place.whole(lambda state: state.params, self._state))

    @property
    def steps_per_second(self) -> float | None:
        """Updates a second in this process, without compilation and evaluation; None after one step."""
        return self._timed / self._seconds if self._seconds else None

    def compiled(self) -> jax.stages.Compiled:
        """The program of a step: what it costs (cost_analysis, memory_analysis), and says (as_text).

        Raises:
            TypeError: the batches are a stream, of which none is there to compile for.
        """
        batches = self._plan.batches
        if not isinstance(batches, BatchesBySteps):
            raise TypeError("a stream of batches has none to compile for before it is asked for one")
        batch = self._place.batch(batches.at(0))
        arguments = self._state, self._place.constants, *batch, *self._scale(0)
        return self._step.lower(*arguments).compile()

    def restore(self) -> None:
        """Goes on from the newest checkpoint of the run that is whole, if there is one.

        Raises:
            RunError: it is of another configuration, or none is readable.
        """
        assert self._run is not None
        assert self._checkpoints is not None
        found = self._checkpoints.newest(self._arrays())
        if found is not None:
            arrays, position = found
            at = Position.from_dict(position)
            refuse_other(at, self._at.settings, self._machine, self._plan.warn)
            self._at, self._aux = at, at.unread
            self._state = self._place.put(arrays["state"]._replace(aux={}))
            self._best = arrays["best"]
            self._selection.restore(at.selection)
            if self._plan.plateau is not None and at.plateau is not None:
                self._plan.plateau.restore(at.plateau)
            self._plan.batches.restore(at.batches)
        self._run.write_metrics(self._at.records)

    def _epochs(self) -> Generator[tuple[Epoch, Model]]:
        with ExitStack() as stack:
            for context in self._contexts:
                stack.enter_context(context)
            if self._checkpoints is not None:
                stack.enter_context(closing(self._checkpoints))
            if self._hosts.count > 1:
                stack.enter_context(self._hosts.explained())
                self._agreed = stack.enter_context(closing(self._hosts.agreed_stop(self._at.step)))
                if self._checkpoints is not None:
                    self._hosts.on_end(tidy=self._checkpoints.complete)
            while self._at.epoch <= self._plan.epochs and not self._selection.exhausted:
                if not self._at.ended:
                    self._steps()
                epoch, model = self._evaluated()
                self._at.next_epoch()
                if self._plan.on_epoch is not None:
                    self._plan.on_epoch(epoch)
                yield epoch, model
            if self._checkpoints is not None:
                self._checkpoints.wait()
            if self._at_end is not None:
                self._at_end(self)

    def _steps(self) -> None:
        """Makes the steps that the epoch still lacks."""
        at, plan = self._at, self._plan
        began = None
        with Deferred(self._agreed) if self._run is not None else nullcontext() as stop:
            scale = self._scale(at.step)
            while (batch := plan.batches.next()) is not None:
                if began is None and self._hosts.count > 1:
                    self._meet(batch, scale)
                state = self._make(self._state, batch, scale)
                if state.aux:
                    self._aux.append(state.aux)
                self._state = state._replace(aux={})
                at.step += 1
                if began is None:
                    # The first step may have been compiled.
                    jax.block_until_ready(self._state.step)
                    began = time.perf_counter(), at.step
                if at.step % _READ_EVERY == 0:
                    self._read()
                if self._save_every is not None and at.step % self._save_every == 0:
                    self._save()
                if stop is not None and stop.due(at.step):
                    self._interrupt(stop)
            if at.step != at.read:
                self._read()
            if began is not None:
                self._seconds += time.perf_counter() - began[0]
                self._timed += at.step - began[1]
            at.ended = True
            if self._save_every is None or at.epoch == plan.epochs:
                self._save()
            if stop is not None and stop.due(at.step):
                self._interrupt(stop)

    def _meet(self, batch: Batch, scale: tuple[np.float32, ...]) -> None:
        """Waits for the other processes, which may compile, evaluate or save longer than collectives wait."""
        self._step.lower(self._state, self._place.constants, *self._place.batch(batch), *scale).compile()
        self._hosts.meet("steps")

    def _make(self, state: TrainState, batch: Batch, scale: tuple[np.float32, ...]) -> TrainState:
        """Makes one step."""
        after = self._step(state, self._place.constants, *self._place.batch(batch), *scale)
        self._place.pace(after)
        return after

    def _interrupt(self, stop: Deferred) -> None:
        """Saves, says so, and lets the signal act."""
        assert self._run is not None
        assert self._checkpoints is not None
        self._save()
        self._checkpoints.wait()
        self._run.say(INTERRUPTED, epoch=self._at.epoch, step=self._at.step)
        self._hosts.part()
        stop.act()

    def _read(self) -> None:
        """Reads the losses since the last time, and looks at them."""
        at, plan = self._at, self._plan
        recent, bad = (leaf.item() for leaf in jax.device_get((self._state.loss_sum, self._state.bad_step)))
        if bad >= 0 or not math.isfinite(recent):
            raise self._diverged(recent, at.step - 1 if bad < 0 else bad)
        self._state = self._state._replace(loss_sum=self._place.zero())
        at.loss += recent
        for scalars in self._unread():
            for name, value in scalars.items():
                at.aux[name] = at.aux.get(name, 0.0) + value
        self._aux = []
        mean = recent / (at.step - at.read)
        if mean > _GROWN * self._lowest:
            plan.warn(f"the loss has grown from {self._lowest:.3g} to {mean:.3g} by step {at.step}")
            self._lowest = math.inf
        self._lowest = min(self._lowest, mean)
        at.read = at.step
        if plan.on_steps is not None:
            plan.on_steps(at.step, mean, self._learning_rate())

    def _unread(self) -> list[dict[str, float]]:
        return [{name: float(value) for name, value in scalars.items()} for scalars in self._aux]

    def _learning_rate(self) -> float | None:
        if self._rate is None:
            return None
        step, plateau = self._at.step - 1, self._plan.plateau
        return float(self._rate(step)) * (1.0 if plateau is None else plateau.scale(step))

    def _scale(self, step: int) -> tuple[np.float32, ...]:
        """The step's last argument: what a plateau has its updates multiplied by."""
        plateau = self._plan.plateau
        return () if plateau is None else (np.float32(plateau.scale(step)),)

    def _evaluated(self) -> tuple[Epoch, Model]:
        at, steps = self._at, self._at.step - self._at.began
        shown = self._place.whole(_as_best, self._state)
        model = self._model(shown["params"], shown["variables"])
        metrics = named_figures("the loss", {name: total / steps for name, total in at.aux.items()})
        if self._plan.evaluate is not None:
            metrics |= named_figures("evaluate", self._plan.evaluate(model))
        epoch = Epoch(at.epoch, at.step, at.loss / steps, self._learning_rate(), metrics)
        record = epoch.record()
        is_best = self._selection.judge(record)
        if self._plan.plateau is not None:
            self._plan.plateau.judge(record, at.step)
        if is_best:
            # A copy: the next step writes over the arrays that the model holds.
            self._best = jax.tree.map(_on_host, shown)
        at.records.append(record)
        if self._run is not None:
            self._run.append_metrics(record)
            self._run.say(epoch=at.epoch, step=at.step)
        return Epoch(epoch.epoch, epoch.step, epoch.loss, epoch.lr, metrics, is_best), model

    def _model(self, params: nnx.State, variables: nnx.State) -> Model:
        # Variables of its own: what is done to the model is not done to the training.
        states = jax.tree.map(jnp.asarray, (params, variables, self._constants))
        merged: Model = nnx.merge(self._graphdef, *states)
        return merged

    def _arrays(self, state: TrainState | None = None) -> dict[str, Any]:
        """What a checkpoint holds; of another state, what is read in its place."""
        state = self._state if state is None else state
        best = self._place.whole(_as_best, self._state) if self._best is None else self._best
        whole = self._place.whole(lambda state: state, state)
        return {"state": whole, "constants": self._constants, "best": best}

    def _save(self) -> None:
        if self._checkpoints is None:
            return
        at = self._at
        at.unread, at.machine = self._unread(), self._machine
        at.selection, at.batches = self._selection.position(), self._plan.batches.position()
        at.plateau = None if self._plan.plateau is None else self._plan.plateau.position()
        self._checkpoints.save(at.step, self._arrays(), at.to_dict())
        # The others' collectives wait only so long for process 0.
        self._hosts.meet("saved")

    def _diverged(self, loss: float, bad: int) -> Diverged:
        """The error for a loss that was no number in step `bad`, counted from 0.

        With a run folder the steps since the newest checkpoint are made again, one by one, to find the step
        that broke the parameters and the model before it.
        """
        batches = self._plan.batches
        if not isinstance(batches, BatchesBySteps):
            return Diverged(loss, bad + 1)
        if self._checkpoints is None:
            return Diverged(loss, bad + 1, batches.indices(bad))

        def start() -> tuple[TrainState, int]:
            assert self._checkpoints is not None
            self._checkpoints.wait()
            found = self._checkpoints.newest(self._arrays(self._place.begin()))
            if found is None or found[1]["step"] > bad:
                return self._place.begin(), 0
            return self._place.put(found[0]["state"]._replace(aux={})), found[1]["step"]

        def advance(state: TrainState, step: int) -> TrainState:
            return self._make(state, batches.at(step), self._scale(step))._replace(aux={})

        culprit = first_bad_step(advance, *start(), bad)
        state, step = start()
        while step < culprit:
            state, step = advance(state, step), step + 1
        batch, chosen = batches.at(culprit)
        if chosen is not None:
            batch = jax.tree.map(lambda examples: examples[chosen], batch)
        params, variables = self._place.whole(lambda state: (state.params, state.variables), state)
        model = self._model(params, variables)
        return Diverged(
            loss, culprit + 1, batches.indices(culprit), model, batch, jax.random.fold_in(self._key, culprit)
        )


def _as_best(state: TrainState) -> dict[str, Any]:
    shown = state.params if state.average is None else state.average
    return {"params": shown, "variables": state.variables}


def _on_host(leaf: Any) -> Any:
    # Of random keys NumPy has none.
    return jax.random.clone(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else np.array(leaf)

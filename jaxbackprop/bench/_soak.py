"""`bench soak`: a long run of a tiny model. What it leaks, and what it compiles again, would show."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from jaxbackprop import ops
from jaxbackprop.layers import BatchNorm, Dropout, Linear
from jaxbackprop.train import fit

from ._report import CannotBench

_EXAMPLES, _BATCH, _STEPS_AN_EPOCH = 10_000, 2, 5_000
_COMPILED = "backend_compile_duration"


@dataclass(frozen=True)
class Soak:
    """What a long run came to.

    Attributes:
        steps: updates made.
        seconds: that they took, with all that happens between epochs.
        compilations: programs compiled after the first epoch.
        memory_mib: resident memory after a fifth of the run.
        growth: of it until the end, relative.
    """

    steps: int
    seconds: float
    compilations: int
    memory_mib: float
    growth: float

    @property
    def met(self) -> bool:
        """Whether nothing was compiled again, and memory grew by less than a hundredth."""
        return self.compilations == 0 and self.growth < 0.01

    def lines(self) -> list[str]:
        """What is printed."""
        return [
            f"{self.steps:,} steps in {self.seconds:.1f} s, with evaluation and a checkpoint each"
            f" {_STEPS_AN_EPOCH:,}",
            f"compiled after the first epoch: {self.compilations}",
            f"resident memory: {self.memory_mib:.1f} MiB after a fifth, {self.growth:+.2%} by the end",
        ]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"benchmark": "soak", **asdict(self), "met": self.met}


def soak(steps: int, say: Callable[[str], None]) -> Soak:
    """Trains a tiny model with all that `fit` offers: evaluation, the best epoch, checkpoints, curves.

    Args:
        steps: updates, at least 20 epochs of 5,000.
        say: told how far it is.

    Raises:
        CannotBench: fewer steps.
    """
    if steps < 20 * _STEPS_AN_EPOCH:
        raise CannotBench(f"--steps must be at least {20 * _STEPS_AN_EPOCH:,}, not {steps:,}")
    epochs = steps // _STEPS_AN_EPOCH
    rng = np.random.default_rng(0)
    x = rng.normal(size=(_EXAMPLES, 4)).astype(np.float32)
    data = {"x": x, "y": (x[:, 0] > 0).astype(np.int32)}
    compiled: list[str] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event.endswith(_COMPILED):
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    began = time.perf_counter()
    first = resident = end = 0
    with tempfile.TemporaryDirectory() as folder:
        training = fit(
            _Tiny(nnx.Rngs(0)),
            _loss,
            data,
            optimizer=optax.adam(1e-3),
            schedule=optax.constant_schedule(1e-3),
            epochs=epochs,
            batch_size=_BATCH,
            average=0.99,
            evaluate=lambda model: _evaluate(model, {name: rows[:500] for name, rows in data.items()}),
            monitor="accuracy",
            run=Path(folder) / "run",
        )
        for epoch, _ in training:
            if epoch.epoch == 1:
                first = len(compiled)
            if epoch.epoch == epochs // 5:
                resident = _resident()
            if epoch.epoch % (epochs // 10) == 0:
                end = _resident()
                say(f"step {epoch.step:,}: {end / 2**20:.1f} MiB")
    return Soak(
        steps=epochs * _STEPS_AN_EPOCH,
        seconds=time.perf_counter() - began,
        compilations=len(compiled) - first,
        memory_mib=resident / 2**20,
        growth=end / resident - 1,
    )


class _Tiny(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = Linear(4, 8, rngs=rngs)
        self.norm = BatchNorm(8, rngs=rngs)
        self.dropout = Dropout(0.1, rngs=rngs)
        self.last = Linear(8, 2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(self.dropout(ops.tanh(self.norm(self.first(x)))))


def _loss(
    model: _Tiny, batch: dict[str, jax.Array], key: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    losses = ops.softmax_cross_entropy(model(batch["x"]), batch["y"])
    return losses.mean(), {"worst": losses.max()}


def _evaluate(model: _Tiny, data: dict[str, np.ndarray]) -> dict[str, float]:
    model.eval()
    graphdef, state = nnx.split(model)
    return {"accuracy": float(_accuracy(graphdef, state, data["x"], data["y"]))}


@jax.jit(static_argnums=0)
def _accuracy(graphdef: nnx.GraphDef[_Tiny], state: nnx.State, x: jax.Array, y: jax.Array) -> jax.Array:
    return (nnx.merge(graphdef, state)(x).argmax(-1) == y).mean()


def _resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

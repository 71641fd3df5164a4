"""A training in a run folder, from its first step to results, curves and the parameters of its best epoch."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import jax
import numpy as np
from flax import nnx
from rich.console import Console

from jaxbackprop._output import print_whole

from ._checkpoint import save_parameters
from ._config import Config
from ._curves import draw_curves
from ._divergence import Diverged
from ._hosts import current_hosts
from ._loop import Training
from ._metrics import Scores
from ._plan import Epoch
from ._progress import Progress
from ._run import RunFolder
from ._schedules import Schedule
from ._tag_scores import TagScores
from ._tensorboard import EventFile, has_events

# The curve of the learning rate is drawn through so many points at most.
_POINTS = 2000


@dataclass(frozen=True)
class Reporting:
    """How a run speaks of itself.

    Attributes:
        console: where progress and scores are shown.
        warn: told, in one line, what is odd.
        explain: makes a sentence of a loss that is no number, and the loss's function.
        tensorboard: whether the figures go to an event file, too; a run that has one goes on with it.
        on_steps: told the steps made so far, the mean loss since the last call and the learning rate.
    """

    console: Console
    warn: Callable[[str], None] = warnings.warn
    explain: Callable[[Diverged, Any], str] = lambda error, loss: ""
    tensorboard: bool = False
    on_steps: Callable[[int, float, float | None], None] = lambda made, mean, rate: None


class Job(Protocol):
    """What is trained in a run folder.

    Attributes:
        monitor: the figure that chooses the best epoch.
        steps: updates in the whole run.
    """

    monitor: str
    steps: int

    def loss(self, model: Any, batch: Any, key: jax.Array) -> jax.Array:
        """What is minimized."""
        ...

    def begin(
        self,
        run: RunFolder,
        *,
        resume: bool,
        on_steps: Callable[[int, float, float | None], None],
        warn: Callable[[str], None],
    ) -> Training[Any]:
        """The training, to be iterated over."""
        ...

    def learning_rate(self, records: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """The learning rate of a run with these epochs; see `rates_made`."""
        ...

    def sentences(self, error: Diverged) -> Sequence[int | str]:
        """The training sentences, counted from 1, of the batch where the loss was no number."""
        ...

    def test(self, model: Any) -> Scores | TagScores | None:
        """The scores of a model on the test sentences; None where there are none."""
        ...


def carry_out(
    folder: RunFolder,
    job: Job,
    config: Config,
    reporting: Reporting,
    *,
    resume: bool,
    began: float,
    command: str = "train",
) -> None:
    """Trains in a run folder, and writes what the run comes to.

    Args:
        folder: taken, with the files that say what is trained.
        job: what is trained.
        config: its settings.
        reporting: where progress, scores and warnings go.
        resume: whether to go on from the folder's newest checkpoint.
        began: `time.perf_counter` when the run began.
        command: which goes on with a run that is interrupted.

    Raises:
        RunError: the folder cannot be written, or belongs to other settings or data.
        Diverged: the loss became infinite or nan; it says on which sentences.
    """
    console = reporting.console
    current_hosts().on_end(hint=go_on_with(folder.path, command))

    def on_steps(made: int, mean: float, rate: float | None) -> None:
        progress.steps(made, mean, rate)
        reporting.on_steps(made, mean, rate)

    try:
        with Progress(console, job.steps) as progress:
            training = job.begin(folder, resume=resume, on_steps=on_steps, warn=reporting.warn)
            with closing(training), _events(folder, training, reporting) as events:
                for epoch, _ in training:
                    progress.epoch(epoch, _figures(epoch))
                    if events is not None:
                        events.write(training.records[-1])
    except Diverged as error:
        _say_where(folder, job, reporting, error)
    except KeyboardInterrupt as error:
        error.args = (go_on_with(folder.path, command),)
        raise
    if len(training.records) < config.epochs:
        console.print(
            f"stopped after epoch {len(training.records)} of {config.epochs}:"
            f" {_shown(job.monitor)} has not grown for {config.patience} epoch{'s' * (config.patience != 1)}"
        )
    best = training.best_model
    if folder.writes:
        save_parameters(folder.path, nnx.to_pure_dict(nnx.state(best)))
    folder.seal()
    results = _results(training, job, console)
    results["seconds"] = time.perf_counter() - began
    folder.write_json("results.json", results)
    rates = job.learning_rate(training.records)
    if folder.writes:
        draw_curves(folder.path / "curves.png", training.records, rates, monitor=job.monitor)
    console.print()
    console.print(f"run {folder.path} took {time.perf_counter() - began:.1f} s", soft_wrap=True)


def go_on_with(path: Path, command: str = "train") -> str:
    """What to say of a run that was interrupted."""
    return f"go on with: jaxbackprop {command} --resume {path}"


def rates_made(
    schedule: Schedule,
    records: Sequence[Mapping[str, Any]],
    *,
    steps_per_epoch: float,
    plateau: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The learning rate of a run with these epochs: epochs (fractional), and its values there.

    Args:
        schedule: step -> learning rate.
        records: of the epochs.
        steps_per_epoch: updates in an epoch.
        plateau: whether the rate was lowered where epochs were no better.
    """
    at = np.unique(np.linspace(0, records[-1]["step"] - 1, _POINTS).astype(np.int32))
    compiled = jax.jit(jax.vmap(schedule))
    rates = np.asarray(compiled(at))
    if plateau:
        # Within an epoch the rate is the same part of the schedule's as in its last update.
        ends = np.array([record["step"] for record in records], np.int32)
        planned = np.asarray(compiled(ends - 1))
        made = np.array([record["lr"] for record in records])
        parts = np.divide(made, planned, out=np.ones_like(made), where=planned > 0)
        rates = rates * parts[np.searchsorted(ends, at, side="right")]
    return (at + 1) / steps_per_epoch, rates


def _events(
    folder: RunFolder, training: Training[Any], reporting: Reporting
) -> EventFile | AbstractContextManager[None]:
    if folder.writes and (reporting.tensorboard or has_events(folder.path)):
        return EventFile(folder.path, training.records)
    return nullcontext()


def _results(training: Training[Any], job: Job, console: Console) -> dict[str, Any]:
    assert training.best is not None  # there is at least one epoch
    results: dict[str, Any] = {
        "best_epoch": training.best["epoch"],
        "parameters_sha256": training.parameters_sha256,
        "steps_per_second": training.steps_per_second,
    }
    scores = job.test(training.best_model)
    if scores is not None:
        results["test"] = scores.to_dict()
        console.print()
        console.print(f"test, with the parameters of epoch {training.best['epoch']}:")
        print_whole(console, scores.table(ruled=console.is_terminal), highlight=True)
    return results


def _say_where(folder: RunFolder, job: Job, reporting: Reporting, error: Diverged) -> NoReturn:
    """Raises the error again, with the sentences of its batch and what is wrong with the model."""
    sentences = job.sentences(error)
    shown = ", ".join(map(str, sentences[:5])) + (", ..." if len(sentences) > 5 else "")
    reason = "" if error.model is None else reporting.explain(error, job.loss)
    folder.say(step=error.step, sentences=sentences)
    error.args = (
        f"the loss is {error.loss} at step {error.step}, on training sentences {shown}"
        f" (all {len(sentences)} in {folder.path / 'status.json'}){reason and ': ' + reason};"
        " a lower --lr may help",
    )
    raise error


def _figures(epoch: Epoch) -> str:
    names = (_shown(name).removeprefix("dev ") for name in epoch.metrics)
    shown = zip(names, epoch.metrics.values(), strict=True)
    return "dev " + "  ".join(f"{name} {value:.4f}" for name, value in shown)


def _shown(figure: str) -> str:
    return figure.replace("_", " ").replace("f1", "F1")

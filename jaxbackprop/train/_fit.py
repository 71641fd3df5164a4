"""`fit`: any flax.nnx model, any loss, any data, any transformation of optax."""

from __future__ import annotations

import operator
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from ._batches import on_host
from ._curves import draw_curves
from ._hosts import current_hosts
from ._loop import Training
from ._mesh import make_mesh
from ._plan import Plan
from ._plateau import Plateau
from ._position import fingerprint
from ._rows import RowUpdates
from ._run import STATUS, RunFolder
from ._schedules import Schedule
from ._selection import Selection
from ._sources import make_batches
from ._step import Loss

Model = TypeVar("Model", bound=nnx.Module)


def fit(
    model: Model,
    loss: Loss,
    data: Any,
    *,
    optimizer: optax.GradientTransformation,
    epochs: int,
    batch_size: int | None = None,
    seed: int = 0,
    schedule: Schedule | None = None,
    plateau: Plateau | None = None,
    average: float = 0.0,
    trainable: nnx.filterlib.Filter = nnx.Param,
    rows: RowUpdates | None = None,
    mesh: Mesh | Mapping[str, int] | None = None,
    mask: str | None = None,
    steps_per_epoch: int | None = None,
    evaluate: Callable[[Model], Mapping[str, float]] | None = None,
    monitor: str | None = None,
    mode: str = "max",
    patience: int | None = None,
    run: str | os.PathLike[str] | RunFolder | None = None,
    resume: bool = False,
    save_every: int | None = None,
    keep: int = 2,
    progress: bool = False,
    on_steps: Callable[[int, float, float | None], None] | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> Training[Model]:
    """Trains a model, and hands it over after every epoch.

    The loss is summed on the device and read once in a hundred steps. The batches, the loss's keys and so the
    parameters depend on the seed and on nothing else (on one machine, with one version of jax and one number
    of threads, to the last bit), be the run interrupted and resumed or not.

    Example::

        training = fit(model, loss, {"x": x, "y": y}, optimizer=optax.adam(1e-3), batch_size=64, epochs=10,
                       evaluate=accuracy, monitor="accuracy", run="runs/digits", resume=True)
        for epoch, model in training:
            print(epoch.epoch, epoch.loss, epoch.metrics["accuracy"])
        model = training.best_model

    Args:
        model: any flax.nnx model, in the mode it is to be trained in; it is copied, not changed. What a
            forward pass changes beside the parameters (batch statistics, dropout streams) goes on with them.
            All keep their dtypes. So to compute in bfloat16 over float32 parameters, give its layers
            ``dtype=jnp.bfloat16``, leave their ``param_dtype``, and cast the logits to float32 in the loss.
        loss: (model, batch, key) -> floating-point scalar, or (scalar, auxiliary results); the scalars among
            the latter are logged. The key is that of the step: fold_in(key(seed), step).
        data: a pytree of arrays with one row an example each, or an iterable of batches. An iterable must
            begin anew each time it is iterated over, or come with `steps_per_epoch`. Or, for what memory does
            not hold, an object with ``count``, the number of examples, and ``rows(indices)``, which returns
            a pytree of NumPy arrays with one row for each of them; its batches are made ahead by grain.
        optimizer: optax's transformation.
        epochs: passes over the examples.
        batch_size: examples a batch, at most all of them; not for an iterable.
        seed: of batches and keys.
        schedule: step -> learning rate, for the record.
        plateau: how the learning rate, and with it every update, is lowered where epochs are no better.
        average: decay of the running average of the parameters, or 0 for none; see `make_step`.
        trainable: an nnx filter of what is trained.
        rows: the tables that are trained by rows, if any; see `make_step`.
        mesh: the devices that the work is split over: sizes by axis, ``{"data": 4, "model": 2}``, or a mesh
            of jax with such axes, both Auto; None takes one device (all, where there are several processes).
            Over ``data`` the examples of a batch are split; over ``model`` the tables of `rows`, and each
            array with an axis of 4,096 entries and more that divides, along that axis. The parameters are
            those of one device within rounding. `evaluate` and the caller get the model whole, on one device.
            With several processes each passes the same data, of which it reads the rows of its own devices.
        mask: the entry of a batch (a dict) by which the loss tells examples from padding: True for examples;
            absent where all are, unless the data has such an entry itself, which is then zero for padding.
            A batch that does not divide over ``data`` is padded then, and computed whole on every device
            where the loss takes none. Batch statistics need it too: ``norm(x, mask=mask[:, None])``.
        steps_per_epoch: batches of an iterable that make an epoch; None takes all it gives.
        evaluate: model -> figures by name, called after each epoch with averaged parameters where they are
            kept. One that is nan or infinite is null in metrics.jsonl and never the best; epoch, step, loss
            and lr are no names for one.
        monitor: the figure that decides which epoch is the best, out of loss, auxiliary scalars and what
            `evaluate` gives; None takes the last.
        mode: whether the largest (``max``) or smallest (``min``) is the best.
        patience: stop after so many epochs without a better one.
        run: a folder for checkpoints, metrics.jsonl, status.json, curves.png and results.json, which is made;
            or one that has been taken already, whose status and results are then the caller's to write. Of
            several processes (jax.distributed.initialize) the first alone writes and reads it, and a signal
            to any one stops all after the same step.
        resume: whether to go on where `run` stands, if it has begun. A run that has finished is evaluated
            once more.
        save_every: steps between checkpoints; None makes one an epoch. A signal that asks the process to end
            makes one at the end of the step.
        keep: checkpoints kept.
        progress: whether to show a bar on a terminal, and a line an epoch.
        on_steps: called with the steps made so far, the mean loss since the last call and the learning rate.
        warn: told, in one line, what is odd: a loss that has grown a thousandfold, a damaged checkpoint,
            another machine than the run began on.

    Returns:
        An iterator. After each epoch it gives its `Epoch` and the model as it is now, with averaged
        parameters where they are kept; the arrays are the training state's own, which the next epoch
        overwrites. It has ``best_model``, ``records`` and ``close()``.

    Raises:
        Diverged: the loss is nan or infinite (while iterating).
        RunError: the folder cannot be written, is in use, or belongs to other settings or data; or there are
            too few devices for the mesh.
        TypeError, ValueError: an argument does not fit; it is named.
    """
    _refuse_arguments(model, optimizer, trainable, average, epochs, keep)
    if mask is not None and not isinstance(mask, str):
        raise TypeError(f"mask must be the name of an entry of a batch, not {mask!r:.60}")
    devices = make_mesh(mesh)
    batches = make_batches(
        data,
        batch_size=batch_size,
        epochs=epochs,
        seed=seed,
        steps_per_epoch=steps_per_epoch,
        as_array=jnp.asarray if devices is None else on_host,
    )
    selection = Selection(monitor, mode, patience)
    if plateau is not None:
        plateau = Plateau(**plateau.settings)
    if save_every is not None and save_every < 1:
        raise ValueError(f"save_every must be at least 1, not {save_every}")
    contexts: list[AbstractContextManager[Any]] = []
    at_end, taken = None, False
    if run is None or isinstance(run, RunFolder):
        folder = run
    else:
        path = Path(run)
        taken = current_hosts().share("taken", not (resume and (path / STATUS).exists()))
        folder = RunFolder.of_all(lambda: RunFolder.take(path) if taken else RunFolder.resume(path))
        contexts.append(folder)
        at_end = partial(_write_results, folder, monitor)
    told = on_steps
    on_epoch = None
    if progress and current_hosts().leads:
        from rich.console import Console

        from ._progress import Progress

        bar = Progress(Console(highlight=False), batches.total)
        contexts.append(bar)
        on_epoch = bar.epoch

        def told(made: int, mean: float, rate: float | None) -> None:
            bar.steps(made, mean, rate)
            if on_steps is not None:
                on_steps(made, mean, rate)

    settings = {
        "seed": seed,
        "batch_size": batch_size,
        "average": average,
        "plateau": None if plateau is None else plateau.settings,
    }
    try:
        training = Training(
            model,
            Plan(
                loss=loss,
                optimizer=optimizer,
                batches=batches,
                epochs=epochs,
                seed=seed,
                schedule=schedule,
                plateau=plateau,
                average=average,
                trainable=trainable,
                rows=rows,
                mesh=devices,
                mask=mask,
                evaluate=evaluate,
                on_steps=told,
                on_epoch=on_epoch,
                warn=warn,
            ),
            selection,
            folder,
            save_every=save_every,
            keep=keep,
            settings={} if folder is None else fingerprint(settings, data),
            contexts=contexts,
            at_end=at_end,
        )
        if folder is not None and resume:
            training.restore()
    except BaseException:
        # What has not begun leaves neither a lock nor a new folder behind.
        if folder is not None and folder is not run:
            folder.release()
            if taken and folder.writes:
                shutil.rmtree(folder.path, ignore_errors=True)
        raise
    return training


def _refuse_arguments(
    model: Any, optimizer: Any, trainable: nnx.filterlib.Filter, average: float, epochs: int, keep: int
) -> None:
    if not isinstance(model, nnx.Module):
        raise TypeError(f"model must be a flax.nnx module, not {model!r:.60}")
    if not (callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None))):
        raise TypeError(f"optimizer must be a transformation of optax, not {type(optimizer).__name__}")
    if not 0 <= average < 1:
        raise ValueError(f"average must be at least 0 and below 1, not {average}")
    try:
        operator.index(epochs)
    except TypeError:
        raise TypeError(f"epochs must be an integer, not {epochs!r}") from None
    if keep < 1:
        raise ValueError(f"keep must be at least 1, not {keep}")
    selected = jax.tree_util.tree_leaves_with_path(nnx.state(model, trainable))
    if not selected:
        raise ValueError("trainable selects nothing of the model: there is nothing to train")
    for path, leaf in selected:
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.inexact):
            name = jax.tree_util.keystr(path)
            raise TypeError(f"trainable selects {name} of the model, whose dtype {dtype} has no gradient")


def _write_results(folder: RunFolder, monitor: str | None, training: Training[Any]) -> None:
    results = {
        "parameters_sha256": training.parameters_sha256,
        "best": training.best,
        "steps_per_second": training.steps_per_second,
    }
    folder.write_json("results.json", results)
    if folder.writes:
        draw_curves(folder.path / "curves.png", training.records, monitor=monitor)

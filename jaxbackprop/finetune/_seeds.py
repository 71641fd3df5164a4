"""Fine-tuning with several seeds, one after another, side by side in one folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from jaxbackprop.train import (
    SEEDS,
    Reporting,
    RunError,
    RunFolder,
    SeedRuns,
    announce_seed,
    begin_seed,
    each_seed,
    go_on_with_seeds,
    is_of_seeds,
    read_seeds,
    refuse_taken,
    seeds_of,
    take_run,
)

from ._classifier import settings_of
from ._config import Settings
from ._run import COMMAND, FREE, Prepared, as_before, resume_run


def finetune_seeds(
    settings: Settings, count: int, out: str | os.PathLike[str] | None, reporting: Reporting
) -> Path:
    """Fine-tunes with each of several seeds: that of the settings, and those that follow it.

    What is held out is the same for all. The folder is as that of `jaxbackprop train --seeds`.

    Args:
        settings: of the first run.
        count: of the seeds.
        out: the folder; None takes ``runs/`` and the time.
        reporting: where progress, scores and warnings go.

    Returns:
        The folder.

    Raises:
        RunError: a loss diverged, or see `finetune`.
        DataError, MissingExtra: see `finetune`.
        CannotRun: there are no or too many seeds, or see `finetune`.
    """
    seeds = seeds_of(settings.training, count)
    started = datetime.now().astimezone()
    if out is not None:
        refuse_taken(out)
    announce_seed(reporting, seeds, seeds[0])
    first = Prepared(settings, reporting)
    record = first.record(None)
    own = {name: record[name] for name in ("settings", COMMAND)}
    with take_run(out, started, {SEEDS: {"format": 1, "seeds": seeds, "kind": COMMAND, **own}}) as folder:
        runs = SeedRuns(folder.path, own["settings"], seeds)

        def one(seed: int) -> None:
            if seed != seeds[0]:
                announce_seed(reporting, seeds, seed)
            _begin(first if seed == seeds[0] else Prepared(_of(settings, seed), reporting), runs.folder(seed))

        each_seed(folder, runs, one, reporting, COMMAND)
    return folder.path


def resume_finetune(
    run: str | os.PathLike[str], own: Mapping[str, Any], shared: Mapping[str, Any], reporting: Reporting
) -> Path:
    """Goes on with a run that was stopped, to the bits it would have come to.

    Args:
        run: its folder; or that of several seeds, whose missing runs then follow.
        own: settings of `FinetuneConfig` that are to be as they were.
        shared: settings of training, likewise; how often to save may change.
        reporting: where progress, scores and warnings go.

    Returns:
        The folder; one that is finished is left as it is.

    Raises:
        RunError: the folder is no such run or is damaged; or settings, data or model are not those that the
            run began with.
        DataError, MissingExtra, CannotRun, Diverged: see `finetune`.
    """
    if not is_of_seeds(run):
        return resume_run(run, own, shared, reporting)
    folder = RunFolder.resume(run)
    try:
        runs = read_seeds(folder.path)
        if runs.own is None:
            raise RunError(f"{folder.path} is of no run of jaxbackprop finetune")
        before = settings_of(folder.path, {"settings": runs.settings, COMMAND: runs.own})
        settings = as_before(folder.path, before, own, shared)
        free = {name: value for name, value in shared.items() if name in FREE}
        go_on_with_seeds(
            folder,
            runs,
            reporting,
            lambda path, reporting: resume_run(path, {}, free, reporting),
            lambda seed, path, reporting: _begin(Prepared(_of(settings, seed), reporting), path),
            COMMAND,
        )
    finally:
        folder.release()
    return folder.path


def _of(settings: Settings, seed: int) -> Settings:
    return replace(settings, training=replace(settings.training, seed=seed))


def _begin(prepared: Prepared, path: Path) -> None:
    files = prepared.files(datetime.now().astimezone())
    begin_seed(path, files, lambda folder: prepared.run(folder, resume=False), prepared.reporting)

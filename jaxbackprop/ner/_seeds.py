"""Training with several seeds, one after another, side by side in one folder."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from jaxbackprop.train import (
    SEEDS,
    Config,
    Reporting,
    RunFolder,
    SeedRuns,
    announce_seed,
    begin_seed,
    each_seed,
    go_on_with_seeds,
    read_seeds,
    refuse_taken,
    seeds_of,
    take_run,
)

from ._fit import AtStart
from ._prepared import Prepared
from ._record import describe_settings
from ._train import FREE, as_before, refuse_kind, resume_run


def train_seeds(
    config: Config,
    count: int,
    out: str | os.PathLike[str] | None,
    reporting: Reporting,
    at_start: AtStart | None = None,
) -> Path:
    """Trains a window classifier with each of several seeds: that of the settings, and those that follow it.

    The folder holds ``seeds.json`` (seeds and settings) and ``status.json``, a run folder for each seed, such
    as ``seed-0``, and in the end ``summary.json``: the scores of each, their mean and standard deviation.
    Where a loss diverges, the other seeds are trained all the same.

    Args:
        config: the settings.
        count: of the seeds.
        out: the folder; None takes ``runs/`` and the time.
        reporting: where progress, scores and warnings go.
        at_start: see `train`; called for the first seed alone.

    Returns:
        The folder.

    Raises:
        RunError: a loss diverged, or see `train`.
        DataError, MissingExtra: see `train`.
        CannotRun: there are no or too many seeds.
    """
    seeds = seeds_of(config, count)
    started = datetime.now().astimezone()
    if out is not None:
        refuse_taken(out)
    # Before there is a folder: where data or settings are not what they should be, none is left.
    announce_seed(reporting, seeds, config.seed)
    first = Prepared(config, reporting)
    settings = describe_settings(config)
    with take_run(out, started, {SEEDS: {"format": 1, "seeds": seeds, "settings": settings}}) as folder:
        runs = SeedRuns(folder.path, settings, seeds)

        def one(seed: int) -> None:
            if seed == config.seed:
                _begin(first, runs.folder(seed), at_start)
                return
            announce_seed(reporting, seeds, seed)
            _begin(Prepared(replace(config, seed=seed), reporting), runs.folder(seed))

        each_seed(folder, runs, one, reporting)
    return folder.path


def resume_seeds(out: str | os.PathLike[str], given: dict[str, Any], reporting: Reporting) -> Path:
    """Goes on with the run that was stopped, and then with the seeds that have none; see `resume`."""
    folder = RunFolder.resume(out)
    try:
        runs = read_seeds(folder.path)
        refuse_kind(folder.path, "train" if runs.own is None else "finetune")
        config = as_before(folder.path, {"settings": runs.settings}, given)
        free = {name: value for name, value in given.items() if name in FREE}
        go_on_with_seeds(
            folder,
            runs,
            reporting,
            lambda path, reporting: resume_run(path, free, reporting),
            lambda seed, path, reporting: _begin(Prepared(replace(config, seed=seed), reporting), path),
        )
    finally:
        folder.release()
    return folder.path


def _begin(prepared: Prepared, path: Path, at_start: AtStart | None = None) -> None:
    files = prepared.files(datetime.now().astimezone())
    begin_seed(path, files, lambda folder: prepared.begin(folder, at_start), prepared.reporting)

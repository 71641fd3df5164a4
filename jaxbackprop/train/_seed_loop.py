"""The runs of several seeds, one after another, and what they come to together."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxbackprop._output import print_whole

from ._divergence import Diverged
from ._manifest import RunError
from ._recorded_run import Reporting, go_on_with
from ._run import RunFolder
from ._seeds import SeedRuns, seed_table, summary
from ._tensorboard import has_events


def announce_seed(reporting: Reporting, seeds: Sequence[int], seed: int) -> None:
    """Says whose run comes."""
    reporting.console.print(f"seed {seed}, {seeds.index(seed) + 1} of {len(seeds)}")


def each_seed(
    folder: RunFolder,
    runs: SeedRuns,
    one: Callable[[int], None],
    reporting: Reporting,
    command: str = "train",
) -> None:
    """Makes the run of each seed, and says what they come to together.

    Args:
        folder: of them all.
        runs: which.
        one: makes the run of a seed.
        reporting: where scores and warnings go.
        command: which goes on with runs that are interrupted.

    Raises:
        RunError: a loss diverged; the other seeds are trained all the same.
    """
    console, diverged = reporting.console, {}
    try:
        for seed in runs.seeds:
            folder.say(seed=seed)
            try:
                one(seed)
            except Diverged as error:
                diverged[seed] = error
                reporting.warn(f"seed {seed}: {error}")
    except KeyboardInterrupt as error:
        error.args = (go_on_with(folder.path, command),)
        raise
    found = summary(runs.outcomes())
    folder.write_json("summary.json", found)
    print_whole(console, seed_table(found, ruled=console.is_terminal), highlight=True)
    console.print()
    console.print(f"runs in {folder.path}", soft_wrap=True)
    if diverged:
        named = ("seed " if len(diverged) == 1 else "seeds ") + ", ".join(map(str, diverged))
        raise RunError(f"{len(diverged)} of {len(runs.seeds)} runs in {folder.path} failed: {named}")


def begin_seed(
    path: Path, files: Mapping[str, Any], run: Callable[[RunFolder], None], reporting: Reporting
) -> None:
    """Makes the run of one seed in a new folder.

    Args:
        path: of the folder.
        files: that it holds from the start.
        run: trains in it.
        reporting: where progress and scores go.
    """
    with RunFolder.take(path, files) as folder:
        run(folder)
    reporting.console.print()


def go_on_with_seeds(
    folder: RunFolder,
    runs: SeedRuns,
    reporting: Reporting,
    resume: Callable[[Path, Reporting], object],
    begin: Callable[[int, Path, Reporting], None],
    command: str = "train",
) -> None:
    """Goes on with the run that was stopped, and then with the seeds that have none.

    Args:
        folder: of them all; one that is finished is left as it is.
        runs: which.
        reporting: where progress, scores and warnings go.
        resume: goes on with the run in a folder.
        begin: makes the run of a seed in a folder that is not there.
        command: see `each_seed`.

    Raises:
        RunError: see `each_seed`.
    """
    if folder.finished:
        reporting.console.print(f"run {folder.path} is finished", soft_wrap=True)
        return
    # What one run was asked for, the others were, too.
    if any(has_events(runs.folder(seed)) for seed in runs.seeds):
        reporting = replace(reporting, tensorboard=True)

    def one(seed: int) -> None:
        path = runs.folder(seed)
        announce_seed(reporting, runs.seeds, seed)
        if runs.has_begun(seed):
            resume(path, reporting)
            reporting.console.print()
            return
        # What is there has no checksums of its settings: no step has been made in it.
        shutil.rmtree(path, ignore_errors=True)
        begin(seed, path, reporting)

    with folder:
        each_seed(folder, runs, one, reporting, command)

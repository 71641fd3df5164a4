"""The runs of several seeds, one after another, and what they come to together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxbackprop._output import print_whole

from ._divergence import Diverged
from ._manifest import RunError
from ._recorded_run import Reporting, go_on_with
from ._run import RunFolder
from ._seeds import SeedRuns, seed_table, summary


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

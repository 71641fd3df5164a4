"""The runs of several seeds in one folder, and what they come to together."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxbackprop._errors import CannotRun

from ._config import Config
from ._manifest import CHECKPOINTS, MANIFEST, SEEDS, RunError, read_json
from ._outcome import Outcome, read_outcome
from ._run import FINISHED

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = {"f1": "F1", "accuracy": "acc"}
_MOST = 1000


@dataclass(frozen=True)
class SeedRuns:
    """The runs of several seeds.

    Attributes:
        path: the folder of them all.
        settings: as seeds.json holds them; their seed is the first one.
        seeds: in the order of training.
        own: settings of `jaxbackprop finetune` beside those; None for runs of `train`.
    """

    path: Path
    settings: dict[str, Any]
    seeds: tuple[int, ...]
    own: dict[str, Any] | None = None

    def folder(self, seed: int) -> Path:
        """The run folder of a seed."""
        return self.path / f"seed-{seed}"

    def has_begun(self, seed: int) -> bool:
        """Whether the run of a seed may have made a step."""
        return any((self.folder(seed) / name).exists() for name in (MANIFEST, CHECKPOINTS))

    def outcomes(self) -> dict[int, Outcome]:
        """What the runs that have begun have come to, by seed.

        Raises:
            RunError: one is damaged.
        """
        return {seed: read_outcome(self.folder(seed)) for seed in self.seeds if self.has_begun(seed)}


def seeds_of(config: Config, count: int) -> tuple[int, ...]:
    """So many seeds: that of the settings, and those that follow it.

    Raises:
        CannotRun: they are too many, or none, or the last is out of range.
    """
    if not 1 <= count <= _MOST:
        raise CannotRun(f"--seeds must be from 1 to {_MOST}, not {count}")
    seeds = tuple(range(config.seed, config.seed + count))
    try:
        replace(config, seed=seeds[-1])
    except ValueError as error:
        raise CannotRun(f"--seeds {count}: {error}") from None
    return seeds


def is_of_seeds(path: str | os.PathLike[str]) -> bool:
    """Whether a folder holds the runs of several seeds."""
    return (Path(path) / SEEDS).is_file()


def read_seeds(path: str | os.PathLike[str]) -> SeedRuns:
    """Reads a folder's seeds.json.

    Raises:
        RunError: it holds something else.
    """
    record = read_json(Path(path) / SEEDS)
    seeds, settings = record.get("seeds"), record.get("settings")
    whole = isinstance(seeds, list) and all(type(seed) is int for seed in seeds)
    if not (whole and seeds and isinstance(settings, dict)):
        raise RunError(f"{Path(path) / SEEDS} lists no seeds and settings")
    return SeedRuns(Path(path), settings, tuple(seeds), record.get("finetune"))


def mean_and_deviation(values: Iterable[float | None]) -> tuple[float | None, float | None]:
    """Mean and standard deviation (with n - 1) of what is there; None where that is too little."""
    # Here, as help need not wait for it.
    import statistics

    found = [value for value in values if value is not None]
    mean = statistics.fmean(found) if found else None
    return mean, statistics.stdev(found) if len(found) > 1 else None


def summary(outcomes: dict[int, Outcome]) -> dict[str, Any]:
    """What summary.json holds: the figures of each seed, and mean and deviation over those that finished."""
    rows = {seed: outcome.to_dict() for seed, outcome in outcomes.items()}
    found: dict[str, Any] = {
        "score": next((outcome.score for outcome in outcomes.values()), None),
        "seeds": [{"seed": seed, **row, "run": outcomes[seed].path.name} for seed, row in rows.items()],
    }
    finished = [row for row in rows.values() if row["status"] == FINISHED]
    over = {name: mean_and_deviation(row[name] for row in finished) for name in ("dev", "test")}
    found["mean"] = {name: mean for name, (mean, _) in over.items()}
    found["deviation"] = {name: deviation for name, (_, deviation) in over.items()}
    return found


def seed_table(found: dict[str, Any], *, ruled: bool) -> Table:
    """A summary as a rich table: ruled for a terminal, bare columns for a pipe."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    name = shown_score([found["score"]])
    table = Table(box=SIMPLE_HEAD if ruled else None, pad_edge=False)
    for at, title in enumerate(("seed", "epoch", f"dev {name}", f"test {name}")):
        table.add_column(title, justify="right" if at else "left", no_wrap=True)
    for row in found["seeds"]:
        figures = (row["best_epoch"], row["dev"], row["test"])
        if row["status"] != FINISHED:
            figures = (row["status"], None, None)
        table.add_row(str(row["seed"]), *map(cell, figures))
    table.add_section()
    for title in ("mean", "deviation"):
        over = found[title]
        table.add_row(title, "", cell(over["dev"]), cell(over["test"]), style="bold")
    return table


def shown_score(scores: Iterable[str]) -> str:
    """The name of a score in tables of 40 columns; empty where there are several."""
    names = {_SHOWN[score] for score in scores}
    return names.pop() if len(names) == 1 else ""


def cell(figure: str | float | None) -> str:
    """A figure as tables show it."""
    if figure is None:
        return "-"
    return f"{figure:.4f}" if isinstance(figure, float) else str(figure)

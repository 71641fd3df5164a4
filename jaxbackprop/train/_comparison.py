"""Runs beside one another: their figures, and the settings in which they differ."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._config import Config
from ._manifest import RunError
from ._outcome import Outcome, read_outcome, read_standing, score_of
from ._run import FINISHED
from ._seeds import is_of_seeds, mean_and_deviation, read_seeds
from ._settings_file import said

_DEVIATING = ("dev", "test", "steps_per_second")


@dataclass(frozen=True)
class Compared:
    """One run, or the runs of several seeds together.

    Attributes:
        path: the folder.
        standing: how it stands, in words.
        score: what chooses the best epoch: ``f1`` or ``accuracy``.
        settings: by name; the seed of several is a text.
        said: the names of those that would be others without being said.
        outcomes: of the one run, or of those of the seeds that have begun.
        seeds: how many are to be trained; None for one run.
        figures: ``best_epoch``, ``dev``, ``test`` and ``steps_per_second``; None where there is none. Of
            several seeds, means over those that finished.
        deviations: of those means by name, likewise; empty for one run.
    """

    path: Path
    standing: str
    score: str
    settings: Mapping[str, Any]
    said: frozenset[str]
    outcomes: tuple[Outcome, ...]
    seeds: int | None
    figures: Mapping[str, float | None]
    deviations: Mapping[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON holds it."""
        one = {"run": str(self.path), "standing": self.standing, "score": self.score, **self.figures}
        if self.seeds is None:
            return {**one, **self.outcomes[0].to_dict()}
        seeds = [{"seed": outcome.config.seed, **outcome.to_dict()} for outcome in self.outcomes]
        return {**one, "deviations": dict(self.deviations), "seeds": seeds}


def read_compared(run: str | os.PathLike[str]) -> Compared:
    """Reads a run folder, or one of several seeds.

    Raises:
        RunError: it is neither, or is damaged.
    """
    path = Path(run)
    if is_of_seeds(path):
        return _several(path)
    outcome = read_outcome(path)
    figures = {name: outcome.to_dict()[name] for name in ("best_epoch", *_DEVIATING)}
    settings, own = outcome.config.to_dict(), _own(outcome.record.get("finetune"))
    return Compared(
        path,
        _standing(outcome),
        outcome.score,
        settings | own,
        frozenset(said(settings)) | own.keys(),
        (outcome,),
        None,
        figures,
        {},
    )


def differing(runs: Sequence[Compared]) -> dict[str, list[Any]]:
    """The settings in which runs differ: by name, the value of each run in order.

    Those that differ only because others do, such as the learning rates of two optimizers, are left out.
    """
    names = frozenset[str]().union(*(run.said for run in runs))
    values = {name: [run.settings.get(name) for run in runs] for name in runs[0].settings if name in names}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each)}


def not_comparable(runs: Sequence[Compared]) -> list[str]:
    """Why scores do not compare, where they do not: other sentences, or another score."""
    reasons = []
    if len({run.score for run in runs}) > 1:
        reasons.append("some runs are scored by F1, others by accuracy")
    for part in ("dev", "test"):
        corpora = [run.outcomes[0].record.get("corpus") for run in runs if run.outcomes]
        sentences = [corpus[part] for corpus in corpora if isinstance(corpus, dict) and part in corpus]
        if any(each != sentences[0] for each in sentences):
            reasons.append(f"the {part} sentences of the runs are not the same")
    return reasons


def _several(path: Path) -> Compared:
    runs = read_seeds(path)
    outcomes = tuple(runs.outcomes().values())
    try:
        settings = Config.from_dict(runs.settings)
    except (TypeError, ValueError) as error:
        raise RunError(f"the configuration of {path} is not usable: {error}") from None
    own = _own(runs.own)
    finished = [outcome.to_dict() for outcome in outcomes if outcome.status == FINISHED]
    over = {name: mean_and_deviation(row[name] for row in finished) for name in _DEVIATING}
    status, _ = read_standing(path)
    count = len(runs.seeds)
    seeds_done = (
        f"{count} seed{'s' * (count != 1)}"
        if status == FINISHED
        else f"{len(finished)} of {count} seeds finished"
    )
    seeds = f"{runs.seeds[0]} to {runs.seeds[-1]}" if len(runs.seeds) > 1 else runs.seeds[0]
    return Compared(
        path,
        f"{status}, {seeds_done}",
        score_of(settings),
        settings.to_dict() | own | {"seed": seeds},
        frozenset(said(settings.to_dict())) | own.keys() | {"seed"},
        outcomes,
        len(runs.seeds),
        {"best_epoch": None, **{name: mean for name, (mean, _) in over.items()}},
        {name: deviation for name, (_, deviation) in over.items()},
    )


def _own(settings: Any) -> dict[str, Any]:
    """What `jaxbackprop finetune` sets beside the settings of training."""
    return dict(settings) if isinstance(settings, dict) else {}


def _standing(outcome: Outcome) -> str:
    made, planned = len(outcome.epochs), outcome.config.epochs
    early = outcome.status == FINISHED and made < planned
    epochs = f"{made} of {planned} epochs" if made < planned else f"{made} epoch{'s' * (made != 1)}"
    why = f": {textwrap.shorten(outcome.why, 60, placeholder=' ...')}" if outcome.why is not None else ""
    return f"{outcome.status}{' early' * early}, {epochs}{why}"

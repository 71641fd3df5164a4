"""The tagger's settings in all claims about training, and how two of them are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxbackprop.train import Config

from ._claim import Effort, Figures, Say
from ._statistics import Difference, mean, paired
from ._tagger import Run, run_all

# A point of F1 more or less changes nobody's choice; three do.
_MATTERS = 0.03
# How a reader trains the same.
COMMAND = "jaxbackprop train --seeds 5 --hidden 100 --batch-size 64 --epochs 8 --cycle-epochs 8 --average 0"


def settings(effort: Effort, **changed: Any) -> Config:
    """The tagger of `jaxbackprop train`: 100 hidden units, small batches, few epochs, no averaged parameters.

    The lecture knows no averaging; it does much of what a falling learning rate does.
    """
    chosen: dict[str, Any] = {
        "hidden": 100,
        "batch_size": 64,
        "epochs": effort.epochs,
        "cycle_epochs": float(effort.epochs),
        "average": 0.0,
    }
    return Config(**chosen | changed)


def compare(configs: Mapping[str, Config], effort: Effort, say: Say) -> dict[str, Any]:
    """The figures of some settings, a seed each: F1 on development and training sentences, and losses."""
    found = run_all(configs, effort.seeds, say, effort.sentences)
    return {name: _figures(runs) for name, runs in found.items()}


def _figures(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "dev F1": [run.f1 for run in runs],
        "train F1": [run.train_f1 for run in runs],
        "losses": [list(run.losses) for run in runs],
    }


def f1(figures: Figures, name: str) -> float:
    """The mean development F1 of a setting."""
    return mean(figures[name]["dev F1"])


def f1_text(figures: Figures, names: Sequence[str]) -> str:
    """The mean development F1 of some settings, in a line, and after how many epochs it is."""
    epochs = len(figures[names[0]]["losses"][0])
    return f"F1 after {epochs} epochs: " + ", ".join(f"{name} {f1(figures, name):.3f}" for name in names)


def better(figures: Figures, first: str, second: str, comparisons: int = 1) -> Difference:
    """How much better the development F1 of the first is, in pairs of equal seeds."""
    return paired(figures[first]["dev F1"], figures[second]["dev F1"], comparisons)


def is_as_good(difference: Difference) -> bool:
    """Whether a difference of F1 is no loss that would matter, by all of its interval."""
    return difference.low > -_MATTERS


def gaps(figures: Figures, name: str) -> list[float]:
    """F1 on training sentences less that on development sentences, a seed each."""
    pairs = zip(figures[name]["train F1"], figures[name]["dev F1"], strict=True)
    return [train - dev for train, dev in pairs]

"""What a run of `jaxbackprop train` has come to so far, read from its folder alone."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._config import Config
from ._manifest import RunError, read_json, read_run
from ._run import FAILED, FINISHED, METRICS, RUNNING, STATUS, is_held

RESULTS = "results.json"
# A process that was killed could not say so.
KILLED = "killed"


@dataclass(frozen=True)
class Outcome:
    """A run, be it at its end or not.

    Attributes:
        path: its folder.
        config: its settings.
        record: its config.json.
        status: ``running``, ``finished``, ``interrupted``, ``failed``, or ``killed``.
        why: what it failed of; None where it has not.
        epochs: the records of its epochs so far.
        best: the record of the best of them; None before the first.
        test: the score on the test sentences; None before the end, or without any.
        steps_per_second: updates a second, without compilation and evaluation; None before the end.
    """

    path: Path
    config: Config
    record: dict[str, Any]
    status: str
    why: str | None
    epochs: tuple[dict[str, Any], ...]
    best: dict[str, Any] | None
    test: float | None
    steps_per_second: float | None

    @property
    def score(self) -> str:
        """What chooses the best epoch: ``f1`` or ``accuracy``."""
        return score_of(self.config)

    @property
    def dev(self) -> float | None:
        """The best score on the development sentences so far."""
        return None if self.best is None else self.best[f"dev_{self.score}"]

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON holds them."""
        return {
            "run": str(self.path),
            "status": self.status,
            "why": self.why,
            "epochs": len(self.epochs),
            "best_epoch": None if self.best is None else self.best["epoch"],
            "score": self.score,
            "dev": self.dev,
            "test": self.test,
            "steps_per_second": self.steps_per_second,
        }


def score_of(config: Config) -> str:
    """The name of the score that chooses the best epoch."""
    return "f1" if config.task == "spans" else "accuracy"


def read_outcome(run: str | os.PathLike[str]) -> Outcome:
    """Reads a run folder; of a run that goes on, what is there by now.

    Raises:
        RunError: it is no run of `jaxbackprop train`, or is damaged.
    """
    path = Path(run)
    record, _ = read_run(path, begun=True)
    try:
        config = Config.from_dict(record["settings"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"the configuration of {path} is not usable: {error}") from None
    status, why = read_standing(path)
    score = score_of(config)
    epochs = _epochs(path / METRICS, f"dev_{score}")
    results = read_json(path / RESULTS) if status == FINISHED else {}
    # Of equals the latest, as in training.
    best = max(epochs, key=lambda epoch: (epoch[f"dev_{score}"], epoch["epoch"]), default=None)
    return Outcome(
        path=path,
        config=config,
        record=record,
        status=status,
        why=why,
        epochs=tuple(epochs),
        best=best,
        test=_test_score(path, results.get("test"), score),
        steps_per_second=results.get("steps_per_second"),
    )


def read_standing(path: Path) -> tuple[str, str | None]:
    """How a run stands, or the runs of several seeds: `Outcome.status` and `Outcome.why`."""
    # In this order: a run that ends in between has said so.
    held = is_held(path)
    # Older runs are kept at their end alone, and do not say so.
    state = read_json(path / STATUS) if (path / STATUS).exists() else {"status": FINISHED}
    status, why = str(state.get("status")), state.get("why")
    if status == RUNNING and not held:
        status = KILLED
    return status, str(why) if status == FAILED and why is not None else None


def _epochs(file: Path, monitor: str) -> list[dict[str, Any]]:
    try:
        *lines, last = file.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:  # before the first epoch's end
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from None
    # What follows the last end of a line is a line that is being written.
    del last
    epochs = []
    for number, line in enumerate(lines, start=1):
        try:
            epoch = json.loads(line)
            figures = [epoch[name] for name in ("epoch", "loss", monitor)]
        except (ValueError, LookupError, TypeError, RecursionError):
            figures = [None]
        if not all(isinstance(figure, int | float) for figure in figures):
            raise RunError(f"{file}:{number} is no epoch's record with {monitor}")
        epochs.append(epoch)
    return epochs


def _test_score(path: Path, scores: Any, score: str) -> float | None:
    if scores is None:
        return None
    try:
        found = scores["accuracy"] if score == "accuracy" else scores["micro avg"]["f1"]
    except (LookupError, TypeError):
        found = None
    if not isinstance(found, int | float):
        raise RunError(f"{path / RESULTS} holds no {score} of the test sentences")
    return float(found)

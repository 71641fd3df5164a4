"""How findings are made: what a cotangent is called, and which entry is furthest off."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._report import Finding
from ._trial import Trial


def name_of(trial: Trial, leaf: int) -> str:
    """How messages call the cotangent of a differentiable leaf."""
    return trial.names[leaf]


def finding(trial: Trial, leaf: int | None, what: str, message: str, **more: Any) -> Finding:
    """A finding about a differentiable leaf, or about none in particular."""
    if leaf is not None:
        more = {"argument": trial.layout.arguments[leaf], "path": trial.layout.paths[leaf], **more}
    return Finding(what, message, **more)


def raised(error: Exception, when: str = "", mistakes: tuple[str, ...] = ()) -> Finding:
    """The finding that a rule raises."""
    return Finding(
        "structure", f"the rule raises {when + ': ' if when else ''}{first_line(error)}", mistakes=mistakes
    )


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def beyond(
    got: np.ndarray, want: np.ndarray, noise: Any
) -> tuple[tuple[int, ...], float, float, float, float] | None:
    """The entry furthest beyond its noise, if one is. Where the truth is not finite nothing is asked."""
    with np.errstate(all="ignore"):
        distance = np.where(np.isfinite(want), np.abs(got - want), 0.0)
        noise = np.broadcast_to(noise, distance.shape)
        over = np.isfinite(want) & ~(distance <= noise)
        if not np.any(over):
            return None
        excess = np.where(over, np.where(np.isfinite(distance), distance / (noise + 1e-300), np.inf), -1.0)
    worst = np.unravel_index(int(np.argmax(excess)), excess.shape)
    index = tuple(int(i) for i in worst)
    return index, float(got[worst]), float(want[worst]), float(distance[worst]), float(noise[worst])

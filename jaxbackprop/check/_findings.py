"""How findings are made: of which leaf they tell, and which entry is furthest off."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from jaxbackprop._output import first_line

from ._report import Finding
from ._session import Trial


@dataclasses.dataclass(frozen=True)
class Worst:
    """The entry that is furthest beyond its noise; the fields are those of a `Finding`."""

    index: tuple[int, ...]
    got: float
    want: float
    error: float
    noise: float


def finding(
    trial: Trial, leaf: int, what: str, message: str, worst: Worst | None = None, **more: Any
) -> Finding:
    """A finding about a differentiable leaf."""
    if worst is not None:
        more = {**vars(worst), **more}
    return Finding(
        what, message, argument=trial.layout.arguments[leaf], path=trial.layout.paths[leaf], **more
    )


def leaf_of(trial: Trial, found: Finding) -> int | None:
    """The differentiable leaf of which a finding tells; None where of none in particular."""
    places = list(zip(trial.layout.arguments, trial.layout.paths, strict=True))
    place = (found.argument, found.path)
    return places.index(place) if place in places else None


def raised(error: Exception, when: str = "", mistakes: tuple[str, ...] = ()) -> Finding:
    """The finding that a rule raises."""
    said = f"the rule raises {when + ': ' if when else ''}{first_line(error)}"
    return Finding("structure", said, mistakes=mistakes)


def beyond(got: np.ndarray, want: np.ndarray, noise: Any) -> Worst | None:
    """The entry furthest beyond its noise, if one is. Where the truth is not finite nothing is asked."""
    with np.errstate(all="ignore"):
        distance = np.where(np.isfinite(want), np.abs(got - want), 0.0)
        noise = np.broadcast_to(noise, distance.shape)
        over = np.isfinite(want) & ~(distance <= noise)
        if not np.any(over):
            return None
        excess = np.where(over, np.where(np.isfinite(distance), distance / (noise + 1e-300), np.inf), -1.0)
    at = np.unravel_index(int(np.argmax(excess)), excess.shape)
    index = tuple(int(i) for i in at)
    return Worst(index, float(got[at]), float(want[at]), float(distance[at]), float(noise[at]))

"""What the gradients around a spot say of the one there: at a kink, and where autodiff is not finite."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxbackprop._float64 import to_numpy64

from . import _kinks
from ._evaluator import Spot
from ._rounding import jittered
from ._session import LARGE, Look, Trial

# Differences move entry by entry; beyond so many entries a hull of them takes too long.
_MOST_BY_DIFFERENCES = 256


def kink(trial: Trial, look: Look, leaf: int) -> _kinks.Kink | None:
    """Whether a leaf's gradient at a spot is at a kink, and how far out of its hull the answer is."""
    layout, truth = trial.layout, trial.truth
    at = [look.spot.leaves[i] for i in layout.floats]
    shapes = [np.shape(x) for x in at]
    sizes = [int(np.prod(s)) for s in shapes]
    ends = np.cumsum(sizes)
    if ends[-1] > (LARGE if truth is not None else _MOST_BY_DIFFERENCES):
        return None
    scale = np.concatenate([np.full(n, _size(x)) for x, n in zip(at, sizes, strict=True)])
    x = _kinks.flat(tuple(at))

    def gradients(moves: list[np.ndarray]) -> np.ndarray:
        spots = []
        for move in moves:
            moved = np.split(x + move, ends[:-1])
            floats = tuple(m.reshape(s) for m, s in zip(moved, shapes, strict=True))
            spots.append(Spot(layout.with_floats(look.spot.leaves, floats), look.spot.dy))
        if truth is None:
            return np.stack([trial.differences.gradient(spot) for spot in spots])
        return np.stack([_kinks.flat(answer.gradient) for answer in truth.run(spots)])

    return _kinks.look(
        _kinks.flat(look.got.gradient),
        _kinks.flat(look.want),
        slice(int(ends[leaf] - sizes[leaf]), int(ends[leaf])),
        scale,
        gradients,
        np.random.default_rng(0),
        # Differences want room between a kink and their step.
        radius=_kinks.RADIUS if truth is not None else 2.0**-12,
    )


def nearby_mean(trial: Trial, look: Look, leaf: int) -> tuple[np.ndarray, float]:
    """The gradient around a spot where autodiff itself is not finite, and how much it varies."""
    assert trial.truth is not None
    layout, moved = trial.layout, []
    rng = np.random.default_rng(0)
    for spot in (jittered(layout, look.spot, 2.0**-24, n) for n in range(4)):
        leaves = list(spot.leaves)
        for i in layout.floats:
            shake = rng.uniform(-1, 1, np.shape(leaves[i]))
            leaves[i] = leaves[i] + 2.0**-24 * _size(leaves[i]) * shake
        moved.append(Spot(tuple(leaves), spot.dy))
    gradients = np.stack([to_numpy64(a.gradient[leaf]) for a in trial.truth.run(moved)])
    return np.mean(gradients, axis=0), float(np.max(np.ptp(gradients, axis=0), initial=0.0))


def _size(leaf: Any) -> float:
    x = np.asarray(leaf, np.float64)
    return float(np.max(np.abs(x), initial=0.0)) or 1.0

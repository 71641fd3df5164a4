"""What the steps of a recurrence hear of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ._probe import Pair, Probe, long_axes


def in_time(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """What the steps of a recurrence hear of."""
    if not probe.recurrent or any(len(p.outer) < 2 for p in pairs):
        return
    heard = [[~probe.zero(m, p.want) for m in (p.got, p.want)] for p in pairs]
    first = [(np.any(g[0]), np.any(w[0])) for g, w in heard]
    if all(g and not w for g, w in first):
        yield probe.suspect("time shift", leaf, 0.05, "hears of the first step, of which it should not")
    elif all(w and not g for g, w in first) and all(np.any(g[t]) for g, _ in heard for t in range(1, len(g))):
        yield probe.suspect("time shift", leaf, 0.05, "does not hear of the first step")
        yield probe.suspect("off by one", leaf, 0.2, "does not hear of the first step")
    if any(p.outer[0] != p.inner[:1][0] if p.inner else True for p in pairs):
        return
    steps = []
    for (g, w), p in zip(heard, pairs, strict=True):
        others = tuple(a for a in range(g.ndim) if a not in (0, len(p.outer)))
        steps.append((np.any(g, others), np.any(w, others)))
    if all(np.array_equal(g, w.T) and not np.array_equal(w, w.T) for g, w in steps):
        yield probe.suspect("order reversed", leaf, 0.04, "runs through time in the wrong direction")
        return
    elif all(
        np.array_equal(g, w & np.eye(len(w), dtype=bool)) and not np.array_equal(g, w) for g, w in steps
    ):
        yield probe.suspect("path forgotten", leaf, 0.05, "does not run through time")
        yield probe.suspect("time shift", leaf, 0.3, "does not run through time")
        return
    slopes = []
    for p in pairs:
        n = p.outer[0]
        got = np.stack([np.moveaxis(p.got, len(p.outer), 1)[t, t] for t in range(n)])
        want = np.stack([np.moveaxis(p.want, len(p.outer), 1)[t, t] for t in range(n)])
        ratio = (got / want).reshape(*p.outer, -1)
        slopes.append(
            bool(np.all(np.ptp(ratio, -1) <= 1e-6 * np.abs(ratio[..., 0]))) and not probe.equal(got, want)
        )
    if all(slopes):
        says = "has another slope in each step than it should"
        yield probe.suspect("wrong derivative formula", leaf, 0.15, says)
        yield probe.suspect("missing factor", leaf, 0.16, says)


def outer_factor(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """A matrix's gradient multiplies by the result, or the next state, in place of what came in."""
    for start in (False, True) if probe.recurrent else (False,):
        for k, y in enumerate(pairs[0].sample.y):
            for other, slot in enumerate(probe.evidence.slots):
                if other != leaf and all(
                    _replaced(probe, p, p.sample.y[k], p.sample.leaves[slot], start) for p in pairs
                ):
                    says = f"multiplies by the result in place of {probe.argument(other)}"
                    recurrent = probe.recurrent or np.ndim(y) == 1
                    yield probe.suspect("time shift", leaf, 0.0 if recurrent else 0.1, says)
                    yield probe.suspect("output for input", leaf, 0.05, says)
                    yield probe.suspect("stale residual", leaf, 0.2, says)
                    return


def _replaced(probe: Probe, p: Pair, y: np.ndarray, x: np.ndarray, start: bool) -> bool:
    """Whether got · x = want · y along an axis of the leaf, example by example, or in the first step."""
    for axis in long_axes(p.inner):
        n = p.inner[axis]
        stacked = np.ndim(y) == 2 and p.outer[:1] == y.shape[:1]
        if np.shape(y)[-1:] != (n,) or np.shape(x) not in (np.shape(y), (n,)) or np.ndim(y) > 2:
            continue
        along = [1] * len(p.inner)
        along[axis] = n
        fits = []
        for index in range(1 if start else p.outer[0]) if stacked else (slice(None),):
            ours, theirs = y[index] if stacked else y, x[index] if stacked and np.ndim(x) == 2 else x
            if np.ndim(ours) != 1 or np.ndim(theirs) != 1:
                break
            fits.append(
                probe.equal(p.got[index] * np.reshape(theirs, along), p.want[index] * np.reshape(ours, along))
                and not probe.equal(p.got[index], p.want[index])
            )
        if fits and all(fits):
            return True
    return False

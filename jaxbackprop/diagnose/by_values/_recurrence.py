"""Which steps of a recurrence depend on which, and which state the gradient of a matrix multiplies by."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ..mistakes import Mistake
from ._axes import long_axes, other_axes
from ._jacobians import JacobianPair
from ._probe import Probe


def first_step(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """The gradient does not depend on the first step's cotangent, as it should, but on the others'."""
    if not _steps(probe, pairs):
        return
    if all(np.any(p.want_support[0]) and not np.any(p.got_support[0]) for p in pairs) and all(
        np.any(step) for p in pairs for step in p.got_support[1:]
    ):
        costs = {Mistake.TIME_SHIFT: 0.05, Mistake.OFF_BY_ONE: 0.2}
        yield from probe.suspect(leaf, "does not depend on the first step", costs)


def through_time(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """The gradient of a step depends on earlier steps of the upstream, on its own alone, or by a factor."""
    if not _steps(probe, pairs) or any(p.leaf_shape[:1] != p.result_shape[:1] for p in pairs):
        return
    steps = []
    for p in pairs:
        others = other_axes(p.want.ndim, 0, len(p.result_shape))
        steps.append((np.any(p.got_support, others), np.any(p.want_support, others)))
    if all(np.array_equal(g, w.T) and not np.array_equal(w, w.T) for g, w in steps):
        says = "runs through time in the wrong direction"
        yield from probe.suspect(leaf, says, {Mistake.ORDER_REVERSED: 0.04})
        return
    if all(np.array_equal(g, w & np.eye(len(w), dtype=bool)) and not np.array_equal(g, w) for g, w in steps):
        costs = {Mistake.PATH_FORGOTTEN: 0.05, Mistake.TIME_SHIFT: 0.3}
        yield from probe.suspect(leaf, "does not run through time", costs)
        return
    if all(_another_slope(probe, p) for p in pairs):
        costs = {Mistake.WRONG_DERIVATIVE: 0.15, Mistake.MISSING_FACTOR: 0.16}
        yield from probe.suspect(leaf, "has another slope in each step than it should", costs)


def _steps(probe: Probe, pairs: list[JacobianPair]) -> bool:
    return probe.recurrent and all(len(p.result_shape) > 1 for p in pairs)


def _another_slope(probe: Probe, p: JacobianPair) -> bool:
    """Whether within a step each entry of the result has a factor."""
    got, want = (np.einsum("tt...->t...", np.moveaxis(m, len(p.result_shape), 1)) for m in (p.got, p.want))
    ratio = (got / want).reshape(*p.result_shape, -1)
    return bool(np.all(np.ptp(ratio, -1) <= 1e-6 * np.abs(ratio[..., 0]))) and not probe.equal(got, want)


def result_for_state(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """A matrix's gradient multiplies by the result, or the next state, in place of what came in."""
    for first_only in (False, True) if probe.recurrent else (False,):
        for k, y in enumerate(pairs[0].sample.y):
            for other, slot in enumerate(probe.evidence.slots):
                if other != leaf and all(
                    _replaced(probe, p, p.sample.y[k], np.asarray(p.sample.leaves[slot]), first_only)
                    for p in pairs
                ):
                    says = f"multiplies by the result in place of {probe.argument(other)}"
                    state = probe.recurrent or np.ndim(y) == 1
                    costs = {
                        Mistake.TIME_SHIFT: 0.0 if state else 0.1,
                        Mistake.OUTPUT_FOR_INPUT: 0.05,
                        Mistake.STALE_RESIDUAL: 0.2,
                    }
                    yield from probe.suspect(leaf, says, costs)
                    return


def _replaced(probe: Probe, p: JacobianPair, y: np.ndarray, x: np.ndarray, first_only: bool) -> bool:
    """Whether got · x = want · y along an axis of the leaf, in each step, or in the first one."""
    stacked = y.ndim == 2 and p.result_shape[:1] == y.shape[:1]
    if not 0 < y.ndim <= 2 or y.ndim > 1 and not stacked:
        return False
    n = y.shape[-1]
    for axis in long_axes(p.leaf_shape):
        if p.leaf_shape[axis] != n or x.shape not in (y.shape, (n,)):
            continue
        along = [1] * len(p.leaf_shape)
        along[axis] = n
        steps = range(1 if first_only else len(y)) if stacked else (slice(None),)
        if all(
            probe.equal(
                p.got[t] * np.reshape(x[t] if x.ndim == 2 else x, along),
                p.want[t] * np.reshape(y[t] if stacked else y, along),
            )
            and not probe.equal(p.got[t], p.want[t])
            for t in steps
        ):
            return True
    return False

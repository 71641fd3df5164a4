"""Which steps of a recurrence depend on which, and which state the gradient of a matrix multiplies by."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._axes import long_axes
from .._evidence import Suspicion
from ..mistakes import Mistake
from ._jacobians import JacobianPair
from ._probe import Probe


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

"""Which entries of a gradient are wrong: always the same, those below zero, those at repeated indices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._axes import long_axes, slice_name, slices_with_any
from .._evidence import Suspicion
from ..mistakes import Mistake
from ._probe import Probe


def where_zero_is_due(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """Wrong only where the right gradient is zero."""
    wrong = _wrong(probe, leaf)
    if not wrong[0].ndim or not np.any(wrong):
        return
    if any(np.any(s.want[leaf][w]) for s, w in zip(probe.samples, wrong, strict=True)):
        return
    selects = probe.selects[leaf]
    says = "is not zero where it should be"
    costs = {Mistake.PADDING: 0.35 if selects else 0.15, Mistake.WRONG_MASK: 0.12 if selects else 0.2}
    yield from probe.suspect(leaf, says, costs)
    yield from probe.suspect(leaf, f"{says}: a mask is missing", {Mistake.MISSING_FACTOR: 0.3})


def always_the_same(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The same entries are wrong at every sample: one slice, or others."""
    ever = np.any(_wrong(probe, leaf), axis=0)
    if np.all(ever) or not np.any(ever):
        return
    for axis in long_axes(ever.shape):
        indices = slices_with_any(ever, axis)
        if len(indices) == 1:
            yield from _one_slice(probe, leaf, ever.shape, axis, int(indices[0]))
            return
    says = f"is wrong on {int(np.sum(ever))} of {ever.size} entries only"
    yield from probe.suspect(leaf, says, {Mistake.PARTLY_WRONG: 0.6})


def _one_slice(probe: Probe, leaf: int, shape: tuple[int, ...], axis: int, index: int) -> Iterator[Suspicion]:
    where = f"in the {slice_name(shape, axis, index)} only"
    says = f"is wrong {where}"
    edge = index in (0, shape[axis] - 1)
    zero_due = not any(np.any(np.take(s.want[leaf], index, axis)) for s in probe.samples)
    costs = {Mistake.PARTLY_WRONG: 0.01 if edge and not zero_due else 0.3}
    if zero_due and not probe.selects[leaf]:
        yield from probe.suspect(leaf, f"is not zero {where}", {Mistake.PADDING: 0.1})
    elif edge:
        costs |= {Mistake.OFF_BY_ONE: 0.3, Mistake.PADDING: 0.35}
    if probe.recurrent and edge:
        costs[Mistake.TIME_SHIFT] = 0.005
    yield from probe.suspect(leaf, says, costs)


def beyond_a_value(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """Wrong above or below some value of the argument, or of its absolute value."""
    wrong = np.stack(_wrong(probe, leaf))
    if wrong.ndim < 2 or wrong.size < 8 or min(np.sum(wrong), np.sum(~wrong)) < 2:
        return
    slot, name = probe.evidence.slots[leaf], probe.argument(leaf)
    x = np.stack([np.asarray(s.leaves[slot], np.float64) for s in probe.samples])
    got, want = (
        np.stack(side)[wrong]
        for side in zip(*((s.got[leaf], s.want[leaf]) for s in probe.samples), strict=True)
    )
    for u, called in ((x, name), (np.abs(x), f"|{name}|")):
        if np.min(u[wrong]) > np.max(u[~wrong]):
            sign, low, high = ">", np.max(u[~wrong]), np.min(u[wrong])
        elif np.max(u[wrong]) < np.min(u[~wrong]):
            sign, low, high = "<", np.max(u[wrong]), np.min(u[~wrong])
        else:
            continue
        masked = not np.any(got) or not np.any(want) or probe.equal(got, -want) or u is not x
        costs = {
            Mistake.PARTLY_WRONG: 0.13 if masked else 0.02,
            Mistake.WRONG_MASK: 0.05 if masked else 0.2,
            Mistake.WRONG_DERIVATIVE: 0.3,
        }
        yield from probe.suspect(leaf, f"is wrong where {called} {sign} {_round_between(low, high)}", costs)
        return


def _wrong(probe: Probe, leaf: int) -> list[np.ndarray]:
    return [probe.differs(s.got[leaf], s.want[leaf]) for s in probe.samples]


def _round_between(low: float, high: float) -> str:
    """The roundest number between two others."""
    if low <= 0 <= high:
        return "0"
    for digits in range(-6, 9):
        for candidate in (round(low, digits), round(high, digits)):
            if low <= candidate <= high:
                return f"{candidate:g}"
    return f"{low:.3g}"

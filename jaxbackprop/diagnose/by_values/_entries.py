"""Which entries of a gradient are wrong: always the same, those below zero, those at repeated indices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ..mistakes import Mistake
from ._axes import long_axes, other_axes, slice_name, slices_with_any
from ._leaves import is_integer
from ._probe import Probe


def one_or_two(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The same one or two entries among many are wrong at every sample."""
    ever = np.any(_wrong(probe, leaf), axis=0)
    count = int(np.sum(ever))
    if not 0 < count <= 2 or ever.size < 64 * count:
        return
    index = tuple(int(i) for i in np.argwhere(ever)[0])
    factors = [s.got[leaf][index] / s.want[leaf][index] for s in probe.samples if s.want[leaf][index]]
    by = ""
    if factors and np.ptp(factors) <= 10 * probe.tolerance * np.max(np.abs(factors)):
        by = f": it is {factors[0]:.4g} times what it should be"
        if abs(factors[0] + 1) < 1e-9:
            by = ": it has the wrong sign"
    more = "" if count == 1 else " and another one"
    says = f"is wrong at {list(index)}{more} alone{by}"
    yield from probe.suspect(leaf, says, {Mistake.PARTLY_WRONG: 0.0})


def at_repeated_indices(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """Wrong where an integer argument repeats an index, and there alone."""
    wrong = _wrong(probe, leaf)
    for slot, value in enumerate(probe.samples[0].leaves):
        if not is_integer(value) or np.size(value) < 2:
            continue
        for axis in long_axes(wrong[0].shape):
            if all(
                _only_repeated(w, s.want[leaf], np.ravel(s.leaves[slot]), axis)
                for s, w in zip(probe.samples, wrong, strict=True)
            ):
                says = "is wrong where an index is repeated"
                yield from probe.suspect(leaf, says, {Mistake.SET_NOT_ADD: 0.02})
                return


def _only_repeated(wrong: np.ndarray, want: np.ndarray, ids: np.ndarray, axis: int) -> bool:
    """Whether the slices of an axis with a repeated index hold all that is wrong, and others are right."""
    n = wrong.shape[axis]
    if np.any(ids >= n) or np.any(ids < -n):
        return False
    others = other_axes(wrong.ndim, axis)
    repeated = np.bincount(ids % n, minlength=n) > 1
    due, lines = np.any(want, axis=others), np.any(wrong, axis=others)
    return not np.any(lines & ~(repeated & due)) and bool(np.any(due & ~repeated))


def where_zero_is_due(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """Wrong only where the right gradient is zero."""
    wrong = _wrong(probe, leaf)
    if not wrong[0].ndim or not np.any(wrong):
        return
    if any(np.any(s.want[leaf][w]) for s, w in zip(probe.samples, wrong, strict=True)):
        return
    selects = probe.selects(leaf)
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
    if zero_due and not probe.selects(leaf):
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


def some(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """Right on a good part of the entries."""
    shares = [np.mean(w) for w in _wrong(probe, leaf)]
    if np.ndim(probe.samples[0].want[leaf]) and min(shares) < 1 and 0 < np.mean(shares) < 0.7:
        yield from probe.suspect(leaf, "is wrong on some entries only", {Mistake.PARTLY_WRONG: 0.7})


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

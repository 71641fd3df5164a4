"""What gradients show: the right numbers in other places, which entries are wrong, what they lack."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import _arrays as arrays
from ..mistakes import Mistake as M
from ._probe import Guess, Probe


def transposed_gradient(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The right gradient with its axes in another order."""
    wants = [s.want[leaf] for s in probe.samples]
    for order in arrays.axis_orders(wants[0].shape):
        if probe.is_always(leaf, (want.transpose(order) for want in wants)):
            # A gradient that is constant along an axis is the sum over the wrong one, spread out again.
            flat = all(any(probe.constant_along(w, a) for a in arrays.long_axes(w.shape)) for w in wants)
            how = "" if len(order) == 2 else f", its axes in the order {order}"
            says = f"is the transpose of what it should be{how}"
            yield leaf, says, {M.TRANSPOSED_RESULT: 0.1 if flat else 0.0}
            yield leaf, f"is transposed{how}", {M.WRONG_AXIS: 0.05 if flat else 0.3}
            return


def reversed_gradient(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The right gradient backwards."""
    wants = [s.want[leaf] for s in probe.samples]
    for axes in arrays.axis_subsets(wants[0].shape):
        if probe.is_always(leaf, (np.flip(want, axes) for want in wants)):
            yield leaf, f"runs backwards along {arrays.in_words(axes)}", {M.ORDER_REVERSED: 0.02}
            return


def shifted_gradient(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The right gradient one place on along an axis."""
    for axis, wants in _varying_axes(probe, leaf):
        for by in (1, -1):
            for wrap in (True, False):
                if probe.is_always(leaf, (arrays.shifted(want, by, axis, wrap=wrap) for want in wants)):
                    says = f"is shifted by one along axis {axis}"
                    yield leaf, says, {M.OFF_BY_ONE: 0.02, M.TIME_SHIFT: 0.4}


def summed_gradient(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The sum or mean of the right gradient over an axis, spread out again."""
    for axis, wants in _varying_axes(probe, leaf):
        for f, name in ((np.sum, "sum"), (np.mean, "mean")):
            totals = (np.asarray(f(want, axis=axis, keepdims=True)) for want in wants)
            if probe.is_always(leaf, (np.broadcast_to(total, wants[0].shape) for total in totals)):
                says = f"is the {name} over axis {axis} of what it should be, everywhere"
                yield leaf, says, {M.EXTRA_SUM: 0.02}


def _varying_axes(probe: Probe, leaf: int) -> Iterator[tuple[int, list[np.ndarray]]]:
    """The axes along which the right gradient is not constant at all samples, and that gradient."""
    wants = [s.want[leaf] for s in probe.samples]
    for axis in arrays.long_axes(wants[0].shape):
        if not all(probe.constant_along(want, axis) for want in wants):
            yield axis, wants


def another_arguments(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The right cotangent of another argument."""
    wants = probe.samples[0].want
    for other in range(len(wants)):
        if other == leaf or wants[other].shape != wants[leaf].shape:
            continue
        if probe.is_always(leaf, (s.want[other] for s in probe.samples)):
            both = probe.is_always(other, (s.want[leaf] for s in probe.samples))
            yield leaf, f"is what {probe.name(other)} should be", {M.ARGUMENTS_SWAPPED: 0.0 if both else 0.1}


def where_zero_is_due(probe: Probe, leaf: int) -> Iterator[Guess]:
    """Wrong only where the right gradient is zero."""
    wrong = _wrong(probe, leaf)
    if not wrong[0].ndim or not np.any(wrong):
        return
    if any(np.any(s.want[leaf][w]) for s, w in zip(probe.samples, wrong, strict=True)):
        return
    selects = probe.selects[leaf]
    says = "is not zero where it should be"
    yield leaf, says, {M.PADDING: 0.35 if selects else 0.15, M.WRONG_MASK: 0.12 if selects else 0.2}
    yield leaf, f"{says}: a mask is missing", {M.MISSING_FACTOR: 0.3}


def always_the_same(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The same entries are wrong at every sample: one slice, or others."""
    ever = np.any(_wrong(probe, leaf), axis=0)
    if np.all(ever) or not np.any(ever):
        return
    for axis in arrays.long_axes(ever.shape):
        indices = arrays.slices_with_any(ever, axis)
        if len(indices) == 1:
            yield from _one_slice(probe, leaf, ever.shape, axis, int(indices[0]))
            return
    yield leaf, f"is wrong on {int(np.sum(ever))} of {ever.size} entries only", {M.PARTLY_WRONG: 0.6}


def _one_slice(probe: Probe, leaf: int, shape: tuple[int, ...], axis: int, index: int) -> Iterator[Guess]:
    where = f"in the {arrays.slice_name(shape, axis, index)} only"
    says = f"is wrong {where}"
    edge = index in (0, shape[axis] - 1)
    zero_due = not any(np.any(np.take(s.want[leaf], index, axis)) for s in probe.samples)
    costs = {M.PARTLY_WRONG: 0.01 if edge and not zero_due else 0.3}
    if zero_due and not probe.selects[leaf]:
        yield leaf, f"is not zero {where}", {M.PADDING: 0.1}
    elif edge:
        costs |= {M.OFF_BY_ONE: 0.3, M.PADDING: 0.35}
    if probe.recurrent and edge:
        costs[M.TIME_SHIFT] = 0.005
    yield leaf, says, costs


def beyond_a_value(probe: Probe, leaf: int) -> Iterator[Guess]:
    """Wrong above or below some value of the argument, or of its absolute value."""
    wrong = np.stack(_wrong(probe, leaf))
    if wrong.ndim < 2 or wrong.size < 8 or min(np.sum(wrong), np.sum(~wrong)) < 2:
        return
    slot, name = probe.evidence.slots[leaf], probe.argument(leaf)
    x = np.stack([np.asarray(s.leaves[slot], np.float64) for s in probe.samples])
    got = np.stack([s.got[leaf] for s in probe.samples])[wrong]
    want = np.stack([s.want[leaf] for s in probe.samples])[wrong]
    for u, called in ((x, name), (np.abs(x), f"|{name}|")):
        if np.min(u[wrong]) > np.max(u[~wrong]):
            sign, low, high = ">", np.max(u[~wrong]), np.min(u[wrong])
        elif np.max(u[wrong]) < np.min(u[~wrong]):
            sign, low, high = "<", np.max(u[wrong]), np.min(u[~wrong])
        else:
            continue
        masked = not np.any(got) or not np.any(want) or probe.equal(got, -want) or u is not x
        partly, mask = (0.13, 0.05) if masked else (0.02, 0.2)
        costs = {M.PARTLY_WRONG: partly, M.WRONG_MASK: mask, M.WRONG_DERIVATIVE: 0.3}
        yield leaf, f"is wrong where {called} {sign} {_round_between(low, high)}", costs
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


def constant_along_an_axis(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The lacking term is the same along an axis, and the gradient is not."""
    lacks = _lacks(probe, leaf)
    for axis in arrays.long_axes(lacks[0].shape):
        if any(probe.constant_along(s.want[leaf], axis) for s in probe.samples):
            continue
        if all(probe.constant_along(d, axis) for d in lacks):
            yield leaf, f"lacks a term that is the same along axis {axis}", {M.MISSING_TERM: 0.08}


def label_smoothing(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The lacking term is the same for all classes but the label, and sums to zero."""
    lacks = _lacks(probe, leaf)
    shape = lacks[0].shape
    if not shape or shape[-1] < 3:
        return
    for slot, value in enumerate(probe.samples[0].leaves):
        if not arrays.is_integer(value) or np.shape(value) != shape[:-1]:
            continue
        if all(
            _is_smoothing(probe, d, s.want[leaf], np.asarray(s.leaves[slot]))
            for s, d in zip(probe.samples, lacks, strict=True)
        ):
            says = "lacks what label smoothing adds: the same for every class but the label"
            yield leaf, says, {M.SMOOTHING_FORGOTTEN: 0.0}
            return


def _is_smoothing(probe: Probe, lack: np.ndarray, want: np.ndarray, labels: np.ndarray) -> bool:
    classes = lack.shape[-1]
    held = (labels >= 0) & (labels < classes)
    rows, labels = lack[held], labels[held]
    others = rows[np.arange(classes) != labels[:, None]].reshape(len(rows), classes - 1)
    noise = 10 * probe.tolerance * np.max(np.abs(want), initial=0.0)
    off = max(np.max(np.ptp(others, -1), initial=0.0), np.max(np.abs(rows.sum(-1)), initial=0.0))
    return bool(np.max(np.abs(rows), initial=0.0) > noise >= off)


def linear_in_an_argument(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The lacking term, over the upstream, is a + b times another argument."""
    first, lacks = probe.samples[0], _lacks(probe, leaf)
    shape = lacks[0].shape
    if len(first.dy) > 1 or first.dy[0].shape not in ((), shape) or not shape:
        return
    d = np.concatenate([np.ravel(lack / s.dy[0]) for lack, s in zip(lacks, probe.samples, strict=True)])
    for other, slot in enumerate(probe.evidence.slots):
        if other == leaf or np.shape(first.leaves[slot]) != shape or d.size < 6 or not np.all(np.isfinite(d)):
            continue
        t = np.concatenate([np.ravel(s.leaves[slot]) for s in probe.samples])
        if np.ptp(t) == 0:
            continue
        design = np.stack([np.ones_like(t), t], 1)
        (a, b), *_ = np.linalg.lstsq(design, d, rcond=None)
        if abs(a) > 1e-6 and abs(b) > 1e-6 and probe.equal(design @ np.asarray([a, b]), d):
            says = f"lacks a term that is linear in {probe.argument(other)}"
            # Smoothing moves the targets towards their middle.
            costs = {M.SMOOTHING_FORGOTTEN: 0.05} if a * b < 0 else {M.MISSING_TERM: 0.05}
            yield leaf, says, {M.MISSING_TERM: 0.1} | costs


def _lacks(probe: Probe, leaf: int) -> list[np.ndarray]:
    return [s.want[leaf] - s.got[leaf] for s in probe.samples]

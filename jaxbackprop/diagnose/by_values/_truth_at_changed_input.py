"""The rule's answer is the right one at changed input: at the output, a transposed matrix, other indices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from jaxbackprop._float64 import Arrays
from jaxbackprop._shapes import broadcasts_to

from .. import _arrays as arrays
from .._evidence import Sample
from ..mistakes import Mistake as M
from ._probe import Guess, Probe

Input = tuple[tuple[Any, ...], Arrays]
Change = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class ChangedInput:
    """A change, and what it means if the right gradient there is what the rule answers here."""

    at: Callable[[Sample], Input]  # the changed arguments and cotangents of a sample
    costs: Mapping[M, float]  # the mistakes that it would be
    says: str  # the message after the cotangent's name
    fits: Callable[[int], bool] = lambda leaf: True  # for which leaves it means that


def truth_at_changed_input(probe: Probe) -> Iterator[Guess]:
    """The rule's answer is the right one at other arguments or for another cotangent."""
    by_wrongness = sorted(probe.samples, key=lambda s: -sum(probe.wrong_at(s, leaf) for leaf in probe.wrong))
    for change in _changed_inputs(probe):
        leaves = [leaf for leaf in probe.wrong if change.fits(leaf)]
        answers = ((s, probe.truth(*change.at(s)), s.got) for s in by_wrongness)
        for leaf in probe.explained(leaves, answers):
            yield leaf, change.says, change.costs


def _changed_inputs(probe: Probe) -> Iterator[ChangedInput]:
    """All changes that are tried, those of arguments first."""
    s = probe.samples[0]
    named = {slot: probe.argument(leaf) for leaf, slot in enumerate(probe.evidence.slots)}
    for slot, value in enumerate(s.leaves):
        if slot in named:
            yield from _of_a_float(probe, slot, named)
        if arrays.is_boolean(value) or arrays.is_mask(value):
            yield from _of_a_mask(probe, slot, named.get(slot, "the mask"))
        if arrays.is_integer(value):
            yield from _of_indices(probe, slot, value)
    for k in range(len(s.dy)):
        yield from _of_a_cotangent(probe, k)


def _of_a_float(probe: Probe, slot: int, named: Mapping[int, str]) -> Iterator[ChangedInput]:
    s, name = probe.samples[0], named[slot]
    shape = np.shape(s.leaves[slot])
    with_it = f"is what it should be with {name}"

    def changed(change: Change, costs: Mapping[M, float], says: str, **fits: Any) -> ChangedInput:
        return ChangedInput(_leaf(slot, change), costs, says, **fits)

    for k, y in enumerate(s.y):
        if np.shape(y) == shape and shape:
            # Pieces of a piecewise-linear function have their slopes wherever they are evaluated.
            costs = {M.OUTPUT_FOR_INPUT: 0.14 if probe.piecewise_linear else 0.0}
            says = f"is what it should be with the result in place of {name}"

            def with_result(s: Sample, k: int = k) -> Input:
                return arrays.with_leaf(s, slot, s.y[k]), s.dy

            yield ChangedInput(with_result, costs, says)
    for order in arrays.axis_orders(shape):
        says = f"is what it should be with the transpose of {name}"
        yield changed(partial(np.transpose, axes=order), {M.MISSING_TRANSPOSE: 0.0}, says)
    for axes in arrays.axis_subsets(shape):
        says = f"{with_it} reversed along {arrays.in_words(axes)}"
        yield changed(partial(np.flip, axis=axes), {M.ORDER_REVERSED: 0.02}, says)
    for change, axis in _shifts(shape):
        costs = {M.OFF_BY_ONE: 0.05, M.TIME_SHIFT: 0.1}
        yield changed(change, costs, f"{with_it} shifted by one along axis {axis}")
    scalar = not shape or np.size(s.leaves[slot]) == 1

    def own(leaf: int) -> bool:
        return probe.evidence.slots[leaf] == slot

    ones, zeros = (f"is what it should be were {name} {value}" for value in ("all ones", "zero"))
    costs = {M.CONSTANT_FACTOR: 0.16, M.MISSING_FACTOR: 0.13} if scalar else {M.MISSING_FACTOR: 0.02}
    yield changed(np.ones_like, costs, ones, fits=lambda leaf: scalar or not own(leaf))
    costs = {M.SMOOTHING_FORGOTTEN: 0.1, M.MISSING_TERM: 0.15} if scalar else {M.PATH_FORGOTTEN: 0.1}
    yield changed(np.zeros_like, costs, zeros, fits=lambda leaf: not own(leaf))
    yield changed(np.zeros_like, {M.MISSING_FACTOR: 0.14, M.PATH_FORGOTTEN: 0.2}, zeros, fits=own)
    yield changed(np.negative, {M.SIGN: 0.1}, f"is what it should be with the sign of {name} flipped")
    for other in named:
        if other == slot or np.shape(s.leaves[other]) != shape or not shape:
            continue
        if other > slot:
            move = partial(_other_for, slot=slot, other=other, both=True)
            yield ChangedInput(move, {M.ARGUMENTS_SWAPPED: 0.1}, f"{with_it} and {named[other]} exchanged")
        move = partial(_other_for, slot=slot, other=other, both=False)
        says = f"is what it should be with {named[other]} in place of {name}"
        yield ChangedInput(move, {M.STALE_RESIDUAL: 0.2, M.ARGUMENTS_SWAPPED: 0.25}, says)


def _of_a_mask(probe: Probe, slot: int, name: str) -> Iterator[ChangedInput]:
    shape = np.shape(probe.samples[0].leaves[slot])

    def masked(leaf: int) -> bool:
        return np.shape(probe.samples[0].want[leaf]) == shape

    without, says = _leaf(slot, np.ones_like), f"is what it should be without {name}"
    yield ChangedInput(without, {M.PADDING: 0.02, M.WRONG_MASK: 0.04, M.MISSING_FACTOR: 0.06}, says, masked)
    # The mask works on another argument, whose unmasked value was kept.
    costs = {M.PADDING: 0.04, M.STALE_RESIDUAL: 0.05, M.MISSING_FACTOR: 0.3}
    yield ChangedInput(without, costs, says, lambda leaf: not masked(leaf))
    says = f"is what it should be with {name} inverted"
    inverted = _leaf(slot, lambda mask: np.logical_not(mask).astype(mask.dtype))
    yield ChangedInput(inverted, {M.WRONG_MASK: 0.0}, says)


def _of_indices(probe: Probe, slot: int, value: np.ndarray) -> Iterator[ChangedInput]:
    sizes = {n for leaf in probe.evidence.slots for n in np.shape(probe.samples[0].leaves[leaf])}
    for by in (1, -1):
        says = f"is what it should be for indices that are {by:+d} off"
        for n in (None, *sorted(n for n in sizes if n > np.max(value, initial=0))):
            yield ChangedInput(_leaf(slot, partial(_plus, by=by, n=n)), {M.OFF_BY_ONE: 0.0}, says)
    for axis in arrays.long_axes(np.shape(value)):
        says = "is what it should be for the indices in reversed order"
        yield ChangedInput(_leaf(slot, partial(np.flip, axis=axis)), {M.ORDER_REVERSED: 0.0}, says)
    if np.any(np.asarray(value) < 0):
        says = "is what it should be if negative indices counted"
        yield ChangedInput(_leaf(slot, lambda i: np.maximum(i, np.zeros_like(i))), {M.PADDING: 0.0}, says)


def _of_a_cotangent(probe: Probe, k: int) -> Iterator[ChangedInput]:
    s = probe.samples[0]
    shape = np.shape(s.dy[k])
    what = "the upstream cotangent" if len(s.dy) == 1 else f"the cotangent of result {k}"
    for_it, for_the = f"is what it should be for {what}", "is what it should be for the"

    def changed(change: Change, costs: Mapping[M, float], says: str, **fits: Any) -> ChangedInput:
        return ChangedInput(
            lambda s: (s.leaves, (*s.dy[:k], change(s.dy[k]), *s.dy[k + 1 :])), costs, says, **fits
        )

    def reduced(leaf: int) -> bool:
        return np.ndim(s.want[leaf]) < len(shape)

    for order in arrays.axis_orders(shape):
        says, transpose = f"{for_the} transpose of {what}", partial(np.transpose, axes=order)
        yield changed(transpose, {M.WRONG_AXIS: 0.0, M.MISSING_TRANSPOSE: 0.3}, says, fits=reduced)
        costs = {M.MISSING_TRANSPOSE: 0.0, M.WRONG_AXIS: 0.3}
        yield changed(transpose, costs, says, fits=lambda leaf: not reduced(leaf))
    for axes in arrays.axis_subsets(shape):
        says = f"{for_it} reversed along {arrays.in_words(axes)}"
        yield changed(partial(np.flip, axis=axes), {M.ORDER_REVERSED: 0.0}, says)
    for change, axis in _shifts(shape):
        costs = {M.OFF_BY_ONE: 0.02, M.TIME_SHIFT: 0.2}
        yield changed(change, costs, f"{for_it} shifted by one along axis {axis}")
    for axis in arrays.long_axes(shape):
        for f, name in ((np.sum, "summed"), (np.mean, "averaged")):
            says = f"{for_it} {name} over axis {axis}"
            yield changed(partial(arrays.spread, reduction=f, axis=axis), {M.EXTRA_SUM: 0.0}, says)
        for index, where in ((0, "first"), (shape[axis] - 1, "last")):
            says = f"counts the {where} slice of {what} along axis {axis} only"
            costs = {M.MISSING_SUM: 0.02}
            if axis == index == 0:
                costs[M.BATCH_OF_ONE] = 0.1
            yield changed(partial(_alone, index=index, axis=axis), costs, says)
            says = f"leaves out the {where} slice of {what} along axis {axis}"
            costs = {M.OFF_BY_ONE: 0.1, M.TIME_SHIFT: 0.15, M.PARTLY_WRONG: 0.2}
            costs |= {M.MISSING_TERM: 0.25}
            yield changed(partial(arrays.without, index=index, axis=axis), costs, says)
    if len(s.dy) > 1:
        yield changed(np.zeros_like, {M.OUTPUT_IGNORED: 0.0}, f"leaves out {what}")
    for name, quantity in _quantities(probe, k):
        for power, how, cost in ((-1.0, "divided by", 0.1), (1.0, "times", 0.15)):
            move = partial(_scaled, k=k, quantity=quantity, power=power)
            yield ChangedInput(move, {M.MISSING_FACTOR: cost}, f"{for_it} {how} {name}")


def _quantities(probe: Probe, k: int) -> Iterator[tuple[str, Callable[[Sample], np.ndarray]]]:
    """What an entry of the upstream may have been multiplied by."""
    s = probe.samples[0]
    yield "the result", lambda s: s.y[k]
    yield "1 - result", lambda s: 1 - s.y[k]
    yield "1 - result²", lambda s: 1 - s.y[k] ** 2
    for leaf, slot in enumerate(probe.evidence.slots):
        if broadcasts_to(np.shape(s.leaves[slot]), np.shape(s.y[k])):
            name = probe.argument(leaf)
            yield name, partial(_of_leaf, slot=slot, f=np.positive)
            yield f"log {name}", partial(_of_leaf, slot=slot, f=lambda x: np.log(np.abs(x)))
            yield f"{name}²", partial(_of_leaf, slot=slot, f=np.square)


def _shifts(shape: tuple[int, ...]) -> Iterator[tuple[Change, int]]:
    """Every shift by one, with its axis."""
    for axis in arrays.long_axes(shape):
        for by in (1, -1):
            for wrap in (True, False):
                yield partial(arrays.shifted, by=by, axis=axis, wrap=wrap), axis


def _leaf(slot: int, change: Change) -> Callable[[Sample], Input]:
    return lambda s: (arrays.with_leaf(s, slot, change(np.asarray(s.leaves[slot]))), s.dy)


def _other_for(s: Sample, slot: int, other: int, both: bool) -> Input:
    leaves = list(arrays.with_leaf(s, slot, s.leaves[other]))
    if both:
        leaves[other] = s.leaves[slot]
    return tuple(leaves), s.dy


def _of_leaf(s: Sample, slot: int, f: Change) -> np.ndarray:
    return f(np.asarray(s.leaves[slot]))


def _scaled(s: Sample, k: int, quantity: Callable[[Sample], np.ndarray], power: float) -> Input:
    return s.leaves, (*s.dy[:k], s.dy[k] * quantity(s) ** power, *s.dy[k + 1 :])


def _plus(ids: np.ndarray, by: int, n: int | None) -> np.ndarray:
    """Indices that are off, also past the end, or modulo their number."""
    moved = ids + np.asarray(by, ids.dtype)
    return moved if n is None else np.where(ids < 0, ids, moved % np.asarray(n, ids.dtype))


def _alone(d: np.ndarray, index: int, axis: int) -> np.ndarray:
    return d - arrays.without(d, index, axis)

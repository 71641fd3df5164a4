"""The rule's answer is the right one elsewhere: at the output, a transposed matrix, a shifted index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from jaxbackprop._float64 import Arrays

from .._evidence import Sample, Suspicion
from ._probe import (
    Probe,
    along,
    exchanges,
    fits,
    flips,
    is_boolean,
    is_integer,
    is_mask,
    long_axes,
    put,
    shifted,
)

Move = Callable[[Sample], tuple[tuple[Any, ...], Arrays]]
Change = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """A place at which the right gradient may be what the rule answers, and what it would mean."""

    move: Move
    labels: tuple[tuple[str, float], ...]
    says: str
    # Where a meaning fits some leaves only.
    only: Callable[[int], bool] = lambda leaf: True


def truth_elsewhere(probe: Probe) -> Iterator[Suspicion]:
    """The rule's answer is the right one at other arguments or for another cotangent."""
    by_wrongness = sorted(probe.samples, key=lambda s: -sum(probe.wrong_at(s, i) for i in probe.wrong))
    for place in _places(probe):
        leaves = [leaf for leaf in probe.wrong if place.only(leaf)]
        answers = ((s, probe.truth(*place.move(s)), s.got) for s in by_wrongness)
        for leaf in probe.explained(leaves, answers):
            for label, cost in place.labels:
                yield probe.suspect(label, leaf, cost, place.says)


def _places(probe: Probe) -> Iterator[Elsewhere]:
    s = probe.samples[0]
    named = {slot: probe.argument(leaf) for leaf, slot in enumerate(probe.evidence.slots)}
    for slot, value in enumerate(s.leaves):
        if slot in named:
            yield from _of_a_float(probe, slot, named)
        elif is_boolean(value):
            yield from _of_a_mask(probe, slot)
        elif is_integer(value):
            yield from _of_indices(slot, value)
    for k, d in enumerate(s.dy):
        yield from _of_a_cotangent(probe, k, d)


def _leaf(slot: int, change: Change) -> Move:
    return lambda s: (put(s, slot, change(np.asarray(s.leaves[slot]))), s.dy)


def _of_a_float(probe: Probe, slot: int, named: dict[int, str]) -> Iterator[Elsewhere]:
    s, name = probe.samples[0], named[slot]
    shape = np.shape(s.leaves[slot])
    for k, y in enumerate(s.y):
        if np.shape(y) == shape and shape:
            yield Elsewhere(
                partial(_result_for, slot=slot, k=k),
                # Pieces of a piecewise-linear function have their slopes wherever they are evaluated.
                (("output for input", 0.14 if probe.piecewise else 0.0),),
                f"is what it should be with the result in place of {name}",
            )
    for order in exchanges(shape):
        yield Elsewhere(
            _leaf(slot, partial(np.transpose, axes=order)),
            (("missing transpose", 0.0),),
            f"is what it should be with the transpose of {name}",
        )
    for axes in flips(shape):
        yield Elsewhere(
            _leaf(slot, partial(np.flip, axis=axes)),
            (("order reversed", 0.02),),
            f"is what it should be with {name} reversed along {along(axes)}",
        )
    if is_mask(s.leaves[slot]):
        yield Elsewhere(
            _leaf(slot, lambda x: 1 - x), (("wrong mask", 0.0),), f"is what it should be with {name} inverted"
        )
        yield Elsewhere(
            _leaf(slot, np.ones_like),
            (("padding", 0.03), ("wrong mask", 0.04)),
            f"is what it should be were {name} all ones",
        )
    for axis in long_axes(shape):
        for by in (1, -1):
            for wrap in (True, False):
                yield Elsewhere(
                    _leaf(slot, partial(shifted, by=by, axis=axis, wrap=wrap)),
                    (("off by one", 0.05), ("time shift", 0.1)),
                    f"is what it should be with {name} shifted by one along axis {axis}",
                )
    scalar = not shape or np.size(s.leaves[slot]) == 1
    yield Elsewhere(
        _leaf(slot, np.ones_like),
        (("constant factor", 0.16), ("missing factor", 0.13)) if scalar else (("missing factor", 0.02),),
        f"is what it should be were {name} all ones",
        lambda leaf: scalar or probe.evidence.slots[leaf] != slot,
    )
    yield Elsewhere(
        _leaf(slot, np.zeros_like),
        (("smoothing forgotten", 0.1), ("missing term", 0.15)) if scalar else (("path forgotten", 0.1),),
        f"is what it should be were {name} zero",
        lambda leaf: probe.evidence.slots[leaf] != slot,
    )
    yield Elsewhere(
        _leaf(slot, np.zeros_like),
        (("missing factor", 0.14), ("path forgotten", 0.2)),
        f"is what it should be were {name} zero",
        lambda leaf: probe.evidence.slots[leaf] == slot,
    )
    yield Elsewhere(
        _leaf(slot, np.negative), (("sign", 0.1),), f"is what it should be with the sign of {name} flipped"
    )
    for other in named:
        if other > slot and np.shape(s.leaves[other]) == shape and shape:
            yield Elsewhere(
                partial(_other_for, slot=slot, other=other, both=True),
                (("arguments swapped", 0.1),),
                f"is what it should be with {name} and {named[other]} exchanged",
            )
        if other != slot and np.shape(s.leaves[other]) == shape and shape:
            yield Elsewhere(
                partial(_other_for, slot=slot, other=other, both=False),
                (("stale residual", 0.2), ("arguments swapped", 0.25)),
                f"is what it should be with {named[other]} in place of {name}",
            )


def _of_a_mask(probe: Probe, slot: int) -> Iterator[Elsewhere]:
    shape = np.shape(probe.samples[0].leaves[slot])

    def masked(leaf: int) -> bool:
        return np.shape(probe.samples[0].want[leaf]) == shape

    says = "is what it should be without the mask"
    yield Elsewhere(
        _leaf(slot, np.ones_like),
        (("padding", 0.02), ("wrong mask", 0.04), ("missing factor", 0.06)),
        says,
        masked,
    )
    # The mask works on another argument, whose unmasked value was kept.
    yield Elsewhere(
        _leaf(slot, np.ones_like),
        (("padding", 0.04), ("stale residual", 0.05), ("missing factor", 0.3)),
        says,
        lambda leaf: not masked(leaf),
    )
    yield Elsewhere(
        _leaf(slot, np.logical_not), (("wrong mask", 0.0),), "is what it should be with the mask inverted"
    )
    for axis in long_axes(shape):
        for by in (1, -1):
            yield Elsewhere(
                _leaf(slot, partial(np.roll, shift=by, axis=axis)),
                (("off by one", 0.05), ("wrong mask", 0.1)),
                "is what it should be with the mask shifted by one",
            )
        yield Elsewhere(
            _leaf(slot, partial(np.flip, axis=axis)),
            (("order reversed", 0.05), ("wrong mask", 0.1)),
            "is what it should be with the mask reversed",
        )


def _of_indices(slot: int, value: np.ndarray) -> Iterator[Elsewhere]:
    for by in (1, -1):
        yield Elsewhere(
            _leaf(slot, partial(_plus, by=by)),
            (("off by one", 0.0),),
            f"is what it should be for indices that are {by:+d} off",
        )
    for axis in long_axes(np.shape(value)):
        yield Elsewhere(
            _leaf(slot, partial(np.flip, axis=axis)),
            (("order reversed", 0.0),),
            "is what it should be for the indices in reversed order",
        )
        for by in (1, -1):
            yield Elsewhere(
                _leaf(slot, partial(np.roll, shift=by, axis=axis)),
                (("off by one", 0.02), ("time shift", 0.2)),
                "is what it should be for the indices shifted by one place",
            )
    held = np.asarray(value)
    if np.any(held < 0):
        yield Elsewhere(
            _leaf(slot, lambda i: np.maximum(i, np.asarray(0, i.dtype))),
            (("padding", 0.0),),
            "is what it should be if negative indices counted",
        )
    if is_mask(value):
        yield Elsewhere(
            _leaf(slot, np.ones_like), (("padding", 0.02), ("wrong mask", 0.1)), "is right without the mask"
        )
        yield Elsewhere(
            _leaf(slot, lambda i: 1 - i),
            (("wrong mask", 0.02),),
            "is what it should be with the mask inverted",
        )


def _of_a_cotangent(probe: Probe, k: int, d: np.ndarray) -> Iterator[Elsewhere]:
    def changed(change: Change) -> Move:
        return lambda s: (s.leaves, (*s.dy[:k], change(s.dy[k]), *s.dy[k + 1 :]))

    shape = np.shape(d)

    def smaller(leaf: int) -> bool:
        return np.ndim(probe.samples[0].want[leaf]) < len(shape)

    what = "the upstream cotangent" if len(probe.samples[0].dy) == 1 else f"the cotangent of result {k}"
    for order in exchanges(shape):
        move = changed(partial(np.transpose, axes=order))
        says = f"is what it should be for the transpose of {what}"
        yield Elsewhere(move, (("wrong axis", 0.0), ("missing transpose", 0.3)), says, smaller)
        yield Elsewhere(
            move, (("missing transpose", 0.0), ("wrong axis", 0.3)), says, lambda leaf: not smaller(leaf)
        )
    for axes in flips(shape):
        yield Elsewhere(
            changed(partial(np.flip, axis=axes)),
            (("order reversed", 0.0),),
            f"is what it should be for {what} reversed along {along(axes)}",
        )
    for axis in long_axes(shape):
        for by in (1, -1):
            for wrap in (True, False):
                yield Elsewhere(
                    changed(partial(shifted, by=by, axis=axis, wrap=wrap)),
                    (("off by one", 0.02), ("time shift", 0.2)),
                    f"is what it should be for {what} shifted by one along axis {axis}",
                )
        for f, name, label in ((np.sum, "summed", "extra sum"), (np.mean, "averaged", "extra sum")):
            yield Elsewhere(
                changed(partial(_spread, f=f, axis=axis)),
                ((label, 0.0),),
                f"is what it should be for {what} {name} over axis {axis}",
            )
        for index in (0, shape[axis] - 1):
            where = "first" if index == 0 else "last"
            yield Elsewhere(
                changed(partial(_slice, axis=axis, index=index, kept=True)),
                (("missing sum", 0.02), *((("batch of one", 0.1),) if axis == 0 and index == 0 else ())),
                f"counts the {where} slice of {what} along axis {axis} only",
            )
            yield Elsewhere(
                changed(partial(_slice, axis=axis, index=index, kept=False)),
                (("off by one", 0.1), ("time shift", 0.15), ("partly wrong", 0.2), ("missing term", 0.25)),
                f"leaves out the {where} slice of {what} along axis {axis}",
            )
    inner = {n for slot in probe.evidence.slots for n in np.shape(probe.samples[0].leaves[slot])}
    for axis in long_axes(shape):
        for n in sorted(n for n in inner if 1 < n < shape[axis] and shape[axis] % n == 0):
            yield Elsewhere(
                changed(partial(_blocks_reversed, axis=axis, n=n)),
                (("order reversed", 0.0),),
                f"is what it should be for {what} with its blocks of {n} in reversed order",
            )
    yield Elsewhere(
        changed(np.zeros_like),
        (("output ignored", 0.0),),
        f"leaves out {what}",
        lambda leaf: len(probe.samples[0].dy) > 1,
    )
    for name, quantity in _quantities(probe, k):
        for power, how, cost in ((-1, "divided by", 0.1), (1, "times", 0.15)):
            move = partial(_scaled, k=k, quantity=quantity, power=power)
            says = f"is what it should be for {what} {how} {name}"
            yield Elsewhere(move, (("missing factor", cost),), says)


def _quantities(probe: Probe, k: int) -> Iterator[tuple[str, Callable[[Sample], np.ndarray]]]:
    """What an entry of the upstream may have been multiplied by."""
    s = probe.samples[0]
    yield "the result", lambda s: s.y[k]
    yield "1 - result", lambda s: 1 - s.y[k]
    yield "1 - result²", lambda s: 1 - s.y[k] ** 2
    for leaf, slot in enumerate(probe.evidence.slots):
        if fits(np.shape(s.leaves[slot]), np.shape(s.y[k])):
            name = probe.argument(leaf)
            yield name, partial(_held, slot=slot, f=np.positive)
            yield f"log {name}", partial(_held, slot=slot, f=_log)
            yield f"{name}²", partial(_held, slot=slot, f=np.square)


# ---- moves ------------------------------------------------------------------------------------------------


def _result_for(s: Sample, slot: int, k: int) -> tuple[tuple[Any, ...], Arrays]:
    return put(s, slot, s.y[k]), s.dy


def _other_for(s: Sample, slot: int, other: int, both: bool) -> tuple[tuple[Any, ...], Arrays]:
    leaves = list(put(s, slot, s.leaves[other]))
    if both:
        leaves[other] = s.leaves[slot]
    return tuple(leaves), s.dy


def _scaled(
    s: Sample, k: int, quantity: Callable[[Sample], np.ndarray], power: int
) -> tuple[tuple[Any, ...], Arrays]:
    return s.leaves, (*s.dy[:k], s.dy[k] * quantity(s) ** float(power), *s.dy[k + 1 :])


def _held(s: Sample, slot: int, f: Change) -> np.ndarray:
    return f(np.asarray(s.leaves[slot]))


def _log(x: np.ndarray) -> np.ndarray:
    return np.log(np.abs(x))


def _plus(ids: np.ndarray, by: int) -> np.ndarray:
    return ids + np.asarray(by, ids.dtype)


def _spread(d: np.ndarray, f: Callable[..., Any], axis: int) -> np.ndarray:
    return np.array(np.broadcast_to(f(d, axis=axis, keepdims=True), d.shape))


def _slice(d: np.ndarray, axis: int, index: int, kept: bool) -> np.ndarray:
    """One slice alone, or all but that."""
    alone = np.zeros_like(d)
    np.moveaxis(alone, axis, 0)[index] = np.moveaxis(d, axis, 0)[index]
    return alone if kept else d - alone


def _blocks_reversed(d: np.ndarray, axis: int, n: int) -> np.ndarray:
    apart = d.reshape(*d.shape[:axis], d.shape[axis] // n, n, *d.shape[axis + 1 :])
    return np.flip(apart, axis).reshape(d.shape)


def shifted_labels(probe: Probe) -> Iterator[Suspicion]:
    """The rule's answer is the right one for labels that are one off, where those are labels at all."""
    for slot, value in enumerate(probe.samples[0].leaves):
        for leaf in probe.wrong:
            shape = np.shape(probe.samples[0].want[leaf])
            if not is_integer(value) or not shape or np.shape(value) != shape[:-1] or np.size(value) < 2:
                continue
            for by in (1, -1):
                fits = []
                for s in probe.samples:
                    labels = np.asarray(s.leaves[slot])
                    moved = labels + np.asarray(by, labels.dtype)
                    inside = (moved >= 0) & (moved < shape[-1]) & (labels >= 0)
                    answer = probe.truth(put(s, slot, np.where(inside, moved, labels)), s.dy)
                    fits.append(
                        answer is not None
                        and 2 * np.sum(inside) >= inside.size
                        and probe.equal(answer[leaf][inside], s.got[leaf][inside])
                    )
                if fits and all(fits):
                    yield probe.suspect(
                        "off by one", leaf, 0.0, f"is what it should be for labels {by:+d} off"
                    )

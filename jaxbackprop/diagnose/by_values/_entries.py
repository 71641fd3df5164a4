"""Which entries are wrong, and what they lack."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ._probe import Probe, is_integer, long_axes, place


def few(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The same one or two entries among many, whatever the numbers."""
    ever = np.any([probe.differs(s.got[leaf], s.want[leaf]) for s in probe.samples], axis=0)
    count = int(np.sum(ever))
    if not 0 < count <= 2 or ever.size < 64 * count:
        return
    index = tuple(int(i) for i in np.argwhere(ever)[0])
    factors = [s.got[leaf][index] / s.want[leaf][index] for s in probe.samples if s.want[leaf][index]]
    by = ""
    if factors and np.ptp(factors) <= 10 * probe.tolerance * np.max(np.abs(factors)):
        by = (
            ": it has the wrong sign"
            if abs(factors[0] + 1) < 1e-9
            else f": it is {factors[0]:.4g} times what it should be"
        )
    more = "" if count == 1 else " and another one"
    yield probe.suspect("partly wrong", leaf, 0.0, f"is wrong at {list(index)}{more} alone{by}")


def entries(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """Right on some entries: which are wrong?"""
    shape = np.shape(probe.samples[0].want[leaf])
    wrong = [probe.differs(s.got[leaf], s.want[leaf]) for s in probe.samples]
    ever = np.any(wrong, axis=0)
    if not shape or not np.any(ever):
        return
    yield from _repeated(probe, leaf, wrong)
    if all(not np.any(s.want[leaf][w]) for s, w in zip(probe.samples, wrong, strict=True)):
        says, selects = "is not zero where it should be", probe.selects(leaf)
        yield probe.suspect("padding", leaf, 0.35 if selects else 0.15, says)
        yield probe.suspect("wrong mask", leaf, 0.12 if selects else 0.2, says)
        yield probe.suspect("missing factor", leaf, 0.3, f"{says}: a mask is missing")
    if not np.all(ever):
        yield from _fixed(probe, leaf, shape, ever)
    yield from _by_value(probe, leaf, np.stack(wrong))
    if any(not np.all(w) for w in wrong) and np.mean([np.mean(w) for w in wrong]) < 0.7:
        yield probe.suspect("partly wrong", leaf, 0.7, "is wrong on some entries only")


def _repeated(probe: Probe, leaf: int, wrong: list[np.ndarray]) -> Iterator[Suspicion]:
    """Wrong where an index is repeated, and there alone."""
    shape = wrong[0].shape
    for slot, value in enumerate(probe.samples[0].leaves):
        for axis in long_axes(shape) if is_integer(value) and np.size(value) > 1 else ():
            others = tuple(a for a in range(len(shape)) if a != axis)
            shown = []
            for s, w in zip(probe.samples, wrong, strict=True):
                ids = np.ravel(s.leaves[slot])
                if np.any(ids >= shape[axis]) or np.any(ids < -shape[axis]):
                    shown = [False]
                    break
                single = np.bincount(ids % shape[axis], minlength=shape[axis]) < 2
                lines, due = np.any(w, axis=others), np.any(s.want[leaf], axis=others)
                shown.append(not np.any(lines & (single | ~due)) and bool(np.any(single & due)))
            if all(shown):
                says = "is wrong where an index is repeated"
                yield probe.suspect("set instead of add", leaf, 0.02, says)
                return


def _fixed(probe: Probe, leaf: int, shape: tuple[int, ...], ever: np.ndarray) -> Iterator[Suspicion]:
    """Wrong in the same places, whatever the numbers."""
    selects = probe.selects(leaf)
    for axis in long_axes(shape):
        others = tuple(a for a in range(len(shape)) if a != axis)
        lines = np.flatnonzero(np.any(ever, axis=others))
        if len(lines) == 1:
            index = int(lines[0])
            where = f"is wrong in the {place(shape, axis, index)} only"
            edge = index in (0, shape[axis] - 1)
            nothing = all(not np.any(np.take(s.want[leaf], index, axis)) for s in probe.samples)
            yield probe.suspect("partly wrong", leaf, 0.01 if edge and not nothing else 0.3, where)
            if nothing and not selects:
                yield probe.suspect("padding", leaf, 0.1, where.replace("wrong", "not zero"))
            elif edge:
                yield probe.suspect("off by one", leaf, 0.3, where)
                yield probe.suspect("padding", leaf, 0.35, where)
            if probe.recurrent and edge:
                yield probe.suspect("time shift", leaf, 0.005, where)
            return
    says = f"is wrong on {int(np.sum(ever))} of {ever.size} entries only"
    yield probe.suspect("partly wrong", leaf, 0.6, says)


def _by_value(probe: Probe, leaf: int, wrong: np.ndarray) -> Iterator[Suspicion]:
    """Wrong beyond some value of the argument."""
    if wrong.size < 8 or min(np.sum(wrong), np.sum(~wrong)) < 2:
        return
    slot, name = probe.evidence.slots[leaf], probe.argument(leaf)
    x = np.stack([np.asarray(s.leaves[slot], np.float64) for s in probe.samples])
    got, want = (
        np.stack([s[leaf] for s in side])
        for side in zip(*((s.got, s.want) for s in probe.samples), strict=True)
    )
    for u, above, below in ((x, f"{name} >", f"{name} <"), (np.abs(x), f"|{name}| >", f"|{name}| <")):
        if np.min(u[wrong]) > np.max(u[~wrong]):
            says, low, high = above, np.max(u[~wrong]), np.min(u[wrong])
        elif np.max(u[wrong]) < np.min(u[~wrong]):
            says, low, high = below, np.max(u[wrong]), np.min(u[~wrong])
        else:
            continue
        where = f"is wrong where {says} {_round_between(low, high)}"
        g, w = got[wrong], want[wrong]
        masked = not np.any(g) or not np.any(w) or probe.equal(g, -w) or u is not x
        yield probe.suspect("partly wrong", leaf, 0.13 if masked else 0.02, where)
        yield probe.suspect("wrong mask", leaf, 0.05 if masked else 0.2, where)
        yield probe.suspect("wrong derivative formula", leaf, 0.3, where)
        return


def _round_between(low: float, high: float) -> str:
    """The roundest number between two others."""
    if low <= 0 <= high:
        return "0"
    for digits in range(-6, 9):
        for candidate in (round(low, digits), round(high, digits)):
            if low <= candidate <= high:
                return f"{candidate:g}"
    return f"{low:.3g}"


def remainder(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """What is too much or too little has a simple form."""
    shape = np.shape(probe.samples[0].want[leaf])
    wants = [s.want[leaf] for s in probe.samples]
    lacks = [s.want[leaf] - s.got[leaf] for s in probe.samples]
    for axis in long_axes(shape):
        even = [probe.equal(np.broadcast_to(np.take(d, [0], axis), shape), d) for d in lacks]
        same = [probe.equal(np.broadcast_to(np.take(w, [0], axis), shape), w) for w in wants]
        if all(even) and not any(same):
            says = f"lacks a term that is the same along axis {axis}"
            yield probe.suspect("missing term", leaf, 0.08, says)
    if shape and shape[-1] > 2:
        yield from _smoothing(probe, leaf, lacks)
        yield from _labels(probe, leaf, lacks)
    yield from _affine(probe, leaf, lacks)


def _smoothing(probe: Probe, leaf: int, lacks: list[np.ndarray]) -> Iterator[Suspicion]:
    """The lacking term is the same for all classes but the label, and sums to nought."""
    shape = lacks[0].shape
    for slot, value in enumerate(probe.samples[0].leaves):
        if not is_integer(value) or np.shape(value) != shape[:-1]:
            continue
        fits = []
        for s, d in zip(probe.samples, lacks, strict=True):
            labels = np.asarray(s.leaves[slot])
            held = (labels >= 0) & (labels < shape[-1])
            own = np.zeros(shape, bool)
            np.put_along_axis(own, np.where(held, labels, 0)[..., None], True, -1)
            rows = d[held]
            others = rows[~own[held]].reshape(len(rows), shape[-1] - 1)
            off = max(np.max(np.ptp(others, -1), initial=0.0), np.max(np.abs(rows.sum(-1)), initial=0.0))
            noise = 10 * probe.tolerance * np.max(np.abs(s.want[leaf]), initial=0.0)
            fits.append(bool(np.max(np.abs(rows), initial=0.0) > noise >= off))
        if all(fits):
            says = "lacks what label smoothing adds: the same for every class but the label"
            yield probe.suspect("smoothing forgotten", leaf, 0.0, says)
            return


def _labels(probe: Probe, leaf: int, lacks: list[np.ndarray]) -> Iterator[Suspicion]:
    """Wrong at the label's entry, or there and at one other that gets its share."""
    shape = lacks[0].shape
    for slot, value in enumerate(probe.samples[0].leaves):
        if not is_integer(value) or np.shape(value) != shape[:-1] or np.size(value) < 2:
            continue
        only, moved = True, True
        for s, d in zip(probe.samples, lacks, strict=True):
            labels = np.asarray(s.leaves[slot])
            held = (labels >= 0) & (labels < shape[-1])
            wrong = probe.differs(s.got[leaf], s.want[leaf])
            mine = np.take_along_axis(wrong, np.where(held, labels, 0)[..., None], -1)[..., 0]
            count = wrong.sum(-1)
            only &= bool(np.all(count[held] == 1) and np.all(mine[held]) and not np.any(count[~held]))
            balanced = np.abs(d.sum(-1)) <= 1e-6 * np.max(np.abs(d), initial=1e-300)
            moved &= bool(np.all(np.isin(count, (0, 2))) and np.all(mine[count == 2]) and np.all(balanced))
        if only:
            says = "is wrong at the label's entry only"
            yield probe.suspect("missing term", leaf, 0.1, says)
            yield probe.suspect("sign", leaf, 0.12, says)
            yield probe.suspect("wrong derivative formula", leaf, 0.3, says)
        elif moved:
            says = "gives the label's share to another class"
            yield probe.suspect("off by one", leaf, 0.15, says)
            yield probe.suspect("wrong winner", leaf, 0.16, says)


def _affine(probe: Probe, leaf: int, lacks: list[np.ndarray]) -> Iterator[Suspicion]:
    """The lacking term, over the upstream, moves an argument's values towards their middle."""
    s = probe.samples[0]
    shape = lacks[0].shape
    upstream = [s.dy[0] for s in probe.samples]
    if len(s.dy) > 1 or np.shape(upstream[0]) not in ((), shape) or not shape:
        return
    d = np.concatenate([np.ravel(a / u) for a, u in zip(lacks, upstream, strict=True)])
    for other, slot in enumerate(probe.evidence.slots):
        if other == leaf or np.shape(s.leaves[slot]) != shape:
            continue
        t = np.concatenate([np.ravel(s.leaves[slot]) for s in probe.samples])
        if d.size < 6 or np.ptp(t) == 0:
            continue
        design = np.stack([np.ones_like(t), t], 1)
        (a, b), *_ = np.linalg.lstsq(design, d, rcond=None)
        if abs(a) > 1e-6 and abs(b) > 1e-6 and probe.equal(design @ np.asarray([a, b]), d):
            says = f"lacks a term that is linear in {probe.argument(other)}"
            yield probe.suspect("smoothing forgotten" if a * b < 0 else "missing term", leaf, 0.05, says)
            yield probe.suspect("missing term", leaf, 0.1, says)

"""Which contributions to a gradient are lost, moved, shared or not due."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ._probe import Pair, Probe, is_integer, long_axes, place


def lost(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """Each contribution is right or nought."""
    kept, due = [], []
    for p in pairs:
        wrong = probe.differs(p.got, p.want)
        if np.any(wrong & ~probe.zero(p.got, p.want)):
            yield from _dead_slices(probe, leaf, pairs)
            return
        there = ~probe.zero(p.want, p.want)
        kept.append(there & ~wrong)
        due.append(there)
    if not any(np.any(k) for k in kept):
        return
    p, results = pairs[0], len(pairs[0].outer)
    masks = list(zip(kept, due, strict=True))
    if p.square:
        eye = np.eye(p.flat(p.got).shape[0], dtype=bool)
        if all(np.array_equal(p.flat(k), p.flat(d) & eye) for k, d in masks):
            yield probe.suspect("diagonal only", leaf, 0.0, "uses the diagonal of the Jacobian only")
            yield probe.suspect("missing term", leaf, 0.3, "uses the diagonal of the Jacobian only")
            return
        if all(np.array_equal(p.flat(k), p.flat(d) & ~eye) for k, d in masks):
            yield probe.suspect("off by one", leaf, 0.1, "leaves out each entry's own contribution")
            yield probe.suspect("missing term", leaf, 0.12, "leaves out each entry's own contribution")
            return
    part = _depends_on(kept, due, tuple(range(results, p.want.ndim)))
    if part is not None:
        yield from _lost_entries(probe, leaf, p, ~part)
        return
    axes = tuple(range(results))
    indexed = any(is_integer(leaf) and np.size(leaf) > 1 for leaf in p.sample.leaves)
    if indexed and any(np.any((d.sum(axes) > 0) & (k.sum(axes) == 0)) for k, d in masks):
        says = "loses contributions, also single ones"
        yield probe.suspect("missing sum", leaf, 0.12, says)
    single = all(np.array_equal(k.sum(axes), np.minimum(d.sum(axes), 1)) for k, d in masks)
    if single and indexed:
        says = "keeps one of several contributions to an entry"
        yield probe.suspect("set instead of add", leaf, 0.0, says)
        yield probe.suspect("missing sum", leaf, 0.1, says)
        return
    whole = _depends_on(kept, due, axes)
    if whole is not None:
        yield from _lost_results(probe, leaf, p, whole)
    elif single:
        says = "keeps one of several contributions to an entry"
        yield probe.suspect("set instead of add", leaf, 0.05, says)
        yield probe.suspect("missing sum", leaf, 0.3, says)
    elif p.want.ndim == 2 and all(_by_offset(k, d) for k, d in masks):
        yield probe.suspect("partly wrong", leaf, 0.1, "lacks one tap of a window")
        yield probe.suspect("off by one", leaf, 0.2, "lacks one tap of a window")
        yield probe.suspect("missing term", leaf, 0.25, "lacks one tap of a window")
    else:
        says = "loses some contributions"
        yield probe.suspect("set instead of add", leaf, 0.1 if indexed else 0.2, says)
        yield probe.suspect("missing term", leaf, 0.15 if probe.recurrent else 0.25, says)
        yield probe.suspect("missing sum", leaf, 0.3, says)
        yield probe.suspect("time shift", leaf, 0.2 if probe.recurrent else 0.5, says)


def _by_offset(kept: np.ndarray, due: np.ndarray) -> bool:
    """Whether a contribution survives by the distance between its ends."""
    offset = np.subtract(*np.indices(due.shape))
    return not np.any(np.isin(offset[due & ~kept], offset[kept]))


def _dead_slices(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """One slice of the upstream cotangent is heard, and not rightly; the others are not."""
    p = pairs[0]
    for axis in long_axes(p.outer):
        others = tuple(a for a in range(p.want.ndim) if a != axis)
        heard = [np.flatnonzero(np.any(~probe.zero(q.got, q.want), axis=others)) for q in pairs]
        due = [np.sum(np.any(~probe.zero(q.want, q.want), axis=others)) for q in pairs]
        if min(due) > 1 and all(len(h) == 1 for h in heard) and len({int(h[0]) for h in heard}) == 1:
            says = f"hears of the {place(p.outer, axis, int(heard[0][0]))} of the upstream cotangent only"
            yield probe.suspect("missing sum", leaf, 0.04, says)
            yield probe.suspect("time shift", leaf, 0.1 if probe.recurrent else 0.3, says)
            return


def _depends_on(kept: list[np.ndarray], due: list[np.ndarray], axes: tuple[int, ...]) -> np.ndarray | None:
    """Whether a contribution survives by its place along some axes alone: where it does; None if not so."""
    if not axes or any(k.shape != kept[0].shape for k in kept):
        return None
    others = tuple(a for a in range(kept[0].ndim) if a not in axes)
    some = np.any([np.any(k, axis=others) for k in kept], axis=0)
    lost = np.any([np.any(d & ~k, axis=others) for k, d in zip(kept, due, strict=True)], axis=0)
    return None if np.any(some & lost) else ~lost


def _lost_results(probe: Probe, leaf: int, p: Pair, survive: np.ndarray) -> Iterator[Suspicion]:
    """Some entries of the upstream cotangent have no effect."""
    for axis in long_axes(p.outer):
        others = tuple(a for a in range(survive.ndim) if a != axis)
        lines, dead = np.any(survive, axis=others), ~np.any(~survive, axis=others)
        if np.array_equal(lines, dead) and np.sum(lines) == 1:
            index = int(np.flatnonzero(lines)[0])
            says = f"counts the {place(p.outer, axis, index)} of the upstream cotangent only"
            yield probe.suspect("missing sum", leaf, 0.0, says)
            if axis == 0 and index == 0:
                yield probe.suspect("batch of one", leaf, 0.1, says)
            if axis == 0 and len(p.outer) > 1:
                yield probe.suspect("time shift", leaf, 0.5, says)
            return
        if np.array_equal(lines, dead) and np.sum(~lines) == 1:
            index = int(np.flatnonzero(~lines)[0])
            says = f"leaves out the {place(p.outer, axis, index)} of the upstream cotangent"
            yield probe.suspect("off by one", leaf, 0.1, says)
            yield probe.suspect("time shift", leaf, 0.15, says)
            yield probe.suspect("partly wrong", leaf, 0.2, says)
            return
    says = "leaves out some entries of the upstream cotangent"
    yield probe.suspect("set instead of add", leaf, 0.1, says)
    yield probe.suspect("missing sum", leaf, 0.15, says)
    yield probe.suspect("wrong mask", leaf, 0.3, says)


def _lost_entries(probe: Probe, leaf: int, p: Pair, lost: np.ndarray) -> Iterator[Suspicion]:
    """Some entries get nothing."""
    for axis in long_axes(p.inner):
        others = tuple(a for a in range(lost.ndim) if a != axis)
        lines = np.flatnonzero(np.any(lost, axis=others))
        if len(lines) == 1:
            says = f"lacks the {place(p.inner, axis, int(lines[0]))}"
            yield probe.suspect("partly wrong", leaf, 0.05, says)
            yield probe.suspect("off by one", leaf, 0.5, says)
            return
    yield probe.suspect("wrong mask", leaf, 0.15, "is zero where it should not be")
    yield probe.suspect("partly wrong", leaf, 0.25, "is zero where it should not be")


def moved(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """Every contribution arrives, but elsewhere."""
    steps = set()
    for p in pairs:
        got, want = p.flat(p.got), p.flat(p.want)
        if not probe.equal(got.sum(1), want.sum(1)) or not np.any(want):
            return
        g, w = ~probe.zero(got, want), ~probe.zero(want, want)
        if np.any(g.sum(1) > 1) or np.any(w.sum(1) > 1) or np.any(g.any(1) != w.any(1)):
            return
        rows = w.any(1)
        there, here = w.argmax(1)[rows], g.argmax(1)[rows]
        if p.inner:
            to, fro = np.unravel_index(here, p.inner), np.unravel_index(there, p.inner)
            steps |= set(zip(*((a - b) % n for a, b, n in zip(to, fro, p.inner, strict=True)), strict=True))
    if len(steps) == 1:
        (step,) = steps
        amount = [min(d, n - d) for d, n in zip(step, pairs[0].inner, strict=True)]
        if sum(amount) == 1:
            yield probe.suspect("off by one", leaf, 0.0, "goes to the entry beside the one it belongs to")
    if probe.selects(leaf):
        says = "goes to another entry than the one that was chosen"
        yield probe.suspect("wrong winner", leaf, 0.02, says)
        yield probe.suspect("wrong mask", leaf, 0.4, says)
        return
    says = "goes to other entries than it belongs to"
    p = pairs[0]
    if len(p.outer) > len(p.inner):
        yield probe.suspect("wrong axis", leaf, 0.1, says)
    yield probe.suspect("off by one", leaf, 0.3, says)
    yield probe.suspect("order reversed", leaf, 0.3, says)
    yield probe.suspect("wrong axis", leaf, 0.4, says)


def spread(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """What belongs to one entry is shared among several."""
    for p in pairs:
        got, want = p.flat(p.got), p.flat(p.want)
        g, w = ~probe.zero(got, want), ~probe.zero(want, want)
        if not probe.equal(got.sum(1), want.sum(1)) or np.any(w.sum(1) > 1) or not np.any(g.sum(1) > 1):
            return
    if probe.selects(leaf):
        yield probe.suspect("wrong winner", leaf, 0.03, "is shared among several where one was chosen")


def more(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """Every contribution is there, and others that are not due."""
    support = []
    for p in pairs:
        wrong, nothing = probe.differs(p.got, p.want), probe.zero(p.want, p.want)
        if np.any(wrong & ~nothing) or not np.any(wrong):
            return
        support.append(~nothing)
    p = pairs[0]
    chosen = all(np.all(p.flat(s).sum(1) <= 1) for s in support)
    says = "is not zero where it should be"
    if p.square and chosen:
        apart = [probe.zero(q.flat(q.got) * (1 - np.eye(len(q.flat(q.got)))), q.want) for q in pairs]
        if all(map(np.all, apart)):
            selects = probe.selects(leaf)
            yield probe.suspect("wrong winner", leaf, 0.02 if _rival(probe, leaf, p) else 0.4, says)
            yield probe.suspect("wrong mask", leaf, 0.05 if selects else 0.2, says)
            yield probe.suspect("padding", leaf, 0.4 if selects else 0.15, says)
            return
    says = "has contributions that are not due"
    selects = probe.selects(leaf)
    if chosen and selects and p.flat(p.got).shape[0] < p.flat(p.got).shape[1]:
        yield probe.suspect("wrong winner", leaf, 0.05, "goes to more entries than the one that was chosen")
        return
    results = tuple(range(len(p.outer)))
    # Padding is what should hear of nothing; a sum adds to what does hear of something.
    untouched = all(
        not np.any(~probe.zero(q.got, q.want) & ~there & np.any(there, axis=results))
        for q, there in zip(pairs, support, strict=True)
    )
    more = [
        np.sum(~probe.zero(q.got, q.want)) / max(np.sum(there), 1)
        for q, there in zip(pairs, support, strict=True)
    ]
    selects = selects or probe.piecewise
    spread = min(more) > 1.4 and not untouched and not selects
    yield probe.suspect("wrong mask", leaf, 0.08 if selects else 0.4, says)
    yield probe.suspect("extra sum", leaf, 0.1 if spread else 0.3, says)
    yield probe.suspect("padding", leaf, 0.3 if spread or selects else 0.1, says)


def _rival(probe: Probe, leaf: int, p: Pair) -> bool:
    """Whether another argument gets what this one should not."""
    for _, (_, want) in zip(probe.points, probe.jacobians, strict=False):
        for result in want:
            for other, theirs in enumerate(result):
                mine = result[leaf]
                if other != leaf and theirs.shape == mine.shape and np.any(theirs):
                    square = mine.reshape(int(np.prod(p.outer)), -1) + theirs.reshape(
                        int(np.prod(p.outer)), -1
                    )
                    if square.shape[0] == square.shape[1] and probe.equal(
                        square, np.eye(len(square)) * square[0, 0]
                    ):
                        return True
    return False

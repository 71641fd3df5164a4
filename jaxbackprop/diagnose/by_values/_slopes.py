"""The right contributions, each with a factor of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ._factor import exchanged, known_arrays
from ._probe import Pair, Probe, long_axes


def scaled(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """The same contributions, each with a factor."""
    elementwise, rowwise, columnwise, ratios = True, True, True, []
    for p in pairs:
        got, want = p.flat(p.got), p.flat(p.want)
        g, w = ~probe.zero(got, want), ~probe.zero(want, want)
        if not np.array_equal(g, w) or not np.any(w):
            return
        ratio = np.where(w, got / np.where(w, want, 1.0), np.nan)
        ratios.append(ratio[w])
        elementwise &= bool(np.all(w.sum(1) <= 1) and np.all(w.sum(0) <= 1))
        rowwise &= _even(probe, ratio)
        columnwise &= _even(probe, ratio.T)
    values = np.concatenate(ratios)
    ties = [np.sum(~probe.zero(p.flat(p.want), p.want), 1) for p in pairs]
    if probe.selects(leaf) and rowwise and any(np.any(t > 1) for t in ties):
        says = "gives each of several equal winners more than its share"
        yield probe.suspect("wrong winner", leaf, 0.03, says)
    if np.all(np.abs(np.abs(values) - 1) < 1e-6):
        yield probe.suspect("sign", leaf, 0.1, "has some contributions with the wrong sign")
        yield probe.suspect("wrong mask", leaf, 0.12, "has some contributions with the wrong sign")
    # A line with one entry is even of itself.
    rows = max(int(np.max(t, initial=0)) for t in ties)
    columns = max(int(np.max(np.sum(~probe.zero(p.flat(p.want), p.want), 0), initial=0)) for p in pairs)
    if elementwise and pairs[0].square and pairs[0].inner:
        yield from _slopes(probe, leaf, pairs)
    elif (rowwise and rows > 1 and len(pairs[0].outer)) or (columnwise and columns > 1):
        which = "result" if rowwise and rows > 1 else "argument"
        says = f"is off by a factor for each entry of the {which}"
        yield probe.suspect("missing factor", leaf, 0.15, says)
        yield probe.suspect("wrong derivative formula", leaf, 0.18, says)
        if np.all(values > 1):
            yield probe.suspect("unnormalised", leaf, 0.2, says)


def _even(probe: Probe, ratio: np.ndarray) -> bool:
    """Whether each row holds one value, where it holds any."""
    for row in ratio:
        held = row[~np.isnan(row)]
        if held.size and np.ptp(held) > 10 * probe.tolerance * np.max(np.abs(held)):
            return False
    return True


def _slopes(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """An elementwise function: the rule's slope beside the right one."""
    got = np.concatenate([p.flat(p.got).sum(0) for p in pairs])
    want = np.concatenate([p.flat(p.want).sum(0) for p in pairs])
    right = ~probe.differs(got, want)
    few = [np.unique(np.round(v, 9)).size <= 3 for v in (got, want)]
    if all(few) and got.size > 4 and probe.selects(leaf):
        yield probe.suspect("wrong mask", leaf, 0.2, "has the slope of another piece")
    says = "has another slope than it should"
    yield probe.suspect("wrong derivative formula", leaf, 0.25 if not np.any(right) else 0.35, says)
    yield probe.suspect("missing term", leaf, 0.3, says)
    yield probe.suspect("missing factor", leaf, 0.4, says)


def _wrong_block(probe: Probe, pairs: list[Pair]) -> list[Pair] | None:
    """The Jacobians in the one block of the leaf's lines where they are wrong, as of one gate of several."""
    results = len(pairs[0].outer)
    for axis in long_axes(pairs[0].inner):
        others = tuple(a for a in range(pairs[0].got.ndim) if a != results + axis)
        lines = np.flatnonzero(np.any([np.any(probe.differs(p.got, p.want), others) for p in pairs], axis=0))
        n, size = pairs[0].inner[axis], len(lines)
        if size < n and n % size == 0 and lines[-1] - lines[0] == size - 1:
            cut = [
                (np.take(p.got, lines, results + axis), np.take(p.want, lines, results + axis)) for p in pairs
            ]
            return [
                dataclasses.replace(p, got=g, want=w, inner=g.shape[results:])
                for p, (g, w) in zip(pairs, cut, strict=True)
            ]
    return None


def row_factor(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """Off by a factor for each entry of the upstream: an array stands for another, or a slope is wrong."""
    pairs = _wrong_block(probe, pairs) or pairs
    factors = []
    for p in pairs:
        got, want = p.flat(p.got), p.flat(p.want)
        there = ~probe.zero(want, want)
        ratio = np.where(there, got / np.where(there, want, 1.0), np.nan)
        if not _even(probe, ratio) or not np.any(there.sum(1) > 1):
            return
        rows = np.any(there, 1)
        factors.append((rows, np.nanmean(np.where(rows[:, None], ratio, 1.0), 1)))
    known = known_arrays(probe, [p.sample for p in pairs])
    fitting = [(n, x) for n, x in known if all(np.shape(v) == p.outer for v, p in zip(x, pairs, strict=True))]
    for name, x in fitting:
        for other, z in fitting:
            made = [np.ravel(a) / np.ravel(b) for a, b in zip(x, z, strict=True)]
            fits = all(probe.equal(m[rows], r[rows]) for m, (rows, r) in zip(made, factors, strict=True))
            if name != other and fits:
                yield from exchanged(probe, leaf, name, other)
                return
    values = np.concatenate([r[rows] for rows, r in factors])
    # What is nought is lost, which is another mistake; one factor throughout is told elsewhere.
    if np.any(values == 0) or np.unique(np.round(values, 6)).size == 1:
        return
    says = "is off by a factor for each entry of the upstream"
    yield probe.suspect("wrong derivative formula", leaf, 0.18, says)
    yield probe.suspect("missing factor", leaf, 0.19, says)


def as_it_stands(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """The weight of each entry of the upstream is an argument as it stands, where something else is due."""
    for other, slot in enumerate(probe.evidence.slots):
        if (
            other == leaf
            or any(np.shape(p.sample.leaves[slot]) != p.outer for p in pairs)
            or not pairs[0].outer
        ):
            continue
        inner = [tuple(range(len(p.outer), p.got.ndim)) for p in pairs]
        totals = [
            (p.got.sum(axes), p.want.sum(axes), p.sample.leaves[slot])
            for p, axes in zip(pairs, inner, strict=True)
        ]
        if all(probe.equal(g, np.asarray(x)) and not probe.equal(w, np.asarray(x)) for g, w, x in totals):
            says = f"takes {probe.argument(other)} as it stands, where something computed from it is due"
            yield probe.suspect("stale residual", leaf, 0.05, says)
            yield probe.suspect("input for output", leaf, 0.07, says)
            return

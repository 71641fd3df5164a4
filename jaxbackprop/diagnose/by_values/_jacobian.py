"""The rule's Jacobian beside the right one: axes exchanged, reversed, moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from .._evidence import Suspicion
from ._probe import Pair, Probe, exchanges, long_axes


def axes_exchanged(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """Axes of the result and of the leaf exchanged, or both reversed, or nearly everything one place on."""
    shape, results = pairs[0].want.shape, len(pairs[0].outer)
    if any(p.want.shape != shape for p in pairs):
        return
    for outer in long_axes(pairs[0].outer):
        for inner in long_axes(pairs[0].inner):
            if _always(probe, pairs, (np.flip(p.want, (outer, results + inner)) for p in pairs)):
                says = f"runs along axis {inner} in reversed order"
                yield probe.suspect("order reversed", leaf, 0.0, says)
    for order in exchanges(shape):
        apart = set(order[:results]) == set(range(results))
        # An exchange among the axes of one side is told from all samples elsewhere.
        if apart or not _always(probe, pairs, (p.want.transpose(order) for p in pairs)):
            continue
        if results > len(pairs[0].inner):
            yield probe.suspect("wrong axis", leaf, 0.05, "is reduced over another axis than it should be")
            yield probe.suspect(
                "missing transpose", leaf, 0.2, "multiplies by a matrix that lacks a transpose"
            )
        else:
            yield probe.suspect(
                "missing transpose", leaf, 0.03, "multiplies by a matrix that lacks a transpose"
            )
        return


def _always(probe: Probe, pairs: list[Pair], made: Iterable[np.ndarray]) -> bool:
    return all(probe.equal(m, p.got) for m, p in zip(made, pairs, strict=True))


def transposed_support(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """Contributions run the other way."""
    if not all(p.square and p.inner for p in pairs):
        return
    for p in pairs:
        got, want = ~probe.zero(p.flat(p.got), p.want), ~probe.zero(p.flat(p.want), p.want)
        if not np.array_equal(got, want.T) or np.array_equal(want, want.T):
            return
    says = "lets entries hear of those before instead of those after, or the reverse"
    yield probe.suspect("order reversed", leaf, 0.1, says)
    yield probe.suspect("missing transpose", leaf, 0.2, says)


def transposed_blocks(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """In some step a square matrix is not transposed: the ratio of entry (i, j) undoes that of (j, i)."""
    found = 0
    for p in pairs:
        results = len(p.outer)
        for a in long_axes(p.outer):
            for b in long_axes(p.inner):
                if p.outer[a] != p.inner[b] or p.outer[a] < 3:
                    continue
                blocks = (
                    np.moveaxis(p.got, (a, results + b), (-2, -1)),
                    np.moveaxis(p.want, (a, results + b), (-2, -1)),
                )
                got, want = (m.reshape(-1, p.outer[a], p.outer[a]) for m in blocks)
                for g, w in zip(got, want, strict=True):
                    if np.any(probe.zero(w, w)) or np.any(probe.zero(g, g)) or probe.equal(g, w):
                        continue
                    ratio = g / w
                    if np.allclose(ratio * ratio.T, 1, rtol=0, atol=1e-6) and not np.allclose(
                        ratio, ratio[0], atol=1e-6
                    ):
                        found += 1
    if found >= len(pairs):
        says = "multiplies by a matrix that lacks a transpose at some step"
        yield probe.suspect("missing transpose", leaf, 0.06, says)


def one_on(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """All that has room is one place further along an axis."""
    shape, results = pairs[0].want.shape, len(pairs[0].outer)
    for axis in long_axes(shape):
        if shape[axis] < 3:
            continue
        for by in (1, -1):
            shares = []
            for p in pairs:
                got, want = np.moveaxis(p.got, axis, 0), np.moveaxis(p.want, axis, 0)
                g, w = (got[1:], want[:-1]) if by > 0 else (got[:-1], want[1:])
                there = ~(probe.zero(g, p.want) & probe.zero(w, p.want))
                even = probe.equal(np.broadcast_to(want[:1], want.shape), want)
                as_is = np.mean(~probe.differs(p.got, p.want))
                shares.append(
                    0.0
                    if even or not np.any(there) or as_is > 0.5
                    else float(np.mean(~probe.differs(g, w)[there]))
                )
            if min(shares) > 0.75:
                of = "the upstream cotangent" if axis < results else "its result"
                yield probe.suspect("off by one", leaf, 0.12, f"takes {of} one place further on")
                return

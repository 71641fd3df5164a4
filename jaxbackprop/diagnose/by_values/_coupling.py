"""Which entries of an argument hear of which entries of a result of the same shape."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ._probe import Pair, Probe


def coupled(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """Which entries of the leaf hear of which entries of a result of the same shape."""
    if not all(p.square and p.inner for p in pairs):
        return
    got = set.union(*(_along(probe, p, p.got) for p in pairs))
    want = set.union(*(_along(probe, p, p.want) for p in pairs))
    if got == want:
        return
    if not got and want:
        yield probe.suspect("missing term", leaf, 0.1, "has no part that couples the entries")
        yield probe.suspect("diagonal only", leaf, 0.2, "has no part that couples the entries")
    elif got < want:
        yield probe.suspect("missing term", leaf, 0.1, "lacks the part that couples entries")
    elif got > want:
        says = f"couples entries along axes {sorted(got - want)}, which should not hear of one another"
        yield probe.suspect("extra sum", leaf, 0.1, says)
        yield probe.suspect("batch of one", leaf, 0.12 if 0 in got - want else 0.4, says)
        yield probe.suspect("wrong axis", leaf, 0.3, says)
    elif len(got) == len(want) == 1:
        yield probe.suspect(
            "wrong axis", leaf, 0.02, f"couples entries along axis {min(got)} instead of {min(want)}"
        )


def _along(probe: Probe, p: Pair, jacobian: np.ndarray) -> set[int]:
    """The axes along which an entry hears of others."""
    there = np.argwhere(~probe.zero(jacobian, p.want))
    apart = there[:, : len(p.outer)] != there[:, len(p.outer) :]
    return {axis for axis in range(len(p.outer)) if np.any(apart[:, axis])}


def exponentials(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """Entries of a row hear of one another by exponentials that were not divided by their sum."""
    if not all(p.square and p.inner and p.inner[-1] > 2 for p in pairs):
        return
    exact, even, seen = True, True, []
    for p in pairs:
        n = p.inner[-1]
        z = np.reshape(p.sample.leaves[probe.evidence.slots[leaf]], (-1, n)).astype(np.float64)
        blocks = np.einsum("rirj->rij", (p.got / p.want).reshape(len(z), n, len(z), n))
        off = blocks[:, ~np.eye(n, dtype=bool)]
        seen.append(off)
        even &= bool(np.all(np.ptp(off, axis=-1) <= 1e-6 * np.abs(off[:, 0])) and np.all(off > 1 + 1e-6))
        sums = np.exp(z - z.max(-1, keepdims=True)).sum(-1), np.exp(z).sum(-1)
        exact &= any(np.allclose(off, t[:, None] ** power, rtol=1e-6) for t in sums for power in (1, 2))
    # One factor in all rows is no sum of exponentials.
    even &= bool(np.ptp(np.concatenate(seen)) > 1e-6)
    if exact or even:
        says = "is off by the sum of exponentials that probabilities are divided by"
        yield probe.suspect("unnormalised", leaf, 0.0 if exact else 0.2, says)


def off_diagonal(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """What entries hear of one another is off by one factor, what they hear of themselves by another."""
    if not all(p.square and p.inner for p in pairs):
        return
    ratios = []
    for p in pairs:
        got, want = p.flat(p.got), p.flat(p.want)
        there = ~probe.zero(want, want) & ~np.eye(len(want), dtype=bool)
        if (
            not np.array_equal(there, ~probe.zero(got, want) & ~np.eye(len(want), dtype=bool))
            or np.sum(there) < 2
        ):
            return
        ratios.append((got / np.where(there, want, 1.0))[there])
    values = np.concatenate(ratios)
    c = float(values[0])
    if np.ptp(values) > 1e-6 * abs(c) or abs(c - 1) < 1e-6:
        return
    says = f"takes {c:.4g} times what entries should hear of one another"
    yield probe.suspect("sign" if abs(c + 1) < 1e-6 else "constant factor", leaf, 0.1, says)
    yield probe.suspect("wrong derivative formula", leaf, 0.2, says)


def simple_remainder(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """What the rule lacks is simple."""
    lacking = [p.flat(p.want - p.got) for p in pairs]
    if all(m.shape[0] == m.shape[1] and m.shape[0] > 1 for m in lacking):
        if all(probe.equal(m, np.eye(len(m)) * m[0, 0]) for m in lacking):
            yield probe.suspect(
                "path forgotten", leaf, 0.0, f"lacks {lacking[0][0, 0]:.3g} times the upstream"
            )
            return
        if _diagonal(probe, pairs, [p.flat(p.want) for p in pairs]):
            yield from _masks(probe, leaf, pairs)
            return
        if _diagonal(probe, pairs, [p.flat(p.want + p.got) for p in pairs]):
            yield probe.suspect("sign", leaf, 0.06, "has the wrong sign where entries hear of one another")
        if _diagonal(probe, pairs, lacking):
            yield probe.suspect("missing term", leaf, 0.2, "lacks a term that works on each entry by itself")
    for m, p in zip(lacking, pairs, strict=True):
        rank, full = _rank(m), _rank(p.flat(p.want))
        if not rank < full:
            return
    yield probe.suspect("missing term", leaf, 0.6, "lacks a term of low rank")


def _diagonal(probe: Probe, pairs: list[Pair], matrices: list[np.ndarray]) -> bool:
    return all(
        np.all(probe.zero(m - np.diag(np.diag(m)), p.want)) for m, p in zip(matrices, pairs, strict=True)
    )


def _masks(probe: Probe, leaf: int, pairs: list[Pair]) -> Iterator[Suspicion]:
    """An elementwise function whose slope is right or nought, and nought in the wrong places."""
    got = np.concatenate([p.flat(p.got).diagonal() for p in pairs])
    want = np.concatenate([p.flat(p.want).diagonal() for p in pairs])
    wrong, no, none = probe.differs(got, want), probe.zero(got, want), probe.zero(want, want)
    if np.any(wrong & no & ~none) and np.any(wrong & none & ~no) and np.all(no[wrong] | none[wrong]):
        keyed = any(not isinstance(getattr(x, "dtype", None), np.dtype) for x in pairs[0].sample.leaves)
        says = "is zero where it should not be, and not where it should be"
        yield probe.suspect("wrong mask", leaf, 0.1, says)
        yield probe.suspect("stale residual", leaf, 0.08 if keyed else 0.3, says)


def _rank(m: np.ndarray) -> int:
    return int(np.linalg.matrix_rank(m, tol=1e-7 * max(np.max(np.abs(m), initial=0.0), 1e-300)))

"""The right contributions, each with a factor: of the entry of the result, of the leaf, or of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ..mistakes import Mistake
from ._axes import long_axes, slices_with_any
from ._entry_factor import in_place_of
from ._jacobians import JacobianPair
from ._probe import Probe


def share_of_winners(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """Several equal winners each get a factor too much."""
    if not _same_support(pairs) or not probe.selects(leaf):
        return
    tied = any(np.any(p.matrix(p.want_support).sum(1) > 1) for p in pairs)
    if tied and all(_rows_even(probe, p.ratio()) for p in pairs):
        says = "gives each of several equal winners more than its share"
        yield from probe.suspect(leaf, says, {Mistake.WRONG_WINNER: 0.03})


def wrong_signs(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """Contributions are right but for their signs."""
    if _same_support(pairs) and np.all(np.abs(np.abs(_ratios(pairs)) - 1) < 1e-6):
        says = "has some contributions with the wrong sign"
        yield from probe.suspect(leaf, says, {Mistake.SIGN: 0.1, Mistake.WRONG_MASK: 0.12})


def another_slope(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """An elementwise function with another derivative than it should have."""
    if not _same_support(pairs) or not pairs[0].elementwise_shape or not _elementwise(pairs):
        return
    got = np.concatenate([p.matrix(p.got).sum(0) for p in pairs])
    want = np.concatenate([p.matrix(p.want).sum(0) for p in pairs])
    somewhere_right = not np.all(probe.differs(got, want))
    costs = {
        Mistake.WRONG_DERIVATIVE: 0.35 if somewhere_right else 0.25,
        Mistake.MISSING_TERM: 0.3,
        Mistake.MISSING_FACTOR: 0.4,
    }
    yield from probe.suspect(leaf, "has another slope than it should", costs)


def factor_of_upstream(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """A factor for each entry of the upstream, also of one block alone: two arrays exchanged, or a slope."""
    pairs = _wrong_block(probe, pairs) or pairs
    factors = []
    for p in pairs:
        ratio, rows = p.ratio(), np.any(p.matrix(p.want_support), 1)
        if not _rows_even(probe, ratio) or not np.any(p.matrix(p.want_support).sum(1) > 1):
            return
        factors.append((rows, np.nanmean(np.where(rows[:, None], ratio, 1.0), 1)))
    known = probe.known_arrays([p.sample for p in pairs])
    fitting = [
        (n, x) for n, x in known if all(np.shape(v) == p.result_shape for v, p in zip(x, pairs, strict=True))
    ]
    for name, x in fitting:
        for other, z in fitting:
            made = [np.ravel(a) / np.ravel(b) for a, b in zip(x, z, strict=True)]
            fits = all(probe.equal(m[rows], r[rows]) for m, (rows, r) in zip(made, factors, strict=True))
            if name != other and fits:
                yield from in_place_of(probe, leaf, name, other)
                return
    values = np.concatenate([r[rows] for rows, r in factors])
    # A lost contribution is another mistake, and so is one factor throughout.
    if np.any(values == 0) or np.unique(np.round(values, 6)).size == 1:
        return
    says = "is off by a factor for each entry of the upstream"
    yield from probe.suspect(leaf, says, {Mistake.WRONG_DERIVATIVE: 0.18, Mistake.MISSING_FACTOR: 0.19})


def _same_support(pairs: list[JacobianPair]) -> bool:
    """Whether contributions are where they should be, and some at each point."""
    return all(np.array_equal(p.got_support, p.want_support) and np.any(p.want_support) for p in pairs)


def _elementwise(pairs: list[JacobianPair]) -> bool:
    """Whether each entry of the result depends on one entry of the leaf, another one each."""
    supports = [p.matrix(p.want_support) for p in pairs]
    return all(np.all(s.sum(1) <= 1) and np.all(s.sum(0) <= 1) for s in supports)


def _ratios(pairs: list[JacobianPair]) -> np.ndarray:
    return np.concatenate([(p.got / p.want)[p.want_support] for p in pairs])


def _rows_even(probe: Probe, ratio: np.ndarray) -> bool:
    """Whether each row holds one value, where it holds any."""
    for row in ratio:
        held = row[~np.isnan(row)]
        if held.size and np.ptp(held) > 10 * probe.tolerance * np.max(np.abs(held)):
            return False
    return True


def _wrong_block(probe: Probe, pairs: list[JacobianPair]) -> list[JacobianPair] | None:
    """The Jacobians in the one block of the leaf's slices where they are wrong, as of one gate of several."""
    first, results = pairs[0], len(pairs[0].result_shape)
    for axis in long_axes(first.leaf_shape):
        wrong = np.unique(np.concatenate([slices_with_any(p.wrong, results + axis) for p in pairs]))
        n, size = first.leaf_shape[axis], len(wrong)
        if 0 < size < n and n % size == 0 and wrong[-1] - wrong[0] == size - 1:
            cut = [[np.take(m, wrong, results + axis) for m in (p.got, p.want)] for p in pairs]
            return [
                probe.pair(got, want, results, p.sample) for (got, want), p in zip(cut, pairs, strict=True)
            ]
    return None

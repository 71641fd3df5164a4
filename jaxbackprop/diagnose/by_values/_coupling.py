"""Which entries of a result depend on which entries of an argument of the same shape."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ..mistakes import Mistake
from ._jacobians import JacobianPair
from ._leaves import is_key
from ._probe import Probe


def coupled_axes(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """Entries depend on one another along other axes than they should."""
    if not all(p.elementwise_shape for p in pairs):
        return
    got = set.union(*(_coupled_along(p.got_support) for p in pairs))
    want = set.union(*(_coupled_along(p.want_support) for p in pairs))
    if not got and want:
        costs = {Mistake.MISSING_TERM: 0.1, Mistake.DIAGONAL_ONLY: 0.2}
        yield from probe.suspect(leaf, "has no part that couples the entries", costs)
    elif got < want:
        yield from probe.suspect(leaf, "lacks the part that couples entries", {Mistake.MISSING_TERM: 0.1})
    elif got > want:
        says = f"couples entries along axes {sorted(got - want)}, which should be independent of one another"
        batch = 0 in got - want
        costs = {
            Mistake.EXTRA_SUM: 0.1,
            Mistake.BATCH_OF_ONE: 0.12 if batch else 0.4,
            Mistake.WRONG_AXIS: 0.3,
        }
        yield from probe.suspect(leaf, says, costs)
    elif got != want and len(got) == len(want) == 1:
        says = f"couples entries along axis {min(got)} instead of {min(want)}"
        yield from probe.suspect(leaf, says, {Mistake.WRONG_AXIS: 0.02})


def _coupled_along(support: np.ndarray) -> set[int]:
    """The axes along which an entry depends on others."""
    results = support.ndim // 2
    there = np.argwhere(support)
    apart = there[:, :results] != there[:, results:]
    return {axis for axis in range(results) if np.any(apart[:, axis])}


def simple_difference(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """What the rule's Jacobian lacks is a multiple of the identity, or diagonal."""
    lacking = [p.matrix(p.want - p.got) for p in pairs]
    if not all(m.shape[0] == m.shape[1] > 1 for m in lacking):
        return
    c = float(lacking[0][0, 0])
    if all(probe.equal(m, np.eye(len(m)) * m[0, 0]) for m in lacking):
        yield from probe.suspect(leaf, f"lacks {c:.3g} times the upstream", {Mistake.PATH_FORGOTTEN: 0.0})
        return
    if _all_diagonal(probe, pairs, [p.want for p in pairs]):
        yield from _zeros_elsewhere(probe, leaf, pairs)
        return
    if _all_diagonal(probe, pairs, [p.want + p.got for p in pairs]):
        says = "has the wrong sign where entries depend on one another"
        yield from probe.suspect(leaf, says, {Mistake.SIGN: 0.06})
    if _all_diagonal(probe, pairs, [p.want - p.got for p in pairs]):
        says = "lacks a term that works on each entry by itself"
        yield from probe.suspect(leaf, says, {Mistake.MISSING_TERM: 0.2})


def _all_diagonal(probe: Probe, pairs: list[JacobianPair], jacobians: list[np.ndarray]) -> bool:
    """Whether Jacobians are zero off the diagonal."""
    return all(
        np.all(probe.zero(p.matrix(a), p.want) | np.eye(len(p.matrix(a)), dtype=bool))
        for a, p in zip(jacobians, pairs, strict=True)
    )


def _zeros_elsewhere(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """An elementwise function whose slope is right or zero, and zero in the wrong places."""
    wrong, got, want = (
        np.concatenate([p.matrix(a).diagonal() for a, p in zip(arrays, pairs, strict=True)])
        for arrays in (
            [p.wrong for p in pairs],
            [p.got_support for p in pairs],
            [p.want_support for p in pairs],
        )
    )
    lost, added = wrong & ~got & want, wrong & got & ~want
    if np.any(lost) and np.any(added) and not np.any(wrong & got & want):
        keyed = any(is_key(x) for x in pairs[0].sample.leaves)
        says = "is zero where it should not be, and not where it should be"
        costs = {Mistake.WRONG_MASK: 0.1, Mistake.STALE_RESIDUAL: 0.08 if keyed else 0.3}
        yield from probe.suspect(leaf, says, costs)

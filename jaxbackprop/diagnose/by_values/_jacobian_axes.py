"""The rule's Jacobian is the right one with axes exchanged or reversed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._axes import axis_orders, long_axes
from .._evidence import Suspicion
from ..mistakes import Mistake
from ._jacobians import JacobianPair
from ._probe import Probe


def reversed_axes(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """An axis of the result and one of the leaf both run backwards."""
    first, results = pairs[0], len(pairs[0].result_shape)
    if any(p.want.shape != first.want.shape for p in pairs):
        return
    for outer in long_axes(first.result_shape):
        for inner in long_axes(first.leaf_shape):
            if all(probe.equal(np.flip(p.want, (outer, results + inner)), p.got) for p in pairs):
                says = f"runs along axis {inner} in reversed order"
                yield from probe.suspect(leaf, says, {Mistake.ORDER_REVERSED: 0.0})


def exchanged_axes(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """Axes of the result exchanged with axes of the leaf."""
    shape, results = pairs[0].want.shape, len(pairs[0].result_shape)
    if any(p.want.shape != shape for p in pairs):
        return
    for order in axis_orders(shape):
        # An exchange among the axes of one side is seen in the gradients of all samples.
        if set(order[:results]) == set(range(results)):
            continue
        if not all(probe.equal(p.want.transpose(order), p.got) for p in pairs):
            continue
        says, reduced = "multiplies by a matrix that lacks a transpose", results > len(pairs[0].leaf_shape)
        if reduced:
            wrong_axis = "is reduced over another axis than it should be"
            yield from probe.suspect(leaf, wrong_axis, {Mistake.WRONG_AXIS: 0.05})
        yield from probe.suspect(leaf, says, {Mistake.MISSING_TRANSPOSE: 0.2 if reduced else 0.03})
        return


def reversed_dependence(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """Entries depend on those before instead of those after, or the reverse."""
    if not all(p.elementwise_shape for p in pairs):
        return
    supports = [(p.matrix(p.got_support), p.matrix(p.want_support)) for p in pairs]
    if all(np.array_equal(got, want.T) and not np.array_equal(got, want) for got, want in supports):
        says = "makes entries depend on those before instead of those after, or the reverse"
        costs = {Mistake.ORDER_REVERSED: 0.1, Mistake.MISSING_TRANSPOSE: 0.2}
        yield from probe.suspect(leaf, says, costs)


def transposed_factor(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Suspicion]:
    """In some step a square matrix is not transposed: the ratio of entry (i, j) undoes that of (j, i)."""
    found = 0
    for p in pairs:
        results = len(p.result_shape)
        for a in long_axes(p.result_shape):
            for b in long_axes(p.leaf_shape):
                n = p.result_shape[a]
                if n != p.leaf_shape[b] or n < 3:
                    continue
                got, want = (
                    np.moveaxis(m, (a, results + b), (-2, -1)).reshape(-1, n, n) for m in (p.got, p.want)
                )
                found += sum(_untransposed(probe, g, w) for g, w in zip(got, want, strict=True))
    if found >= len(pairs):
        says = "multiplies by a matrix that lacks a transpose at some step"
        yield from probe.suspect(leaf, says, {Mistake.MISSING_TRANSPOSE: 0.06})


def _untransposed(probe: Probe, got: np.ndarray, want: np.ndarray) -> bool:
    if np.any(probe.zero(want, want)) or np.any(probe.zero(got, got)) or probe.equal(got, want):
        return False
    ratio = got / want
    undone = np.allclose(ratio * ratio.T, 1, rtol=0, atol=1e-6)
    return undone and not np.allclose(ratio, ratio[0], atol=1e-6)

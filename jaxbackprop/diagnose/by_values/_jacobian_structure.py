"""The rule's Jacobian is the right one with axes exchanged, factors, other couplings, other steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._arrays import axis_orders, is_key, long_axes
from ..mistakes import Mistake as M
from ._jacobians import JacobianPair
from ._probe import Guess, Probe


def reversed_axes(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
    """An axis of the result and one of the leaf both run backwards."""
    first, results = pairs[0], len(pairs[0].result_shape)
    if any(p.want.shape != first.want.shape for p in pairs):
        return
    for outer in long_axes(first.result_shape):
        for inner in long_axes(first.leaf_shape):
            if all(probe.equal(np.flip(p.want, (outer, results + inner)), p.got) for p in pairs):
                yield leaf, f"runs along axis {inner} in reversed order", {M.ORDER_REVERSED: 0.0}


def exchanged_axes(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
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
            yield leaf, wrong_axis, {M.WRONG_AXIS: 0.05}
        yield leaf, says, {M.MISSING_TRANSPOSE: 0.2 if reduced else 0.03}
        return


def reversed_dependence(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
    """Entries depend on those before instead of those after, or the reverse."""
    if not all(p.elementwise_shape for p in pairs):
        return
    supports = [(p.matrix(p.got_support), p.matrix(p.want_support)) for p in pairs]
    if all(np.array_equal(got, want.T) and not np.array_equal(got, want) for got, want in supports):
        says = "makes entries depend on those before instead of those after, or the reverse"
        yield leaf, says, {M.ORDER_REVERSED: 0.1, M.MISSING_TRANSPOSE: 0.2}


def transposed_factor(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
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
        yield leaf, "multiplies by a matrix that lacks a transpose at some step", {M.MISSING_TRANSPOSE: 0.06}


def _untransposed(probe: Probe, got: np.ndarray, want: np.ndarray) -> bool:
    if np.any(probe.zero(want, want)) or np.any(probe.zero(got, got)) or probe.equal(got, want):
        return False
    ratio = got / want
    undone = np.allclose(ratio * ratio.T, 1, rtol=0, atol=1e-6)
    return undone and not np.allclose(ratio, ratio[0], atol=1e-6)


def share_of_winners(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
    """Several equal winners each get a factor too much."""
    if not _same_support(pairs) or not probe.selects[leaf]:
        return
    tied = any(np.any(p.matrix(p.want_support).sum(1) > 1) for p in pairs)
    if tied and all(_rows_even(probe, p.ratio()) for p in pairs):
        yield leaf, "gives each of several equal winners more than its share", {M.WRONG_WINNER: 0.03}


def another_slope(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
    """An elementwise function with another derivative than it should have."""
    if not _same_support(pairs) or not pairs[0].elementwise_shape or not _elementwise(pairs):
        return
    got = np.concatenate([p.matrix(p.got).sum(0) for p in pairs])
    want = np.concatenate([p.matrix(p.want).sum(0) for p in pairs])
    everywhere = np.all(probe.differs(got, want))
    costs = {M.WRONG_DERIVATIVE: 0.25 if everywhere else 0.35, M.MISSING_TERM: 0.3, M.MISSING_FACTOR: 0.4}
    yield leaf, "has another slope than it should", costs


def _same_support(pairs: list[JacobianPair]) -> bool:
    """Whether contributions are where they should be, and some at each point."""
    return all(np.array_equal(p.got_support, p.want_support) and np.any(p.want_support) for p in pairs)


def _elementwise(pairs: list[JacobianPair]) -> bool:
    """Whether each entry of the result depends on one entry of the leaf, another one each."""
    supports = [p.matrix(p.want_support) for p in pairs]
    return all(np.all(s.sum(1) <= 1) and np.all(s.sum(0) <= 1) for s in supports)


def _rows_even(probe: Probe, ratio: np.ndarray) -> bool:
    """Whether each row holds one value, where it holds any."""
    for row in ratio:
        held = row[~np.isnan(row)]
        if held.size and np.ptp(held) > 10 * probe.tolerance * np.max(np.abs(held)):
            return False
    return True


def coupled_axes(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
    """Entries depend on one another along other axes than they should."""
    if not all(p.elementwise_shape for p in pairs):
        return
    got = set.union(*(_coupled_along(p.got_support) for p in pairs))
    want = set.union(*(_coupled_along(p.want_support) for p in pairs))
    if not got and want:
        yield leaf, "has no part that couples the entries", {M.MISSING_TERM: 0.1, M.DIAGONAL_ONLY: 0.2}
    elif got < want:
        yield leaf, "lacks the part that couples entries", {M.MISSING_TERM: 0.1}
    elif got > want:
        says = f"couples entries along axes {sorted(got - want)}, which should be independent of one another"
        batch = 0 in got - want
        yield leaf, says, {M.EXTRA_SUM: 0.1, M.BATCH_OF_ONE: 0.12 if batch else 0.4, M.WRONG_AXIS: 0.3}
    elif got != want and len(got) == len(want) == 1:
        yield leaf, f"couples entries along axis {min(got)} instead of {min(want)}", {M.WRONG_AXIS: 0.02}


def _coupled_along(support: np.ndarray) -> set[int]:
    """The axes along which an entry depends on others."""
    results = support.ndim // 2
    there = np.argwhere(support)
    apart = there[:, :results] != there[:, results:]
    return {axis for axis in range(results) if np.any(apart[:, axis])}


def simple_difference(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
    """What the rule's Jacobian lacks is a multiple of the identity, or diagonal."""
    lacking = [p.matrix(p.want - p.got) for p in pairs]
    if not all(m.shape[0] == m.shape[1] > 1 for m in lacking):
        return
    c = float(lacking[0][0, 0])
    if all(probe.equal(m, np.eye(len(m)) * m[0, 0]) for m in lacking):
        yield leaf, f"lacks {c:.3g} times the upstream", {M.PATH_FORGOTTEN: 0.0}
        return
    if _all_diagonal(probe, pairs, [p.want for p in pairs]):
        yield from _zeros_elsewhere(probe, leaf, pairs)
        return
    if _all_diagonal(probe, pairs, [p.want + p.got for p in pairs]):
        yield leaf, "has the wrong sign where entries depend on one another", {M.SIGN: 0.06}
    if _all_diagonal(probe, pairs, [p.want - p.got for p in pairs]):
        yield leaf, "lacks a term that works on each entry by itself", {M.MISSING_TERM: 0.2}


def _all_diagonal(probe: Probe, pairs: list[JacobianPair], jacobians: list[np.ndarray]) -> bool:
    """Whether Jacobians are zero off the diagonal."""
    return all(
        np.all(probe.zero(p.matrix(a), p.want) | np.eye(len(p.matrix(a)), dtype=bool))
        for a, p in zip(jacobians, pairs, strict=True)
    )


def _zeros_elsewhere(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
    """An elementwise function whose slope is right or zero, and zero in the wrong places."""
    wrong = np.concatenate([p.matrix(p.wrong).diagonal() for p in pairs])
    got = np.concatenate([p.matrix(p.got_support).diagonal() for p in pairs])
    want = np.concatenate([p.matrix(p.want_support).diagonal() for p in pairs])
    lost, added = wrong & ~got & want, wrong & got & ~want
    if np.any(lost) and np.any(added) and not np.any(wrong & got & want):
        keyed = any(is_key(x) for x in pairs[0].sample.leaves)
        says = "is zero where it should not be, and not where it should be"
        yield leaf, says, {M.WRONG_MASK: 0.1, M.STALE_RESIDUAL: 0.08 if keyed else 0.3}


def result_for_state(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
    """A matrix's gradient multiplies by the result, or the next state, in place of what came in."""
    for first_only in (False, True) if probe.recurrent else (False,):
        for k, y in enumerate(pairs[0].sample.y):
            for other, slot in enumerate(probe.evidence.slots):
                if other != leaf and all(
                    _replaced(probe, p, p.sample.y[k], np.asarray(p.sample.leaves[slot]), first_only)
                    for p in pairs
                ):
                    says = f"multiplies by the result in place of {probe.argument(other)}"
                    shift = 0.0 if probe.recurrent or np.ndim(y) == 1 else 0.1
                    costs = {M.TIME_SHIFT: shift, M.OUTPUT_FOR_INPUT: 0.05, M.STALE_RESIDUAL: 0.2}
                    yield leaf, says, costs
                    return


def _replaced(probe: Probe, p: JacobianPair, y: np.ndarray, x: np.ndarray, first_only: bool) -> bool:
    """Whether got · x = want · y along an axis of the leaf, in each step, or in the first one."""
    stacked = y.ndim == 2 and p.result_shape[:1] == y.shape[:1]
    if not 0 < y.ndim <= 2 or y.ndim > 1 and not stacked:
        return False
    n = y.shape[-1]
    for axis in long_axes(p.leaf_shape):
        if p.leaf_shape[axis] != n or x.shape not in (y.shape, (n,)):
            continue
        along = [1] * len(p.leaf_shape)
        along[axis] = n
        steps = range(1 if first_only else len(y)) if stacked else (slice(None),)
        if all(
            probe.equal(
                p.got[t] * np.reshape(x[t] if x.ndim == 2 else x, along),
                p.want[t] * np.reshape(y[t] if stacked else y, along),
            )
            and not probe.equal(p.got[t], p.want[t])
            for t in steps
        ):
            return True
    return False

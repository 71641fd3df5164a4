"""What one entry of a result adds to one entry of the gradient: it is lost, moved or not due."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .._arrays import is_integer, long_axes, other_axes, slice_name, slices_with_any
from ..mistakes import Mistake as M
from ._jacobians import JacobianPair
from ._probe import Guess, Probe


def lost(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
    """Each contribution is right or zero."""
    if any(np.any(p.wrong & p.got_support) for p in pairs):
        return
    first = pairs[0]
    due = [p.want_support for p in pairs]
    kept = [p.want_support & ~p.wrong for p in pairs]
    if not any(np.any(k) for k in kept):
        return
    if first.same_shape:
        found = list(_by_diagonal(probe, leaf, pairs, kept))
        if found:
            yield from found
            return
    survives = _depends_on(kept, due, range(len(first.result_shape), first.want.ndim))
    if survives is not None:
        yield from _entries(probe, leaf, first, ~survives)
        return
    indexed = any(is_integer(x) and np.size(x) > 1 for x in first.sample.leaves)
    one_each = all(
        np.array_equal(k.sum(first.result_axes), np.minimum(d.sum(first.result_axes), 1))
        for k, d in zip(kept, due, strict=True)
    )
    survives = _depends_on(kept, due, first.result_axes)
    if one_each and (indexed or survives is None):
        costs = {M.SET_NOT_ADD: 0.0 if indexed else 0.05, M.MISSING_SUM: 0.1 if indexed else 0.3}
        yield leaf, "keeps one of several contributions to an entry", costs
    elif survives is not None:
        yield from _results(probe, leaf, first, survives)
    elif first.want.ndim == 2 and all(_by_offset(k, d) for k, d in zip(kept, due, strict=True)):
        costs = {M.PARTLY_WRONG: 0.1, M.OFF_BY_ONE: 0.2, M.MISSING_TERM: 0.25}
        yield leaf, "lacks one tap of a window", costs
    else:
        costs = {
            M.SET_NOT_ADD: 0.1 if indexed else 0.2,
            M.MISSING_TERM: 0.15 if probe.recurrent else 0.25,
            M.MISSING_SUM: 0.3,
            M.TIME_SHIFT: 0.2 if probe.recurrent else 0.5,
        }
        yield leaf, "loses some contributions", costs


def one_slice_counts(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
    """The gradient depends, and wrongly, on one slice of the upstream; it should depend on several."""
    first = pairs[0]
    if not any(np.any(p.wrong & p.got_support) for p in pairs):
        return
    for axis in long_axes(first.result_shape):
        used = [slices_with_any(p.got_support, axis) for p in pairs]
        due = [len(slices_with_any(p.want_support, axis)) for p in pairs]
        if min(due) > 1 and all(len(u) == 1 for u in used) and len({int(u[0]) for u in used}) == 1:
            where = slice_name(first.result_shape, axis, int(used[0][0]))
            costs = {M.MISSING_SUM: 0.04, M.TIME_SHIFT: 0.1 if probe.recurrent else 0.3}
            yield leaf, f"depends on the {where} of the upstream cotangent only", costs
            return


def _by_diagonal(
    probe: Probe, leaf: int, pairs: list[JacobianPair], kept: list[np.ndarray]
) -> Iterator[Guess]:
    """What survives is the diagonal, or all but the diagonal."""
    eye = np.eye(len(pairs[0].matrix(pairs[0].got)), dtype=bool)
    masks = [(p.matrix(k), p.matrix(p.want_support)) for p, k in zip(pairs, kept, strict=True)]
    if all(np.array_equal(k, d & eye) for k, d in masks):
        yield leaf, "uses the diagonal of the Jacobian only", {M.DIAGONAL_ONLY: 0.0, M.MISSING_TERM: 0.3}
    elif all(np.array_equal(k, d & ~eye) for k, d in masks):
        yield leaf, "leaves out each entry's own contribution", {M.OFF_BY_ONE: 0.1, M.MISSING_TERM: 0.12}


def _by_offset(kept: np.ndarray, due: np.ndarray) -> bool:
    """Whether a contribution survives by the distance between its ends."""
    offset = np.subtract(*np.indices(due.shape))
    return not np.any(np.isin(offset[due & ~kept], offset[kept]))


def _depends_on(kept: list[np.ndarray], due: list[np.ndarray], axes: Sequence[int]) -> np.ndarray | None:
    """Where contributions survive, if their place along some axes alone decides that; None if it does not."""
    if not len(axes) or any(k.shape != kept[0].shape for k in kept):
        return None
    others = other_axes(kept[0].ndim, *axes)
    some = np.any([np.any(k, axis=others) for k in kept], axis=0)
    lost = np.any([np.any(d & ~k, axis=others) for k, d in zip(kept, due, strict=True)], axis=0)
    return None if np.any(some & lost) else ~lost


def _results(probe: Probe, leaf: int, p: JacobianPair, survives: np.ndarray) -> Iterator[Guess]:
    """Some entries of the upstream cotangent have no effect."""
    for axis in long_axes(p.result_shape):
        lines = slices_with_any(survives, axis)
        if len(lines) == 1 and np.all(np.take(survives, lines[0], axis)):
            index = int(lines[0])
            says = f"counts the {slice_name(p.result_shape, axis, index)} of the upstream cotangent only"
            costs = {M.MISSING_SUM: 0.0}
            if axis == 0 and index == 0:
                costs[M.BATCH_OF_ONE] = 0.1
            if axis == 0 and len(p.result_shape) > 1:
                costs[M.TIME_SHIFT] = 0.5
            yield leaf, says, costs
            return
        lines = slices_with_any(~survives, axis)
        if len(lines) == 1 and not np.any(np.take(survives, lines[0], axis)):
            says = f"leaves out the {slice_name(p.result_shape, axis, lines[0])} of the upstream cotangent"
            yield leaf, says, {M.OFF_BY_ONE: 0.1, M.TIME_SHIFT: 0.15, M.PARTLY_WRONG: 0.2}
            return
    costs = {M.SET_NOT_ADD: 0.1, M.MISSING_SUM: 0.15, M.WRONG_MASK: 0.3}
    yield leaf, "leaves out some entries of the upstream cotangent", costs


def _entries(probe: Probe, leaf: int, p: JacobianPair, lost: np.ndarray) -> Iterator[Guess]:
    """Some entries of the gradient get nothing."""
    for axis in long_axes(p.leaf_shape):
        lines = slices_with_any(lost, axis)
        if len(lines) == 1:
            says = f"lacks the {slice_name(p.leaf_shape, axis, int(lines[0]))}"
            yield leaf, says, {M.PARTLY_WRONG: 0.05, M.OFF_BY_ONE: 0.5}
            return
    yield leaf, "is zero where it should not be", {M.WRONG_MASK: 0.15, M.PARTLY_WRONG: 0.25}


def moved(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
    """Every entry of the upstream goes to one entry of the gradient, but to another than it should."""
    steps: set[tuple[int, ...]] = set()
    for p in pairs:
        got, want = p.matrix(p.got), p.matrix(p.want)
        if not probe.equal(got.sum(1), want.sum(1)) or not np.any(want):
            return
        g, w = p.matrix(p.got_support), p.matrix(p.want_support)
        if np.any(g.sum(1) > 1) or np.any(w.sum(1) > 1) or np.any(g.any(1) != w.any(1)):
            return
        rows = w.any(1)
        if p.leaf_shape:
            to, due = (np.unravel_index(m.argmax(1)[rows], p.leaf_shape) for m in (g, w))
            step = ((a - b) % n for a, b, n in zip(to, due, p.leaf_shape, strict=True))
            steps |= set(zip(*(s.tolist() for s in step), strict=True))
    first = pairs[0]
    if len(steps) == 1 and sum(min(d, n - d) for d, n in zip(*steps, first.leaf_shape, strict=True)) == 1:
        yield leaf, "goes to the entry beside the one it belongs to", {M.OFF_BY_ONE: 0.0}
    if probe.selects[leaf]:
        says = "goes to another entry than the one that was chosen"
        yield leaf, says, {M.WRONG_WINNER: 0.02, M.WRONG_MASK: 0.4}
        return
    reduced = len(first.result_shape) > len(first.leaf_shape)
    costs = {M.WRONG_AXIS: 0.1 if reduced else 0.4, M.OFF_BY_ONE: 0.3, M.ORDER_REVERSED: 0.3}
    yield leaf, "goes to other entries than it belongs to", costs


def not_due(probe: Probe, leaf: int, pairs: list[JacobianPair]) -> Iterator[Guess]:
    """Every contribution is there, and others where none is due."""
    if any(np.any(p.wrong & p.want_support) or not np.any(p.wrong) for p in pairs):
        return
    first, selects = pairs[0], probe.selects[leaf]
    one_each = all(np.all(p.matrix(p.want_support).sum(1) <= 1) for p in pairs)
    if one_each and first.same_shape and all(_is_diagonal(p.matrix(p.got_support)) for p in pairs):
        mask, padding = (0.05, 0.4) if selects else (0.2, 0.15)
        winner = 0.02 if _goes_elsewhere(probe, leaf) else 0.4
        costs = {M.WRONG_WINNER: winner, M.WRONG_MASK: mask, M.PADDING: padding}
        yield leaf, "is not zero where it should be", costs
        return
    results, entries = first.matrix(first.got).shape
    if one_each and selects and results < entries:
        yield leaf, "goes to more entries than the one that was chosen", {M.WRONG_WINNER: 0.05}
        return
    selects = selects or probe.piecewise_linear
    # A sum adds to entries that depend on something; a padded entry should depend on nothing.
    adds = any(
        np.any(p.got_support & ~p.want_support & np.any(p.want_support, axis=p.result_axes)) for p in pairs
    )
    growth = min(np.sum(p.got_support) / max(np.sum(p.want_support), 1) for p in pairs)
    sums = growth > 1.4 and adds and not selects
    costs = {
        M.WRONG_MASK: 0.08 if selects else 0.4,
        M.EXTRA_SUM: 0.1 if sums else 0.3,
        M.PADDING: 0.3 if sums or selects else 0.1,
    }
    yield leaf, "has contributions that are not due", costs


def _is_diagonal(support: np.ndarray) -> bool:
    return not np.any(support & ~np.eye(len(support), dtype=bool))


def _goes_elsewhere(probe: Probe, leaf: int) -> bool:
    """Whether this argument and another share the upstream, each entry going to one of them."""
    for s, (_, want) in zip(probe.points, probe.jacobians, strict=False):
        for d, result in zip(s.dy, want, strict=True):
            mine = result[leaf]
            for other, theirs in enumerate(result):
                if other == leaf or theirs.shape != mine.shape or not np.any(theirs):
                    continue
                both = (mine + theirs).reshape(d.size, -1)
                if both.shape[0] == both.shape[1] and probe.equal(both, np.eye(len(both)) * both[0, 0]):
                    return True
    return False

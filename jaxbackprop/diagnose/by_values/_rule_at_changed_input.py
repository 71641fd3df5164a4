"""The rule asked elsewhere: for other cotangents, at what it took an argument for, for mixed examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .._arrays import axis_orders, axis_subsets, in_words, is_boolean, is_key, long_axes, with_leaf
from ..mistakes import Mistake as M
from ._probe import Guess, Probe

# The mistake, its cost, what to say, and the changed argument in each sample.
Repair = tuple[M, float, str, Iterable[np.ndarray]]


def zero_everywhere(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The rule answers zero at every sample."""
    if not any(np.any(s.got[leaf]) for s in probe.samples):
        yield leaf, "is zero everywhere", {M.DETACHED: 0.0}


def not_linear(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The rule is not linear in the incoming cotangent: what it makes of multiples of one shows how."""
    s = probe.samples[0]
    asked = [probe.rule(s.leaves, tuple(c * d for d in s.dy)) for c in (0.0, 1.0, 2.0, 3.0, -1.0, 1e3, 1e-3)]
    answers = [a[leaf] for a in asked if a is not None]
    if len(answers) < len(asked) or not all(np.all(np.isfinite(a)) for a in answers):
        return
    none, once, twice, thrice, negative, large, small = answers
    additive = _additive(probe, leaf)
    doubles, odd = probe.equal(twice, 2 * once), probe.equal(negative, -once)
    if doubles and odd and probe.equal(large, 1e3 * once) and probe.equal(small, 1e-3 * once) and additive:
        return
    step = once - none
    if probe.equal(once, none) and probe.equal(large, once) and additive is not None:
        ones = probe.truth(s.leaves, tuple(np.ones_like(d) for d in s.dy))
        says = "does not depend on the upstream cotangent"
        if ones is not None and probe.equal(once, ones[leaf]):
            says = "is what it should be for an upstream of ones"
        yield leaf, says, {M.UPSTREAM_IGNORED: 0.0}
    elif probe.equal(twice, 4 * once) and probe.equal(thrice, 9 * once):
        yield leaf, "is quadratic in the upstream cotangent", {M.UPSTREAM_SQUARED: 0.0, M.NON_LINEAR: 0.3}
    elif np.any(none) and probe.equal(twice - once, step) and probe.equal(thrice - twice, step):
        yield leaf, "has a part without the upstream cotangent", {M.UPSTREAM_IGNORED: 0.1}
        yield leaf, "is not zero for an upstream of zero", {M.NON_LINEAR: 0.4}
    else:
        if probe.equal(thrice - 3 * twice + 3 * once, none):
            yield leaf, "has a part that is quadratic in the upstream cotangent", {M.UPSTREAM_SQUARED: 0.1}
        says = "is not linear in the upstream cotangent"
        if probe.equal(negative, once):
            says = "is the same for an upstream of the other sign: its absolute value is taken"
        elif probe.equal(large, once):
            says = "does not grow with the upstream cotangent: it is normalised"
        elif probe.equal(small * 1e3, s.want[leaf]):
            says = "is right for a small upstream cotangent alone: it is clipped or normalised"
        elif doubles and not odd:
            says = "depends on the sign of the upstream cotangent"
        yield leaf, says, {M.NON_LINEAR: 0.05}


def _additive(probe: Probe, leaf: int) -> bool | None:
    """Whether the rule of a sum of two cotangents is the sum of its answers; None where it cannot be told."""
    s, other = probe.samples[0], probe.samples[-1]
    sums = tuple(a + b for a, b in zip(s.dy, other.dy, strict=True))
    asked = [probe.rule(s.leaves, dy) for dy in (s.dy, other.dy, sums)]
    answers = [a[leaf] for a in asked if a is not None]
    if len(answers) < len(asked):
        return None
    first, second, both = answers
    scale = max(np.max(np.abs(v), initial=0.0) for v in (first, second))
    return bool(np.max(np.abs(first + second - both), initial=0.0) <= 4 * probe.tolerance * scale)


def rule_at_changed_input(probe: Probe) -> Iterator[Guess]:
    """The rule is right once an argument is what the rule took it for."""
    for changed, slot in enumerate(probe.evidence.slots):
        for mistake, cost, says, values in _repairs(probe, changed):
            answers = (
                (s, probe.rule(with_leaf(s, slot, value), s.dy), s.want)
                for s, value in zip(probe.samples, values, strict=True)
            )
            for leaf in probe.explained(probe.wrong, answers):
                yield leaf, says, {mistake: cost}


def _repairs(probe: Probe, leaf: int) -> Iterator[Repair]:
    s, slot, name = probe.samples[0], probe.evidence.slots[leaf], probe.argument(leaf)
    held = [np.asarray(s.leaves[slot]) for s in probe.samples]
    shape = held[0].shape
    for k, y in enumerate(s.y):
        if np.shape(y) == shape:
            cost = 0.14 if probe.piecewise_linear else 0.0
            says = f"becomes right when the result stands in place of {name}"
            yield M.INPUT_FOR_OUTPUT, cost, says, [s.y[k] for s in probe.samples]
    for other, value in enumerate(s.leaves):
        if is_boolean(value) and np.shape(value) == shape:
            masked = (x * np.asarray(s.leaves[other]) for x, s in zip(held, probe.samples, strict=True))
            yield M.STALE_RESIDUAL, 0.0, f"becomes right once {name} is masked", masked
    for axis in long_axes(shape):
        says = f"becomes right once {name} is centred along axis {axis}"
        yield M.STALE_RESIDUAL, 0.1, says, [x - np.mean(x, axis, keepdims=True) for x in held]
        says = f"becomes right once {name} has length one along axis {axis}"
        unit = [x / np.linalg.norm(x, axis=axis, keepdims=True) for x in held]
        yield M.STALE_RESIDUAL, 0.16, says, unit
    for order in axis_orders(shape):
        says = f"becomes right with the transpose of {name}"
        yield M.MISSING_TRANSPOSE, 0.05, says, [x.transpose(order) for x in held]
    for axes in axis_subsets(shape):
        says = f"becomes right with {name} reversed along {in_words(axes)}"
        yield M.ORDER_REVERSED, 0.1, says, [np.flip(x, axes) for x in held]


def mixed_examples(probe: Probe) -> Iterator[Guess]:
    """An example's gradient changes with another example of the batch, where it should not."""
    if probe.recurrent:
        return
    first, other = probe.samples[0], probe.samples[-1]
    slots = [slot for slot in probe.evidence.slots if np.ndim(first.leaves[slot]) > 1]
    sizes = {np.shape(first.leaves[slot])[0] for slot in slots}
    if any(d.ndim for d in first.dy):
        sizes &= {d.shape[0] for d in first.dy if d.ndim}
    for n in sizes - {0, 1}:
        batched = [slot for slot in slots if np.shape(first.leaves[slot])[0] == n]
        leaves = list(first.leaves)
        for slot in batched:
            leaves[slot] = np.array(first.leaves[slot])
            leaves[slot][0] = np.asarray(other.leaves[slot])[0]
        got, want = probe.rule(tuple(leaves), first.dy), probe.truth(tuple(leaves), first.dy)
        if got is None or want is None:
            continue
        alike = tuple(_first_repeated(leaf, n) for leaf in first.leaves)
        got_alike, want_alike = probe.rule(alike, first.dy), probe.truth(alike, first.dy)
        for leaf in probe.wrong:
            if probe.evidence.slots[leaf] not in batched:
                continue
            independent = probe.equal(want[leaf][1:], first.want[leaf][1:])
            if not independent or probe.equal(got[leaf][1:], first.got[leaf][1:]):
                continue
            right = bool(got_alike and want_alike and probe.equal(got_alike[leaf], want_alike[leaf]))
            alone, summed = (0.06, 0.15) if right else (0.2, 0.25)
            costs = {M.BATCH_OF_ONE: alone, M.EXTRA_SUM: summed, M.WRONG_AXIS: 0.3}
            yield leaf, "lets an example of the batch depend on another", costs


def _first_repeated(leaf: Any, n: int) -> Any:
    """A leaf in which all examples of the batch are the first one."""
    if is_key(leaf) or np.shape(leaf)[:1] != (n,):
        return leaf
    return np.broadcast_to(np.asarray(leaf)[:1], np.shape(leaf)).copy()

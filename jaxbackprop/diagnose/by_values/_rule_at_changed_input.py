"""The rule becomes right at changed input: the output for the input, a mask applied; or examples mix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .._axes import axis_orders, axis_subsets, in_words, long_axes
from .._evidence import Suspicion
from ..mistakes import Mistake
from ._leaves import is_boolean, is_key, with_leaf
from ._probe import Probe

# The mistake, its cost, what to say, and the changed argument in each sample.
Repair = tuple[Mistake, float, str, Iterable[np.ndarray]]


def rule_at_changed_input(probe: Probe) -> Iterator[Suspicion]:
    """The rule is right once an argument is what the rule took it for."""
    for changed, slot in enumerate(probe.evidence.slots):
        for mistake, cost, says, values in _repairs(probe, changed):
            answers = (
                (s, probe.rule(with_leaf(s, slot, value), s.dy), s.want)
                for s, value in zip(probe.samples, values, strict=True)
            )
            for leaf in probe.explained(probe.wrong, answers):
                yield from probe.suspect(leaf, says, {mistake: cost})


def _repairs(probe: Probe, leaf: int) -> Iterator[Repair]:
    s, slot, name = probe.samples[0], probe.evidence.slots[leaf], probe.argument(leaf)
    held = [np.asarray(s.leaves[slot]) for s in probe.samples]
    shape = held[0].shape
    for k, y in enumerate(s.y):
        if np.shape(y) == shape:
            cost = 0.14 if probe.piecewise_linear else 0.0
            says = f"becomes right when the result stands in place of {name}"
            yield Mistake.INPUT_FOR_OUTPUT, cost, says, [s.y[k] for s in probe.samples]
    for other, value in enumerate(s.leaves):
        if is_boolean(value) and np.shape(value) == shape:
            masked = (x * np.asarray(s.leaves[other]) for x, s in zip(held, probe.samples, strict=True))
            yield Mistake.STALE_RESIDUAL, 0.0, f"becomes right once {name} is masked", masked
    for axis in long_axes(shape):
        says = f"becomes right once {name} is centred along axis {axis}"
        yield Mistake.STALE_RESIDUAL, 0.1, says, [x - np.mean(x, axis, keepdims=True) for x in held]
        says = f"becomes right once {name} has length one along axis {axis}"
        unit = [x / np.linalg.norm(x, axis=axis, keepdims=True) for x in held]
        yield Mistake.STALE_RESIDUAL, 0.16, says, unit
    for order in axis_orders(shape):
        says = f"becomes right with the transpose of {name}"
        yield Mistake.MISSING_TRANSPOSE, 0.05, says, [x.transpose(order) for x in held]
    for axes in axis_subsets(shape):
        says = f"becomes right with {name} reversed along {in_words(axes)}"
        yield Mistake.ORDER_REVERSED, 0.1, says, [np.flip(x, axes) for x in held]


def mixed_examples(probe: Probe) -> Iterator[Suspicion]:
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
            right = (
                got_alike is not None
                and want_alike is not None
                and probe.equal(got_alike[leaf], want_alike[leaf])
            )
            costs = {
                Mistake.BATCH_OF_ONE: 0.06 if right else 0.2,
                Mistake.EXTRA_SUM: 0.15 if right else 0.25,
                Mistake.WRONG_AXIS: 0.3,
            }
            yield from probe.suspect(leaf, "lets an example of the batch depend on another", costs)


def _first_repeated(leaf: Any, n: int) -> Any:
    """A leaf in which all examples of the batch are the first one."""
    if is_key(leaf) or np.shape(leaf)[:1] != (n,):
        return leaf
    return np.broadcast_to(np.asarray(leaf)[:1], np.shape(leaf)).copy()

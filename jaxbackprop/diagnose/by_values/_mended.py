"""Arguments at which the rule becomes right: the output for the input, a mask applied, one example alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .._evidence import Suspicion
from ._probe import Probe, along, exchanges, flips, is_boolean, long_axes, put


def rule_elsewhere(probe: Probe) -> Iterator[Suspicion]:
    """The rule is right once an argument is what it took it for."""
    for k, slot in enumerate(probe.evidence.slots):
        for label, cost, says, values in _mended(probe, k):
            answers = (
                (s, probe.rule(put(s, slot, value), s.dy), s.want)
                for s, value in zip(probe.samples, values, strict=False)
            )
            for leaf in probe.explained(probe.wrong, answers):
                yield probe.suspect(label, leaf, cost, says)


def _mended(probe: Probe, leaf: int) -> Iterator[tuple[str, float, str, Iterable[np.ndarray]]]:
    s, slot, name = probe.samples[0], probe.evidence.slots[leaf], probe.argument(leaf)
    shape = np.shape(s.leaves[slot])
    held = [np.asarray(s.leaves[slot]) for s in probe.samples]
    for k, y in enumerate(s.y):
        if np.shape(y) == shape:
            says = f"becomes right when the result stands in place of {name}"
            yield "input for output", 0.14 if probe.piecewise else 0.0, says, (s.y[k] for s in probe.samples)
    for other, value in enumerate(s.leaves):
        if is_boolean(value) and np.shape(value) == shape:
            says = f"becomes right once {name} is masked"
            masks = (np.asarray(s.leaves[other]) for s in probe.samples)
            yield "stale residual", 0.0, says, (x * m for x, m in zip(held, masks, strict=True))
    for axis in long_axes(shape):
        says = f"becomes right once {name} is centred along axis {axis}"
        yield "stale residual", 0.1, says, (x - np.mean(x, axis, keepdims=True) for x in held)
        says = f"becomes right once {name} has length one along axis {axis}"
        yield (
            "stale residual",
            0.16,
            says,
            (x / np.linalg.norm(x, axis=axis, keepdims=True) for x in held),
        )
    for order in exchanges(shape):
        says = f"becomes right with the transpose of {name}"
        yield "missing transpose", 0.05, says, (x.transpose(order) for x in held)
    for axes in flips(shape):
        says = f"becomes right with {name} reversed along {along(axes)}"
        yield "order reversed", 0.1, says, (np.flip(x, axes) for x in held)


def mixed_examples(probe: Probe) -> Iterator[Suspicion]:
    """The rule lets one example of the batch hear of another, where they should not."""
    if probe.recurrent:
        return
    first, other = probe.samples[0], probe.samples[-1]
    slots = [slot for slot in probe.evidence.slots if np.ndim(first.leaves[slot]) > 1]
    sizes = {np.shape(first.leaves[slot])[0] for slot in slots} & {
        np.shape(d)[0] if np.ndim(d) else 0 for d in first.dy
    }
    if all(np.ndim(d) == 0 for d in first.dy):
        sizes = {np.shape(first.leaves[slot])[0] for slot in slots}
    for n in sizes - {0, 1}:
        batched = [slot for slot in slots if np.shape(first.leaves[slot])[0] == n]
        leaves = list(first.leaves)
        for slot in batched:
            leaves[slot] = np.concatenate(
                [np.asarray(other.leaves[slot])[:1], np.asarray(first.leaves[slot])[1:]]
            )
        got, want = probe.rule(tuple(leaves), first.dy), probe.truth(tuple(leaves), first.dy)
        alike = tuple(_repeat_first(leaf, n) for leaf in first.leaves)
        got_alike, want_alike = probe.rule(alike, first.dy), probe.truth(alike, first.dy)
        if got is None or want is None:
            continue
        for leaf in probe.wrong:
            if probe.evidence.slots[leaf] not in batched or not probe.equal(
                want[leaf][1:], first.want[leaf][1:]
            ):
                continue
            if probe.equal(got[leaf][1:], first.got[leaf][1:]):
                continue
            apart = _within(probe, leaf)
            if apart is not None and apart[1] and not apart[0]:
                says = "lets examples of the batch hear of one another, and not the entries of an example"
                yield probe.suspect("wrong axis", leaf, 0.02, says)
            right = (
                got_alike is not None
                and want_alike is not None
                and probe.equal(got_alike[leaf], want_alike[leaf])
            )
            says = "lets an example of the batch hear of another"
            yield probe.suspect("batch of one", leaf, 0.06 if right else 0.2, says)
            yield probe.suspect("extra sum", leaf, 0.15 if right else 0.25, says)
            yield probe.suspect("wrong axis", leaf, 0.3, says)


def _within(probe: Probe, leaf: int) -> tuple[bool, bool] | None:
    """Whether the rule, and whether the truth, lets the entries of one example hear of one another."""
    first, other = probe.samples[0], probe.samples[-1]
    slot = probe.evidence.slots[leaf]
    x = np.array(first.leaves[slot], np.float64)
    x[..., 0] = np.asarray(other.leaves[slot])[..., 0]
    got, want = probe.rule(put(first, slot, x), first.dy), probe.truth(put(first, slot, x), first.dy)
    if got is None or want is None or x.shape[-1] < 2:
        return None
    return (
        not probe.equal(got[leaf][..., 1:], first.got[leaf][..., 1:]),
        not probe.equal(want[leaf][..., 1:], first.want[leaf][..., 1:]),
    )


def _repeat_first(leaf: Any, n: int) -> Any:
    plain = isinstance(getattr(leaf, "dtype", None), np.dtype)
    if not plain or np.shape(leaf)[:1] != (n,):
        return leaf
    return np.broadcast_to(np.asarray(leaf)[:1], np.shape(leaf)).copy()

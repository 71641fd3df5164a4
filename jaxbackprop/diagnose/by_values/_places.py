"""The right numbers in other places: transposed, reversed, shifted, summed, another argument's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ._probe import Probe, along, exchanges, flips, long_axes, shifted


def rearranged(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The right numbers in other places, or summed over an axis and spread out again."""
    shape = np.shape(probe.samples[0].want[leaf])
    for order in exchanges(shape):
        if probe.always(leaf, (s.want[leaf].transpose(order) for s in probe.samples)):
            flat = all(_constant_along_one(probe, s.want[leaf]) for s in probe.samples)
            how = "" if len(shape) == 2 else f", its axes in the order {order}"
            yield probe.suspect(
                "transposed result", leaf, 0.1 if flat else 0.0, f"is the transpose of what it should be{how}"
            )
            yield probe.suspect("wrong axis", leaf, 0.05 if flat else 0.3, f"is transposed{how}")
            break
    for axes in flips(shape):
        if probe.always(leaf, (np.flip(s.want[leaf], axes) for s in probe.samples)):
            yield probe.suspect("order reversed", leaf, 0.02, f"runs backwards along {along(axes)}")
            break
    for axis in long_axes(shape):
        if all(
            probe.equal(np.broadcast_to(np.take(s.want[leaf], [0], axis), shape), s.want[leaf])
            for s in probe.samples
        ):
            continue
        for by in (1, -1):
            for wrap in (True, False):
                if probe.always(leaf, (shifted(s.want[leaf], by, axis, wrap=wrap) for s in probe.samples)):
                    yield probe.suspect("off by one", leaf, 0.02, f"is shifted by one along axis {axis}")
                    yield probe.suspect("time shift", leaf, 0.4, f"is shifted by one along axis {axis}")
        for f, name in ((np.sum, "sum"), (np.mean, "mean")):
            totals = (np.asarray(f(s.want[leaf], axis=axis, keepdims=True)) for s in probe.samples)
            if probe.always(leaf, (np.broadcast_to(total, shape) for total in totals)):
                yield probe.suspect(
                    "extra sum",
                    leaf,
                    0.02,
                    f"is the {name} over axis {axis} of what it should be, everywhere",
                )
    if shape and probe.always(leaf, (np.broadcast_to(np.sum(s.want[leaf]), shape) for s in probe.samples)):
        yield probe.suspect("extra sum", leaf, 0.05, "is the sum of what it should be, everywhere")


def _constant_along_one(probe: Probe, a: np.ndarray) -> bool:
    return any(probe.equal(np.broadcast_to(np.take(a, [0], axis), a.shape), a) for axis in long_axes(a.shape))


def swapped(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The cotangent is another argument's."""
    for other in range(len(probe.samples[0].want)):
        if other == leaf or np.shape(probe.samples[0].want[other]) != np.shape(probe.samples[0].want[leaf]):
            continue
        if probe.always(leaf, (s.want[other] for s in probe.samples)):
            both = probe.always(other, (s.want[leaf] for s in probe.samples))
            yield probe.suspect(
                "arguments swapped", leaf, 0.0 if both else 0.1, f"is what {probe.name(other)} should be"
            )


def blocks(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """Two blocks of an axis exchanged, as of two gates of one matrix; or one block off by a factor."""
    shape = np.shape(probe.samples[0].want[leaf])
    for axis in long_axes(shape):
        for count in range(2, 5):
            size = shape[axis] // count
            if size < 2 or shape[axis] % count:
                continue
            for i, j in itertools.combinations(range(count), 2):
                order = np.arange(shape[axis]).reshape(count, size)
                order[[i, j]] = order[[j, i]]
                if probe.always(leaf, (np.take(s.want[leaf], order.ravel(), axis) for s in probe.samples)):
                    says = f"has blocks {i} and {j} of {count} along axis {axis} exchanged"
                    yield probe.suspect("arguments swapped", leaf, 0.05, says)
                    return
            for i in range(count):
                lines = np.arange(i * size, (i + 1) * size)
                pairs = [
                    (np.take(s.got[leaf], lines, axis), np.take(s.want[leaf], lines, axis))
                    for s in probe.samples
                ]
                c = float(np.sum(pairs[0][0] * pairs[0][1]) / np.sum(pairs[0][1] ** 2))
                fits = all(probe.equal(g, c * w) for g, w in pairs) and abs(c - 1) > 1e-6
                rest = [np.delete(s.got[leaf] - s.want[leaf], lines, axis) for s in probe.samples]
                if fits and all(
                    np.all(probe.zero(r, s.want[leaf])) for r, s in zip(rest, probe.samples, strict=True)
                ):
                    label = "sign" if abs(c + 1) < 1e-6 else "constant factor" if c else "detached"
                    says = f"is {c:.4g} times what it should be in block {i} of {count} along axis {axis}"
                    yield probe.suspect(label, leaf, 0.05, says)
                    yield probe.suspect("partly wrong", leaf, 0.1, says)
                    return

"""What the rule's answer lacks, right minus got, has a simple form."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._axes import long_axes
from .._evidence import Suspicion
from ..mistakes import Mistake
from ._leaves import is_integer
from ._probe import Probe


def constant_along_an_axis(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The lacking term is the same along an axis, and the gradient is not."""
    lacks = _lacks(probe, leaf)
    for axis in long_axes(lacks[0].shape):
        if any(probe.constant_along(s.want[leaf], axis) for s in probe.samples):
            continue
        if all(probe.constant_along(d, axis) for d in lacks):
            says = f"lacks a term that is the same along axis {axis}"
            yield from probe.suspect(leaf, says, {Mistake.MISSING_TERM: 0.08})


def label_smoothing(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The lacking term is the same for all classes but the label, and sums to zero."""
    lacks = _lacks(probe, leaf)
    shape = lacks[0].shape
    if not shape or shape[-1] < 3:
        return
    for slot, value in enumerate(probe.samples[0].leaves):
        if not is_integer(value) or np.shape(value) != shape[:-1]:
            continue
        if all(
            _is_smoothing(probe, d, s.want[leaf], np.asarray(s.leaves[slot]))
            for s, d in zip(probe.samples, lacks, strict=True)
        ):
            says = "lacks what label smoothing adds: the same for every class but the label"
            yield from probe.suspect(leaf, says, {Mistake.SMOOTHING_FORGOTTEN: 0.0})
            return


def _is_smoothing(probe: Probe, lack: np.ndarray, want: np.ndarray, labels: np.ndarray) -> bool:
    classes = lack.shape[-1]
    held = (labels >= 0) & (labels < classes)
    rows, labels = lack[held], labels[held]
    others = rows[np.arange(classes) != labels[:, None]].reshape(len(rows), classes - 1)
    noise = 10 * probe.tolerance * np.max(np.abs(want), initial=0.0)
    off = max(np.max(np.ptp(others, -1), initial=0.0), np.max(np.abs(rows.sum(-1)), initial=0.0))
    return bool(np.max(np.abs(rows), initial=0.0) > noise >= off)


def linear_in_an_argument(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The lacking term, over the upstream, is a + b times another argument."""
    first, lacks = probe.samples[0], _lacks(probe, leaf)
    shape = lacks[0].shape
    if len(first.dy) > 1 or first.dy[0].shape not in ((), shape) or not shape:
        return
    d = np.concatenate([np.ravel(lack / s.dy[0]) for lack, s in zip(lacks, probe.samples, strict=True)])
    for other, slot in enumerate(probe.evidence.slots):
        if other == leaf or np.shape(first.leaves[slot]) != shape or d.size < 6 or not np.all(np.isfinite(d)):
            continue
        t = np.concatenate([np.ravel(s.leaves[slot]) for s in probe.samples])
        if np.ptp(t) == 0:
            continue
        design = np.stack([np.ones_like(t), t], 1)
        (a, b), *_ = np.linalg.lstsq(design, d, rcond=None)
        if abs(a) > 1e-6 and abs(b) > 1e-6 and probe.equal(design @ np.asarray([a, b]), d):
            says = f"lacks a term that is linear in {probe.argument(other)}"
            # Smoothing moves the targets towards their middle.
            costs = {Mistake.SMOOTHING_FORGOTTEN: 0.05} if a * b < 0 else {Mistake.MISSING_TERM: 0.05}
            yield from probe.suspect(leaf, says, {Mistake.MISSING_TERM: 0.1} | costs)


def _lacks(probe: Probe, leaf: int) -> list[np.ndarray]:
    return [s.want[leaf] - s.got[leaf] for s in probe.samples]

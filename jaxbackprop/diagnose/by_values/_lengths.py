"""Whether a factor follows the length of an axis, or only happens to equal it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arrays import is_key, is_mask
from ._probe import Probe


def factor_of_longer(probe: Probe, leaf: int, n: int) -> float | None:
    """The factor that a leaf is off by where every axis of length n is one longer.

    None where rule or truth cannot be asked for such arguments, or there is no one factor.
    """
    s = probe.samples[0]
    leaves = tuple(x if is_key(x) else _longer(np.asarray(x), n) for x in s.leaves)
    dy = tuple(_longer(d, n) for d in s.dy)
    got, want = probe.rule(leaves, dy), probe.truth(leaves, dy)
    if got is None or want is None or got[leaf].shape != want[leaf].shape:
        return None
    power = float(np.sum(want[leaf] * want[leaf]))
    c = float(np.sum(got[leaf] * want[leaf])) / power if power else np.nan
    return c if np.isfinite(c) and probe.equal(got[leaf], c * want[leaf]) else None


def _longer(x: np.ndarray, n: int) -> Any:
    for axis in range(x.ndim):
        if x.shape[axis] == n:
            first = np.take(x, [0], axis)
            # Not the first once more: ties are no place to ask.
            is_plain = x.dtype.kind != "f" or is_mask(x)
            x = np.concatenate([x, first if is_plain else 0.9 * first + 0.05], axis)
    return x

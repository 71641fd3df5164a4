"""Intervals of an accuracy over seeds, and of a difference of two over test sentences and seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy import stats

# Replicates at a time, for memory.
_BLOCK = 500


@dataclass(frozen=True)
class AccuracyDifference:
    """A mean accuracy less another one.

    Attributes:
        mean: the difference, 0.01 is a point.
        low: lower end of its interval.
        high: upper end.
    """

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def half_width(right: Bool[np.ndarray, "seeds N"], confidence: float = 0.95) -> float | None:
    """Half of Student's interval of the mean accuracy over seeds; None with one seed.

    Args:
        right: whether each run gets each test sentence right.
        confidence: the interval's.
    """
    seeds = len(right)
    if seeds < 2:
        return None
    error = float(np.std(right.mean(1), ddof=1)) / np.sqrt(seeds)
    return float(stats.t.ppf((1 + confidence) / 2, seeds - 1)) * error


def paired_difference(
    a: Bool[np.ndarray, "seeds N"],
    b: Bool[np.ndarray, "seeds N"],
    *,
    samples: int = 10_000,
    confidence: float = 0.95,
) -> AccuracyDifference:
    """Mean accuracy of a less that of b, with a percentile interval.

    A replicate draws test sentences and seeds with replacement, the same ones for both.

    Args:
        a: whether each run of the first system gets each test sentence right.
        b: the second system's, seed by seed and sentence by sentence.
        samples: replicates.
        confidence: the interval's.

    Raises:
        ValueError: the shapes differ.

    Source: as `paired_bootstrap`.
    """
    if a.shape != b.shape:
        raise ValueError(f"a has shape {a.shape} but b has {b.shape}")
    seeds, count = a.shape
    differences = a.astype(np.float64) - b
    rng = np.random.default_rng(0)
    found = []
    for first in range(0, samples, _BLOCK):
        block = min(_BLOCK, samples - first)
        drawn = rng.integers(count, size=(block, count)) + count * np.arange(block)[:, None]
        times = np.bincount(drawn.ravel(), minlength=block * count).reshape(block, count)
        seed_times = rng.multinomial(seeds, np.full(seeds, 1 / seeds), block)
        found.append(np.sum((times @ differences.T) * seed_times, 1) / (count * seeds))
    low, high = np.quantile(np.concatenate(found), [(1 - confidence) / 2, (1 + confidence) / 2])
    return AccuracyDifference(float(differences.mean()), float(low), float(high))

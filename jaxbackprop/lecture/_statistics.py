"""Differences that noise cannot explain, and how a quantity grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """The mean of differences of pairs, and its confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def above(self) -> bool:
        """Whether all of the interval is above 0."""
        return self.low > 0

    @property
    def below(self) -> bool:
        """Whether all of the interval is below 0."""
        return self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired(
    first: Sequence[float], second: Sequence[float], comparisons: int = 1, *, shared: float = 0.0
) -> Difference:
    """The mean of first - second with Student's interval.

    Args:
        first: a figure a seed, at least two.
        second: of the same seeds.
        comparisons: how many such intervals one verdict rests on; all of them hold at once with 95%.
        shared: tested over training examples in cross-validation, whose runs share most of the latter; the
            interval is then the wider one of Nadeau and Bengio (2003). 0 for independent runs.

    Returns:
        The difference.
    """
    differences = np.subtract(first, second)
    count = len(differences)
    error = float(np.std(differences, ddof=1)) * np.sqrt(1 / count + shared)
    # Bonferroni: each of the intervals may miss in its share of the 5%.
    quantile = float(stats.t.ppf(1 - (1 - _CONFIDENCE) / (2 * comparisons), count - 1))
    mean = float(np.mean(differences))
    return Difference(mean, mean - quantile * error, mean + quantile * error)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The p of values ~ sizes^p: the slope of the line through both logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def mean(values: Sequence[float]) -> float:
    """The mean."""
    return float(np.mean(values))

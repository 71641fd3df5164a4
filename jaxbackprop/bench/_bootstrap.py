"""The paired bootstrap over sentences of a difference in micro F1."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Float, Int

from jaxbackprop.train import entities

Tagging = Sequence[Sequence[str]]
"""The tags of some sentences, in order: one sequence of BIO tags a sentence."""

# A block of replicates holds block x sentences int32 indices: 2 MB at a thousand sentences.
_BLOCK = 500


@dataclass(frozen=True)
class BootstrapResult:
    """What `paired_bootstrap` found.

    Attributes:
        f1_a: Micro F1 of system a, between 0 and 1; the mean over its runs.
        f1_b: The same of system b.
        difference: f1_a - f1_b, in F1 (0.01 is one point).
        low: Lower end of the percentile interval of the difference.
        high: Upper end.
        p: Two-sided p-value of no difference: twice the smaller share of replicates on either side of 0
            (a replicate at exactly 0 counts on both), at most 1. It is never 0: the observed data counts
            as one more replicate.
        confidence: The interval's nominal coverage.
        samples: The number of replicates.
    """

    f1_a: float
    f1_b: float
    difference: float
    low: float
    high: float
    p: float
    confidence: float
    samples: int


def entity_counts(gold: Tagging, predicted: Tagging) -> Int[np.ndarray, "sentences 3"]:
    """Exact-match entity counts of every sentence, enough to compute the F1 of any set of sentences.

    Args:
        gold: The true BIO tags, one sequence a sentence.
        predicted: The system's BIO tags, as many and as long.

    Returns:
        Columns: entities right (same start, end and type), entities predicted, entities in gold.

    Raises:
        ValueError: If the numbers of sentences or of tags differ.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"predicted has {len(predicted)} sentences but gold has {len(gold)}")
    counts = np.zeros((len(gold), 3), np.int64)
    for i, (gold_tags, predicted_tags) in enumerate(zip(gold, predicted, strict=True)):
        if len(gold_tags) != len(predicted_tags):
            raise ValueError(
                f"predicted has {len(predicted_tags)} tags in sentence {i} but gold has {len(gold_tags)}"
            )
        true, found = set(entities(gold_tags)), set(entities(predicted_tags))
        counts[i] = len(true & found), len(found), len(true)
    return counts


def micro_f1(counts: Int[np.ndarray, "... 3"]) -> Float[np.ndarray, "..."]:
    """Micro F1, 2 right / (predicted + gold), of summed `entity_counts`; 0 where there is no entity."""
    right, total = counts[..., 0], counts[..., 1] + counts[..., 2]
    return 2 * right / np.maximum(total, 1)


def f1_of(gold: Tagging, predicted: Tagging) -> float:
    """Micro F1 of one run, between 0 and 1."""
    return float(micro_f1(entity_counts(gold, predicted).sum(0)))


def paired_bootstrap(
    gold: Tagging,
    a: Tagging | Sequence[Tagging],
    b: Tagging | Sequence[Tagging],
    *,
    samples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> BootstrapResult:
    """Interval of the difference in exact-match entity F1 of two systems on the same sentences.

    Sentences are drawn with replacement, the same ones for both systems, and both are scored on the draw.
    A system may be several runs (one a seed): its F1 is the mean of theirs, on every draw. The interval
    then speaks of other test sentences, not of other seeds: the runs stay as they are.

    Args:
        gold: The true BIO tags, one sequence a sentence.
        a: The predictions of the first system: one run (as `gold`) or a sequence of runs.
        b: The predictions of the second system, likewise.
        samples: The number of replicates.
        confidence: The coverage of the percentile interval, in (0, 1).
        seed: Seed of the draws; equal seeds give equal results.

    Returns:
        The difference F1(a) - F1(b) on all sentences, with its interval and p-value.

    Raises:
        ValueError: If an argument is empty or out of its range, or predictions do not fit `gold`.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16; paired
        over sentences as in Berg-Kirkpatrick et al., An Empirical Investigation of Statistical
        Significance in NLP (2012).
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1 but is {samples}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1 but is {confidence}")
    if not len(gold):
        raise ValueError("gold must hold at least one sentence but is empty")
    runs_a, runs_b = _runs("a", a), _runs("b", b)
    # (sentences, runs, 3): a matrix product with the draws' multiplicities sums any draw's counts.
    counts = np.stack([entity_counts(gold, run) for run in (*runs_a, *runs_b)], axis=1)

    def mean_f1(totals: Float[np.ndarray, "... runs 3"]) -> tuple[np.ndarray, np.ndarray]:
        f1 = micro_f1(totals)
        return f1[..., : len(runs_a)].mean(-1), f1[..., len(runs_a) :].mean(-1)

    f1_a, f1_b = mean_f1(counts.sum(0))
    rng = np.random.default_rng(seed)
    n = len(gold)
    flat = counts.reshape(n, -1).astype(np.float64)  # exact: counts stay far below 2**53
    differences = []
    for first in range(0, samples, _BLOCK):
        rows = min(_BLOCK, samples - first)
        drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        draw_a, draw_b = mean_f1((times @ flat).reshape(rows, -1, 3))
        differences.append(draw_a - draw_b)
    spread = np.concatenate(differences)
    tail = (1 - confidence) / 2
    low, high = np.quantile(spread, [tail, 1 - tail])
    beyond = min(np.count_nonzero(spread <= 0), np.count_nonzero(spread >= 0))
    return BootstrapResult(
        f1_a=float(f1_a),
        f1_b=float(f1_b),
        difference=float(f1_a - f1_b),
        low=float(low),
        high=float(high),
        p=min(1.0, float(2 * (beyond + 1) / (samples + 1))),
        confidence=confidence,
        samples=samples,
    )


def _runs(name: str, system: Tagging | Sequence[Tagging]) -> Sequence[Tagging]:
    """A system as a sequence of runs, whether one run came or several."""
    # The first non-empty sentence tells: a run's sentence holds strings, a system's run holds sentences.
    if not len(system):
        raise ValueError(f"{name} must hold predictions but is empty")
    for element in system:
        if len(element):
            if isinstance(element[0], str):
                return [cast(Tagging, system)]
            break
    return system

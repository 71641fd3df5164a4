"""Accuracy over words, and precision, recall and F1 of each tag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from ._metrics import Score, score_table

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class TagScores:
    """A score for each tag that occurs in truth or prediction, and the accuracy over all words.

    Attributes:
        tags: one score a tag; its count is of the words that truly have it.
        accuracy: right words / words, 0 where there is none.
        count: words.
    """

    tags: tuple[Score, ...]
    accuracy: float
    count: int

    decides = "accuracy"

    @property
    def measures(self) -> dict[str, float]:
        """The scores over all words, by name; that of `decides` chooses the best epoch."""
        return {"accuracy": self.accuracy}

    def table(self, *, ruled: bool) -> Table:
        """The scores as a rich table: ruled for a terminal, bare columns for a pipe."""
        last = ("accuracy", "", "", f"{self.accuracy:.4f}", str(self.count))
        return score_table("tag", self.tags, last, ruled=ruled)

    def to_dict(self) -> dict[str, float | int | dict[str, dict[str, float | int]]]:
        """The scores as JSON holds them: ``accuracy``, ``count`` and, under ``tags``, one object a tag."""
        return {
            "accuracy": self.accuracy,
            "count": self.count,
            "tags": {score.name: score.to_dict() for score in self.tags},
        }


def score_tags(true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> TagScores:
    """Compares predicted with true tags, word by word.

    Args:
        true: one sequence of tags a sentence.
        predicted: as `true`, of the same lengths.

    Returns:
        The scores, tags in alphabetical order.

    Raises:
        ValueError: sentences that differ in number or length.
    """
    if [len(tags) for tags in true] != [len(tags) for tags in predicted]:
        raise ValueError("true and predicted differ in the number or the lengths of their sentences")
    pairs = Counter(zip(chain.from_iterable(true), chain.from_iterable(predicted), strict=True))
    right: Counter[str] = Counter()
    in_truth: Counter[str] = Counter()
    in_prediction: Counter[str] = Counter()
    for (wanted, got), count in pairs.items():
        in_truth[wanted] += count
        in_prediction[got] += count
        right[wanted] += count * (wanted == got)

    def row(tag: str) -> Score:
        precision = right[tag] / in_prediction[tag] if in_prediction[tag] else 0.0
        recall = right[tag] / in_truth[tag] if in_truth[tag] else 0.0
        # Twice the right ones over both counts: the harmonic mean, without its division by 0.
        f1 = 2 * right[tag] / (in_truth[tag] + in_prediction[tag])
        return Score(tag, precision, recall, f1, in_truth[tag])

    words = pairs.total()
    accuracy = right.total() / words if words else 0.0
    return TagScores(tuple(map(row, sorted(in_truth | in_prediction))), accuracy, words)

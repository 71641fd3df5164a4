"""What fine-tuning and two baselines come to: a table, and differences with intervals."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool

from ._accuracy_interval import AccuracyDifference, half_width, paired_difference
from ._bert_strategies import STRATEGIES
from ._sentence_baselines import VECTORS, WORDS

BASELINES = (VECTORS, WORDS)
# The strategy that has to beat the baselines, from so many sentences on.
_TUNED, _ENOUGH = "all layers", 2_000

# By row, baseline and size.
Differences: TypeAlias = dict[tuple[str, str, str], AccuracyDifference]


@dataclass
class Accuracies:
    """Who gets which test sentence right.

    Attributes:
        source: the encoder and the sentences, with checksums, as JSON holds them.
        test: test sentences.
        sizes: training sentences, by their column's name.
        right: by row and column, an array (N,) a seed, of test sentences.
        rates: the learning rates that development data chose, by row.
    """

    source: dict[str, Any]
    test: int
    sizes: dict[str, int]
    right: dict[tuple[str, str], list[Bool[np.ndarray, "N"]]] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether training all layers beats both baselines, intervals above 0, from 2,000 sentences on."""
        return self._met(self.differences())

    def _met(self, differences: Differences) -> bool:
        largest = max(self.sizes.values())
        told = [size for size, count in self.sizes.items() if count >= min(_ENOUGH, largest)]
        barred = [differences.get((_TUNED, baseline, size)) for size in told for baseline in BASELINES]
        return all(difference is not None and difference.low > 0 for difference in barred)

    def differences(self) -> Differences:
        """Of training all layers, and of the best strategy where that is another, from each baseline."""
        found = {}
        for size in self.sizes:
            done = [one.name for one in STRATEGIES if (one.name, size) in self.right]
            if _TUNED not in done:
                continue
            best = max(done, key=lambda name: float(np.mean(self.right[name, size])))
            for name in dict.fromkeys((_TUNED, best)):
                for baseline in BASELINES:
                    mine, theirs = self.right[name, size], self.right[baseline, size]
                    seeds = min(len(mine), len(theirs))
                    found[name, baseline, size] = paired_difference(
                        np.array(mine[:seeds]), np.array(theirs[:seeds])
                    )
        return found

    def lines(self) -> list[str]:
        """What is printed."""
        rows = [*BASELINES, *(one.name for one in STRATEGIES)]
        wide = max(map(len, rows))
        found = ["", f"{'accuracy on test':<{wide}}" + "".join(f"{size:>18}" for size in self.sizes)]
        found += [
            f"{row:<{wide}}" + "".join(f"{self._cell(row, size):>18}" for size in self.sizes) for row in rows
        ]
        found.append("")
        found += [
            f"{size} sentences: {name} less {baseline}: {difference}"
            for (name, baseline, size), difference in self.differences().items()
        ]
        found.append(
            "± and [ ]: 95 % intervals, of Student's t over seeds, and of a paired bootstrap over test "
            "sentences and seeds"
        )
        return found

    def _cell(self, row: str, size: str) -> str:
        right = np.array(self.right.get((row, size), []))
        if not right.size:
            return "-"
        half = half_width(right)
        return f"{right.mean():.4f}" + ("" if half is None else f" ± {half:.4f}")

    def recall(self, path: str) -> int:
        """Takes over the runs of a file that was written of the same source.

        Args:
            path: of the file; there may be none.

        Returns:
            How many.
        """
        try:
            held = json.loads(Path(path).read_text(encoding="utf-8"))
            rows = held["rows"] if held["source"] == self.source else []
            for row in rows:
                if self.sizes.get(row["size"]) != row["sentences"]:
                    continue
                self.right[row["row"], row["size"]] = [
                    ~np.isin(np.arange(self.test), wrong) for wrong in row["wrong"]
                ]
                if row["rate"] is not None:
                    self.rates[row["row"]] = row["rate"]
        except (OSError, ValueError, KeyError, TypeError):
            # It is another file, which the figures replace.
            self.right.clear()
            self.rates.clear()
        return sum(map(len, self.right.values()))

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        differences = self.differences()
        return {
            "benchmark": "bert accuracy",
            "source": self.source,
            "rows": [
                {
                    "row": row,
                    "size": size,
                    "sentences": self.sizes[size],
                    "rate": self.rates.get(row),
                    "accuracy": [float(np.mean(one)) for one in right],
                    "half_width": half_width(np.array(right)),
                    "wrong": [np.flatnonzero(~one).tolist() for one in right],
                }
                for (row, size), right in self.right.items()
            ],
            "differences": [
                {"row": name, "baseline": baseline, "size": size, **asdict(difference)}
                for (name, baseline, size), difference in differences.items()
            ],
            "met": self._met(differences),
        }

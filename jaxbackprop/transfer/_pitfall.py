"""The pitfall of retraining word vectors: scores by training size, apart for seen and unseen words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxbackprop.data import Sentence, WordVectors
from jaxbackprop.lecture import Difference, paired
from jaxbackprop.train import Config

from ._runs import KINDS, enough_updates, in_parallel, tags_of, train_and_try
from ._seen import PARTS, score_parts, seen_forms

_SMALLEST = 100
# With fewer, the tagger has not learnt to find anything, and there is nothing to compare.
UPDATES = 1000
MEASURES = ("token F1", "entity F1")
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Pitfall:
    """What was measured.

    Attributes:
        name: of the training text.
        judged: sentences that the scores are of.
        sizes: numbers of training sentences, ascending.
        words: mean number of training words at each size.
        runs: by kind of vectors and size, the scores of each seed (see `score_parts`).
    """

    name: str
    judged: int
    sizes: tuple[int, ...]
    words: tuple[int, ...]
    runs: dict[str, dict[int, list[Scores]]]

    @property
    def seeds(self) -> int:
        """Runs of each kind and size."""
        return len(self.runs["tuned"][self.sizes[0]])

    def values(self, kind: str, size: int, measure: str, part: str) -> list[float]:
        """A figure of each seed."""
        return [scores[measure][part] for scores in self.runs[kind][size]]

    def mean(self, kind: str, size: int, measure: str, part: str) -> float:
        """The mean of `values`."""
        return float(np.mean(self.values(kind, size, measure, part)))

    def gain(self, size: int, measure: str, part: str, over: str = "frozen") -> Difference:
        """How much tuned vectors score above others, in pairs of equal seeds and training sentences."""
        return paired(self.values("tuned", size, measure, part), self.values(over, size, measure, part))

    def gap(self, size: int) -> Difference:
        """How much more tuning gives token F1 on words seen in training than on words not seen."""
        return paired(self._gains(size, "seen"), self._gains(size, "unseen"))

    def trend(self) -> Difference:
        """How much more tuning gives unseen words' token F1 with all sentences than with the fewest."""
        return paired(self._gains(self.sizes[-1], "unseen"), self._gains(self.sizes[0], "unseen"))

    def _gains(self, size: int, part: str) -> list[float]:
        tuned, frozen = (self.values(kind, size, "token F1", part) for kind in ("tuned", "frozen"))
        return list(np.subtract(tuned, frozen))

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON holds them."""
        rows = []
        for size, words in zip(self.sizes, self.words, strict=True):
            for measure in MEASURES:
                for part in PARTS:
                    gain = self.gain(size, measure, part)
                    rows.append(
                        {
                            "sentences": size,
                            "words": words,
                            "measure": measure,
                            "part": part,
                            **{kind: self.values(kind, size, measure, part) for kind in KINDS},
                            "tuned - frozen": {"mean": gain.mean, "low": gain.low, "high": gain.high},
                        }
                    )
        return {"train": self.name, "judged sentences": self.judged, "seeds": self.seeds, "scores": rows}


def training_sizes(count: int) -> tuple[int, ...]:
    """100 sentences and then twice as many each time, up to all of them."""
    sizes = []
    size = _SMALLEST
    # A size that is nearly all of them would say what all of them say.
    while size < 0.7 * count:
        sizes.append(size)
        size *= 2
    return (*sizes, count)


def measure_pitfall(
    name: str,
    train: Sequence[Sentence],
    judged: Sequence[Sentence],
    vectors: WordVectors,
    *,
    config: Config,
    seeds: int,
    updates: int = UPDATES,
    begin: Callable[[int], None] = lambda jobs: None,
    say: Callable[[str], None] = lambda done: None,
) -> Pitfall:
    """Trains random, frozen and tuned vectors on more and more sentences.

    A seed draws its training sentences, too: those of a size are the first so many of its own order, so that
    intervals over seeds hold for other draws of as many sentences. All three kinds get the same ones.

    Args:
        name: of the text.
        train: all training sentences.
        judged: sentences that scores are of; nothing is chosen by them, every run ends with its last epoch.
        vectors: the pretrained ones.
        config: the settings of training; of its epochs there are more where that makes too few updates.
        seeds: runs of each kind and size, at least 2.
        updates: the least of a run.
        begin: told how many runs there will be.
        say: told of each that is done.

    Raises:
        DataError: the training sentences hold no entity.
        FloatingPointError: a loss is no number.
    """
    tags = tags_of(train, name)
    sizes = training_sizes(len(train))
    order = {seed: np.random.default_rng(seed).permutation(len(train)) for seed in range(seeds)}
    # The longest first: what is left at the end is short.
    jobs = [(kind, size, seed) for size in reversed(sizes) for kind in KINDS for seed in range(seeds)]
    begin(len(jobs))

    def drawn(size: int, seed: int) -> list[Sentence]:
        return [train[at] for at in order[seed][:size]]

    def work(job: tuple[str, int, int]) -> Scores:
        kind, size, seed = job
        sentences = drawn(size, seed)
        words = sum(len(sentence.words) for sentence in sentences)
        set_up = Config(**{**config.to_dict(), "seed": seed})
        run = train_and_try(
            kind,
            sentences,
            judged,
            tags=tags,
            vectors=vectors,
            config=enough_updates(set_up, words, updates),
            whole=train,
        )
        return score_parts(judged, run.predicted, seen_forms(sentences, vectors), vectors)

    runs: dict[str, dict[int, list[Scores]]] = {kind: {size: [] for size in sizes} for kind in KINDS}
    for (kind, size, seed), scores in in_parallel(work, jobs):
        runs[kind][size].append(scores)
        say(f"{kind} vectors, {size:,} sentences, seed {seed}")
    counts = (
        [sum(len(sentence.words) for sentence in drawn(size, seed)) for seed in order] for size in sizes
    )
    words = tuple(round(float(np.mean(each))) for each in counts)
    return Pitfall(name, len(judged), sizes, words, runs)

"""A quick trial of random, frozen and tuned vectors, by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxbackprop.data import DataError, Sentence, WordVectors
from jaxbackprop.lecture import Difference, paired
from jaxbackprop.train import Config, score

from ._runs import KINDS, enough_updates, in_parallel, tags_of, train_and_try

FOLDS = 5
# So many sentences are tried at most: a minute, not an hour.
_MOST = 2000
_UPDATES = 600


@dataclass(frozen=True)
class Probe:
    """What the trial came to.

    Attributes:
        sentences: that took part.
        f1: by kind of vectors, exact-match entity F1 on each fold, from training on the others.
    """

    sentences: int
    f1: dict[str, tuple[float, ...]]

    def mean(self, kind: str) -> float:
        """Mean F1 over the folds."""
        return float(np.mean(self.f1[kind]))

    def gain(self, kind: str, over: str) -> Difference:
        """How much better one kind is, over folds; wide enough for folds that share training sentences."""
        return paired(self.f1[kind], self.f1[over], shared=1 / (FOLDS - 1))

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON holds them."""
        return {"folds": FOLDS, "sentences": self.sentences, "entity F1": self.f1}


def probe(
    name: str,
    train: Sequence[Sentence],
    vectors: WordVectors,
    *,
    begin: Callable[[int], None] = lambda jobs: None,
    say: Callable[[str], None] = lambda done: None,
    updates: int = _UPDATES,
) -> Probe:
    """Tries the three kinds of vectors with a small tagger, 100 hidden units and few epochs.

    Args:
        name: of the text.
        train: its sentences; of many, as many as can be tried quickly are drawn.
        vectors: the pretrained ones.
        begin: told how many trainings there will be.
        say: told of each that is done.
        updates: the least of a training.

    Raises:
        DataError: there is no entity, or there are too few sentences.
    """
    if len(train) < 2 * FOLDS:
        raise DataError(f"{name}: {FOLDS} folds need {2 * FOLDS} sentences or more, got {len(train)}")
    order = np.random.default_rng(0).permutation(len(train))[:_MOST]
    sentences = [train[at] for at in order]
    tags = tags_of(sentences, name)
    jobs = [(kind, fold) for fold in range(FOLDS) for kind in KINDS]
    begin(len(jobs))

    def work(job: tuple[str, int]) -> float:
        kind, fold = job
        rest = [sentence for at, sentence in enumerate(sentences) if at % FOLDS != fold]
        words = sum(len(sentence.words) for sentence in rest)
        small = Config(hidden=100, batch_size=64, epochs=6, average=0.0, seed=fold)
        config = enough_updates(small, words, updates)
        held_out = sentences[fold::FOLDS]
        run = train_and_try(kind, rest, held_out, tags=tags, vectors=vectors, config=config)
        return float(score([sentence.tags for sentence in held_out], run.predicted).measures["f1"])

    f1: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for (kind, fold), value in in_parallel(work, jobs):
        f1[kind].append(value)
        say(f"{kind} vectors, fold {fold + 1}")
    return Probe(len(sentences), {kind: tuple(values) for kind, values in f1.items()})

"""The lecture's rule of thumb: what to train, by size and similarity of the text."""

from __future__ import annotations

import enum

FEW, MANY, FROM_SCRATCH = 100_000, 1_000_000, 100_000_000
"""Words: below the first do not fine-tune, from the second on it may help, from the third on vectors may as
well be learnt from scratch (lecture, unit 1, "A pitfall when retraining word vectors")."""

SIMILAR = 0.08
"""Similarity from which a text counts as similar (see `measure_similarity`): English of other kinds has 0.12
and more for GloVe, English with every other word made foreign 0.02."""


class Strategy(enum.Enum):
    """What to train. The value is its name."""

    NEW_CLASSIFIER = "new classifier only"
    LAST_LAYERS = "classifier and last layers"
    RETRAIN_ALL = "retrain all"
    AUGMENT = "augment the data"
    SCRATCH = "train from scratch"

    @property
    def kind(self) -> str:
        """Of word vectors: random, frozen or tuned."""
        return {Strategy.RETRAIN_ALL: "tuned", Strategy.SCRATCH: "random"}.get(self, "frozen")

    @property
    def meaning(self) -> str:
        """What that is for the tagger, in a sentence."""
        return _MEANING[self]


_MEANING = {
    Strategy.NEW_CLASSIFIER: "The pretrained vectors stay as they are; train only what stands above them.",
    Strategy.LAST_LAYERS: "The vectors stay as they are; train the layers above them.",
    Strategy.RETRAIN_ALL: "Begin with the pretrained vectors, better than nothing, and train them, too.",
    Strategy.AUGMENT: (
        "Get or make more sentences, and keep the vectors as they are: training many layers on so few "
        "overfits. (The slide says underfits, which is a slip.)"
    ),
    Strategy.SCRATCH: "With so much text the vectors may be learnt from it alone.",
}
FLAGS = {"frozen": ("--freeze-vectors",), "tuned": ("--tune-vectors",), "random": ("--tune-vectors",)}
"""Of `jaxbackprop train`, for each kind of vectors; random ones replace those of --vectors, too."""


def size_text(words: int) -> str:
    """What the lecture says of so many training words."""
    if words < FEW:
        return f"small: fewer than {FEW:,} words, do not fine-tune the vectors"
    if words < MANY:
        return f"between {FEW:,} and {MANY:,} words, of which the lecture says nothing; taken as small"
    if words < FROM_SCRATCH:
        return f"large: {MANY:,} words or more, fine-tuning may help"
    return f"very large: {FROM_SCRATCH:,} words or more, vectors may be trained from scratch"


def is_between(words: int) -> bool:
    """Whether the lecture's thresholds leave open what to do with so many words."""
    return FEW <= words < MANY


def rule_of_thumb(words: int, similarity: float) -> Strategy:
    """The lecture's quadrant.

    Args:
        words: of the training text.
        similarity: of the text to that of the vectors.
    """
    if words >= FROM_SCRATCH:
        return Strategy.SCRATCH
    similar = similarity >= SIMILAR
    if words >= MANY:
        return Strategy.LAST_LAYERS if similar else Strategy.RETRAIN_ALL
    return Strategy.NEW_CLASSIFIER if similar else Strategy.AUGMENT

"""How similar a text is to the text that word vectors come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jaxbackprop.data import WordVectors

# Pairs of words that are compared; more would change the third digit.
_PAIRS = 50_000
# Places that two words of a pair are apart at most.
_REACH = 5
# Files of vectors list words by frequency. These are articles, pronouns and marks: they stand anywhere.
_FUNCTION_WORDS = 200

# The mean vector is that of so many words, rarer ones have vectors of few occurrences.
_COMMON = 50_000


@dataclass(frozen=True)
class Similarity:
    """How far vectors know a text.

    Attributes:
        words: of the text, counted as often as they occur.
        types: different ones.
        known_words: share of the words that have a vector, from 0 to 1.
        known_types: the same of the types.
        agreement: how much oftener words that stand together in the text are near one another in the vectors'
            space than words drawn from it at random: 2 P(nearer) - 1, from -1 to 1; 0 where the space knows
            nothing of which words stand together.
    """

    words: int
    types: int
    known_words: float
    known_types: float
    agreement: float

    @property
    def value(self) -> float:
        """Similarity: the share of words known times their agreement, at least 0."""
        return self.known_words * max(self.agreement, 0.0)


def measure_similarity(sentences: Sequence[Sequence[str]], vectors: WordVectors, seed: int = 0) -> Similarity:
    """Compares a text with the space of word vectors.

    Vectors learn which words stand together. So in a text like theirs, words at most five places apart have
    larger cosines than words drawn at random from the same text; in one unlike it, be it in another language,
    of other names or in no order, hardly. The 200 first words of the vectors are left out, and cosines are
    taken after their mean vector is subtracted, which would make all words alike.

    Args:
        sentences: words, one sequence a sentence.
        vectors: the pretrained ones, frequent words first.
        seed: of the pairs drawn.

    Source: the distributional hypothesis, Firth 1957; P(nearer) is the area under the ROC curve.
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    rows = {word: vectors.lookup(word) for word in counts}
    words = sum(counts.values())
    known = sum(count for word, count in counts.items() if rows[word] >= 0)
    known_types = sum(row >= 0 for row in rows.values())
    text = [np.array([rows[word] for word in sentence], np.int64) for sentence in sentences]
    return Similarity(
        words,
        len(counts),
        known / words if words else 0.0,
        known_types / len(counts) if counts else 0.0,
        _agreement(text, vectors, np.random.default_rng(seed)),
    )


def _agreement(text: Sequence[np.ndarray], vectors: WordVectors, rng: np.random.Generator) -> float:
    together = np.concatenate([np.zeros((0, 2), np.int64), *_neighbours(text)])
    skipped = min(_FUNCTION_WORDS, len(vectors.matrix) // 100)
    together = together[(together >= skipped).all(axis=1) & (together[:, 0] != together[:, 1])]
    if not len(together):
        return 0.0
    if len(together) > _PAIRS:
        together = together[rng.choice(len(together), _PAIRS, replace=False)]
    # Both sides hold the same words equally often, so that frequent words favour neither.
    apart = np.stack([rng.permutation(together[:, 0]), together[:, 1]], axis=1)
    apart = apart[apart[:, 0] != apart[:, 1]]
    if not len(apart):
        return 0.0
    used, where = np.unique(np.concatenate([together, apart]), return_inverse=True)
    unit = vectors.matrix[used] - vectors.matrix[:_COMMON].mean(axis=0)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    first, second = where.reshape(-1, 2).T
    cosines = np.einsum("ij,ij->i", unit[first], unit[second])
    near, far = cosines[: len(together)], np.sort(cosines[len(together) :])
    below = np.searchsorted(far, near, "left") + np.searchsorted(far, near, "right")
    return float(below.mean() / len(far) - 1)


def _neighbours(text: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    for rows in text:
        for reach in range(1, _REACH + 1):
            if len(rows) > reach:
                yield np.stack([rows[:-reach], rows[reach:]], axis=1)

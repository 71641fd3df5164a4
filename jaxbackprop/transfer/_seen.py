"""Scores apart for words that training has seen and words that it has not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jaxbackprop.data import Sentence, WordVectors, word_forms
from jaxbackprop.train import entities

PARTS = ("all", "seen", "unseen")


@dataclass
class _Counts:
    right: int = 0
    predicted: int = 0
    true: int = 0

    @property
    def f1(self) -> float:
        return 2 * self.right / max(self.predicted + self.true, 1)


def form(word: str, vectors: WordVectors) -> str:
    """The form by which the tagger looks a word up: `The` and `the` are one word where vectors have `the`."""
    return vectors.form(word) or word_forms(word)[-1]


def seen_forms(train: Iterable[Sentence], vectors: WordVectors) -> frozenset[str]:
    """The forms of all words of the training sentences."""
    return frozenset(form(word, vectors) for sentence in train for word in sentence.words)


def score_parts(
    sentences: Sequence[Sentence],
    predicted: Sequence[Sequence[str]],
    seen: frozenset[str],
    vectors: WordVectors,
) -> dict[str, dict[str, float]]:
    """F1 over words and over entities, apart for those seen in training.

    A word is right where its predicted and its true tag name the same type of entity; words outside entities
    count only where they are taken for one. An entity is right where type and both ends are. It is seen where
    all its words are, unseen where one or more is not.

    Args:
        sentences: with their true BIO tags.
        predicted: BIO tags, as many and as long.
        seen: see `seen_forms`.
        vectors: the same as for `seen`.

    Returns:
        Under ``token F1`` and ``entity F1`` a figure from 0 to 1 for each of `PARTS`; under ``entities`` how
        many true ones there are.
    """
    words = {part: _Counts() for part in PARTS}
    spans = {part: _Counts() for part in PARTS}
    for sentence, tags in zip(sentences, predicted, strict=True):
        known = [form(word, vectors) in seen for word in sentence.words]
        for true, found, is_known in zip(sentence.tags, tags, known, strict=True):
            _count(words, is_known, found != "O", true != "O", found != "O" and found[2:] == true[2:])
        true_spans, found_spans = set(entities(sentence.tags)), set(entities(tags))
        for span in true_spans | found_spans:
            in_found, in_true = span in found_spans, span in true_spans
            _count(spans, all(known[span[1] : span[2]]), in_found, in_true, in_found and in_true)
    return {
        "token F1": {part: counts.f1 for part, counts in words.items()},
        "entity F1": {part: counts.f1 for part, counts in spans.items()},
        "entities": {part: float(counts.true) for part, counts in spans.items()},
    }


def _count(of: Mapping[str, _Counts], is_known: bool, found: bool, true: bool, right: bool) -> None:
    for part in ("all", "seen" if is_known else "unseen"):
        of[part].predicted += found
        of[part].true += true
        of[part].right += right

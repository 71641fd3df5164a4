"""A tagger held against tagged sentences: how good it is, and what it gets wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxbackprop.data import Sentence
from jaxbackprop.train import (
    Confusion,
    Entity,
    Scores,
    TagScores,
    confusion,
    entities,
    name_error,
    pair_entities,
)

from ._errors import TaggingError
from ._tagger import Tagger
from ._text import split_at_spaces


@dataclass(frozen=True)
class Evaluation:
    """Scores, and the errors behind them.

    Attributes:
        label: what is predicted: the "type" of entities, or the "tag" of words.
        scores: over all sentences.
        confusion: how often each true label was predicted as which; an entity with its label right but its
            boundary wrong stands on the diagonal too.
        errors: sentence after sentence.
    """

    label: str
    scores: Scores | TagScores
    confusion: Confusion
    errors: tuple[TaggingError, ...]

    def summary(self) -> str:
        """How many errors there are of each kind."""
        kinds = Counter(error.kind for error in self.errors).most_common()
        return "; ".join(f"{count} {kind}" for kind, count in kinds) or "no errors"

    def errors_text(self) -> str:
        """The errors, a line each, under a line that names the columns; these are apart by tabs."""
        names = ["error", "sentence"]
        for side in ("true", "predicted"):
            names += [f"{side} {self.label}", f"{side} words"]
        rows = [[*names, "context"], *(error.columns() for error in self.errors)]
        return "".join("\t".join(" ".join(split_at_spaces(cell)) for cell in row) + "\n" for row in rows)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON holds it."""
        return {
            "scores": self.scores.to_dict(),
            "confusion": self.confusion.to_dict(),
            "errors": [error.to_dict() for error in self.errors],
        }


def evaluate(tagger: Tagger, sentences: Sequence[Sentence]) -> Evaluation:
    """Tags the sentences and compares with their own tags.

    Args:
        tagger: of either task.
        sentences: with the true tags.

    Returns:
        The scores of `Tagger.evaluate`, with the errors behind them.
    """
    predicted = tagger.tag([sentence.words for sentence in sentences])
    label, read = ("type", entities) if tagger.config.task == "spans" else ("tag", _words)
    pairs = [
        (number, sentence.words, *pair)
        for number, (sentence, tags) in enumerate(zip(sentences, predicted, strict=True), start=1)
        for pair in pair_entities(read(sentence.tags), read(tags))
    ]
    errors = (
        TaggingError(kind, number, words, true, guess)
        for number, words, true, guess in pairs
        if (kind := name_error(true, guess, label))
    )
    labels = ((true and true[0], guess and guess[0]) for _, _, true, guess in pairs)
    return Evaluation(label, tagger.evaluate(sentences, predicted), confusion(labels), tuple(errors))


def _words(tags: Sequence[str]) -> list[Entity]:
    return [(tag, at, at + 1) for at, tag in enumerate(tags)]

"""An entity, or a word's tag, that a tagger gets wrong, in its sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxbackprop.train import Entity


@dataclass(frozen=True)
class TaggingError:
    """A true or predicted entity, or a pair of them, that is wrong.

    With task tags every word is an entity of its own, and its tag the type.

    Attributes:
        kind: as `jaxbackprop.train.name_error` says it.
        sentence: the sentence's number in its file, from 1.
        words: of the sentence.
        true: the true entity; None where it is spurious.
        predicted: the predicted one; None where it is missed.
    """

    kind: str
    sentence: int
    words: tuple[str, ...]
    true: Entity | None
    predicted: Entity | None

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON holds it."""
        return {
            "error": self.kind,
            "sentence": self.sentence,
            "words": list(self.words),
            "true": self._span(self.true),
            "predicted": self._span(self.predicted),
        }

    def columns(self) -> list[str]:
        """The kind, the sentence's number, type and words of both entities, and both in the sentence.

        There ``[ ]`` stands around the true one, ``{ }`` around the predicted one.
        """
        columns = [self.kind, str(self.sentence)]
        for entity in (self.true, self.predicted):
            columns += ["", ""] if entity is None else [entity[0], " ".join(self.words[slice(*entity[1:])])]
        return [*columns, self._context()]

    def _context(self) -> str:
        words = list(self.words)
        both = [(entity, marks) for entity, marks in ((self.predicted, "{}"), (self.true, "[]")) if entity]
        # The shorter one first: the marks of the other then stand around it.
        for (_, begin, end), marks in sorted(both, key=lambda one: one[0][2] - one[0][1]):
            words[begin] = marks[0] + words[begin]
            words[end - 1] += marks[1]
        return " ".join(words)

    def _span(self, entity: Entity | None) -> dict[str, Any] | None:
        if entity is None:
            return None
        kind, begin, end = entity
        return {"type": kind, "start": begin, "end": end, "text": " ".join(self.words[begin:end])}

"""The text that is trained on: in memory, or on disk and streamed; what training asks of either."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from jaxbackprop.data import Encoder, Sentence, StreamedText, tag_set

from ._build import as_batch


class TrainingText(Protocol):
    """Tagged sentences to train on."""

    @property
    def words(self) -> int:
        """How many there are."""
        ...

    def __len__(self) -> int:
        """How many sentences there are."""
        ...

    def tags(self, task: str) -> tuple[str, ...]:
        """The tags that a model chooses from."""
        ...

    def encoder(self, **options: Any) -> Encoder:
        """An encoder for its words; for the options see `Encoder.build`."""
        ...

    def examples(self, encoder: Encoder) -> Any:
        """The windows around its words, as `jaxbackprop.train.fit` takes data."""
        ...

    def places(self, words: np.ndarray) -> Sequence[int | str]:
        """The sentences that hold some words, by their numbers, from 1; and by file where there are several.

        Args:
            words: numbers of words, counted from 0.
        """
        ...

    def describe(self) -> dict[str, int | str]:
        """Sizes, and a checksum that tells whether another text is the same."""
        ...


class TextInMemory:
    """Sentences in memory; see `TrainingText`."""

    def __init__(self, sentences: Sequence[Sentence]) -> None:
        self._sentences = sentences
        self.words = sum(len(sentence.words) for sentence in sentences)

    def __len__(self) -> int:
        return len(self._sentences)

    def tags(self, task: str) -> tuple[str, ...]:
        """See `TrainingText`."""
        return tag_set(self._sentences, task)

    def encoder(self, **options: Any) -> Encoder:
        """See `TrainingText`."""
        return Encoder.build(self._sentences, **options)

    def examples(self, encoder: Encoder) -> Any:
        """See `TrainingText`."""
        return as_batch(encoder.encode(self._sentences))

    def places(self, words: np.ndarray) -> Sequence[int | str]:
        """See `TrainingText`."""
        ends = np.cumsum([len(sentence.words) for sentence in self._sentences])
        return sorted({int(at) + 1 for at in np.searchsorted(ends, words, side="right")})

    def describe(self) -> dict[str, int | str]:
        """See `TrainingText`."""
        digest = hashlib.sha256()
        for sentence in self._sentences:
            for word, tag in zip(sentence.words, sentence.tags, strict=True):
                digest.update(f"{word}\t{tag}\n".encode())
            digest.update(b"\n")
        sha256 = digest.hexdigest()
        return {"sentences": len(self), "words": self.words, "sha256_of_words_and_tags": sha256}


class TextOnDisk:
    """Sentences of which no more is in memory than a batch needs; see `TrainingText`."""

    def __init__(self, text: StreamedText) -> None:
        self._text = text
        self.words = text.words

    def __len__(self) -> int:
        return len(self._text)

    def tags(self, task: str) -> tuple[str, ...]:
        """See `TrainingText`."""
        return self._text.tags

    def encoder(self, **options: Any) -> Encoder:
        """See `TrainingText`."""
        return Encoder.of_counts(self._text.counts(), **options)

    def examples(self, encoder: Encoder) -> Any:
        """See `TrainingText`."""
        return self._text.windows(encoder)

    def places(self, words: np.ndarray) -> Sequence[int | str]:
        """See `TrainingText`."""
        return self._text.places(words)

    def describe(self) -> dict[str, int | str]:
        """See `TrainingText`."""
        return {
            "files": len(self._text.paths),
            "sentences": len(self),
            "words": self.words,
            "sha256_of_words_and_tags_as_written": self._text.sha256,
        }


def training_text(sentences: Sequence[Sentence] | StreamedText) -> TrainingText:
    """The training part of a corpus."""
    return TextOnDisk(sentences) if isinstance(sentences, StreamedText) else TextInMemory(sentences)

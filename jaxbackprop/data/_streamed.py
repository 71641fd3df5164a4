"""Training text that stays on disk: what a vocabulary is built from, and windows around any of its words."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._columns import Columns
from ._encoder import Encoder
from ._notation import Notation
from ._tagged import unread_tag
from ._tags import BEGINS, ENDS, tags_to_choose_from
from ._tokens import Tokens
from ._windows import PADDING


class StreamedText:
    """Tagged sentences of which no more is in memory than is looked at.

    Args:
        paths: of its files.
        tokens: all of their words.
        notation: what its tags mean; None where they stand for themselves.

    Attributes:
        paths: of its files.
        tags: that a model chooses from; see `tag_set`.
        sha256: a checksum of all words and tags, as written.

    Raises:
        DataError: a tag has no meaning.
    """

    def __init__(self, paths: Sequence[str], tokens: Tokens, notation: Notation | None) -> None:
        self.paths, self._tokens = list(paths), tokens
        self._spelled = tokens.tag_names
        if notation is not None:
            _refuse_unread(paths, tokens, notation)
            self._spelled = tuple(notation.readings[name] for name in tokens.tag_names)
        self._task = "tags" if notation is None else "spans"
        self.tags = tags_to_choose_from(set(self._spelled), self._task)
        described = [*tokens.tag_names, *(tokens.sha256[name] for name in sorted(tokens.sha256))]
        self.sha256 = hashlib.sha256("\n".join(described).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._tokens.starts)

    @property
    def words(self) -> int:
        """How many there are."""
        return len(self._tokens.words)

    def counts(self) -> dict[str, int]:
        """How often each word occurs, in order of appearance."""
        return dict(zip(self._tokens.vocabulary(), self._tokens.counts().tolist(), strict=True))

    def windows(self, encoder: Encoder) -> "StreamedWindows":
        """Windows around its words, as `Encoder.encode` has them."""
        labels = _Labels(self._spelled, encoder.tags, self._task)
        return StreamedWindows(self._tokens, encoder, labels, self.sha256)

    def places(self, words: np.ndarray) -> list[str]:
        """The sentences that hold some words, as "3 of FILE", counted from 1 in each file.

        Args:
            words: numbers of words, counted from 0.
        """
        sentences = np.unique(np.searchsorted(self._tokens.starts, words, side="right") - 1)
        ends = np.cumsum([shard["sentences"] for shard in self._tokens.facts["shards"]])
        shards = np.searchsorted(ends, sentences, side="right")
        begins = np.concatenate([[0], ends])[shards]
        return [
            f"{number + 1} of {self.paths[shard]}"
            for number, shard in zip((sentences - begins).tolist(), shards.tolist(), strict=True)
        ]


class StreamedWindows:
    """Windows by the numbers of the words that they are around.

    Attributes:
        count: words.
        sha256: of the text.
    """

    def __init__(self, tokens: Tokens, encoder: Encoder, labels: "_Labels", sha256: str) -> None:
        self.count, self.sha256 = len(tokens.words), sha256
        self._words, self._tags, self._labels = tokens.words, tokens.tags, labels
        self._reach = encoder.window
        # Behind the vocabulary stands what is outside the sentence.
        self._tables = {
            name: np.append(rows, np.int32(PADDING))
            for name, rows in encoder.table_rows(tokens.vocabulary()).items()
        }
        self._outside = len(self._tables["words"]) - 1

    def rows(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The windows around B words, under the names of `Windows`.

        Args:
            indices: numbers of the words, counted from 0, (B,).

        Returns:
            int32 (B, 2m+1) each, and the labels, int32 (B,).
        """
        m, indices = self._reach, np.asarray(indices, np.int64)
        places = indices[:, None] + np.arange(-m, m + 1)
        found = self._words.take(places, mode="clip")
        starts = (found & 1).astype(bool)
        # To the right a sentence ends before the first start of another, to the left with its own.
        outside = np.zeros(places.shape, bool)
        np.logical_or.accumulate(starts[:, m + 1 :], axis=1, out=outside[:, m + 1 :])
        outside[:, m + 1 :] |= places[:, m + 1 :] >= self.count
        np.logical_or.accumulate(starts[:, m:0:-1], axis=1, out=outside[:, :m][:, ::-1])
        numbers = np.where(outside, self._outside, found >> 1)
        tags, before = self._tags.take(indices), self._tags.take(indices - 1, mode="clip")
        return {
            **{name: rows.take(numbers) for name, rows in self._tables.items()},
            "labels": self._labels.of(tags, before, starts[:, m]),
        }


class _Labels:
    """From tags as written to labels: B-x begins each entity, as `to_bio` has it.

    Args:
        spelled: what each tag means.
        tags: the tag of each label.
        task: `spans` or `tags`.
    """

    def __init__(self, spelled: Sequence[str], tags: Sequence[str], task: str) -> None:
        label_of = {tag: label for label, tag in enumerate(tags)}
        spans = task == "spans"

        def table(value: Callable[[str], int]) -> np.ndarray:
            return np.array([value(tag) for tag in spelled], np.int32)

        def marked(prefix: str) -> Callable[[str], int]:
            return lambda tag: label_of[tag if tag == "O" or not spans else prefix + tag[2:]]

        kinds = {kind: number for number, kind in enumerate(sorted({tag[2:] for tag in spelled} | {""}))}
        self._begin, self._inside = table(marked("B-")), table(marked("I-"))
        self._kind = table(lambda tag: kinds[tag[2:]])
        # Of the entity that the next word may be inside of.
        self._open = table(lambda tag: kinds["" if tag[0] in ENDS else tag[2:]])
        self._begins = table(lambda tag: tag[0] in BEGINS).astype(bool)

    def of(self, tags: np.ndarray, before: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """The labels, int32 (B,).

        Args:
            tags: numbers of the tags, (B,).
            before: those of the words before; of no meaning where a sentence starts.
            starts: whether the word is the first of its sentence.
        """
        begins = starts | self._begins.take(tags) | (self._open.take(before) != self._kind.take(tags))
        return np.where(begins, self._begin.take(tags), self._inside.take(tags))


def _refuse_unread(paths: Sequence[str], tokens: Tokens, notation: Notation) -> None:
    for path, facts in zip(paths, tokens.facts["shards"], strict=True):
        unread = [(line, tag) for tag, _, line in facts["tags"] if tag not in notation.readings]
        if unread:
            line, tag = min(unread)
            columns: dict[str, Any] = facts["columns"]
            raise unread_tag(f"{path}:{line}", tag, notation, Columns(**columns), facts["other_columns"])

"""A file of tagged text as numbers: each word by its place in a vocabulary, on disk rather than in memory."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._columns import Columns
from ._conll import tagged_text
from ._entry import Entry
from ._errors import DataError
from ._lines import read_blocks

WORDS, TAGS, STARTS, VOCABULARY, COUNTS = "words", "tags", "starts", "vocabulary", "counts"
# Words that are held before they are written.
_CHUNK = 1 << 18
_MOST_TAGS = 1 << 16


@dataclass(frozen=True, eq=False)
class Tokens:
    """What an entry of the cache holds of a text: memory maps, of which the system holds what is used.

    Attributes:
        words: for each of N words twice its number in the vocabulary, one more where it starts a sentence;
            uint32 (N,).
        tags: number of each word's tag in `tag_names`, uint16 (N,).
        starts: number of the first word of each of S sentences, int64 (S,).
        tag_names: the tags as written.
        tag_counts: how often each occurs.
    """

    words: np.ndarray
    tags: np.ndarray
    starts: np.ndarray
    tag_names: tuple[str, ...]
    tag_counts: Counter[str]
    _entry: Entry

    @classmethod
    def of(cls, entry: Entry) -> "Tokens":
        """Those of an entry."""
        names = tuple(name for name, *_ in entry.facts["tags"])
        return cls(
            entry.array(WORDS, np.uint32),
            entry.array(TAGS, np.uint16),
            entry.array(STARTS, np.int64),
            names,
            Counter({name: count for name, count, *_ in entry.facts["tags"]}),
            entry,
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What else the entry says."""
        return self._entry.facts

    @property
    def sha256(self) -> dict[str, str]:
        """A checksum of each file of the entry."""
        return self._entry.sha256

    def vocabulary(self) -> list[str]:
        """The different words, in order of appearance; read from the disk each time."""
        return self._entry.text(VOCABULARY).split("\n")

    def counts(self) -> np.ndarray:
        """How often each word of the vocabulary occurs, int64."""
        return self._entry.array(COUNTS, np.int64)


def tokenize(path: str, columns: Columns | None, task: str, folder: Path) -> dict[str, Any]:
    """Reads a file, of which no more than a part is in memory at a time, and writes its numbers.

    Args:
        path: of the file.
        columns: see `read_as_written`.
        task: see `read_as_written`.
        folder: where the files of `Tokens` are written.

    Returns:
        The facts of the entry: ``tags`` (name, count and first line of each), ``columns``, ``width`` of the
        first line, ``other_columns``.

    Raises:
        DataError: see `read_conll`; or the file changes meanwhile.
    """
    before = state_of(path)
    text = tagged_text(path, read_blocks(path), columns, task)
    numbers: dict[str, int] = {}
    tag_numbers: dict[str, int] = {}
    first_lines: list[int] = []
    with TokenWriter(folder) as writer:
        words: list[int] = []
        tags: list[int] = []
        for sentence, lines in text.sentences:
            # Twice the number, and one more for the first of a sentence.
            begin = len(words)
            words.extend([2 * numbers.setdefault(word, len(numbers)) for word in sentence.words])
            words[begin] += 1
            for tag, line in zip(sentence.tags, lines, strict=True):
                if tag not in tag_numbers:
                    tag_numbers[tag] = len(tag_numbers)
                    first_lines.append(line)
            if len(tag_numbers) > _MOST_TAGS:
                raise DataError(
                    f"{path}: expected tags that recur, got {len(tag_numbers)} different ones by line {line}:"
                    " --columns word=2,tag=3 says which columns to read"
                )
            tags.extend([tag_numbers[tag] for tag in sentence.tags])
            if len(words) >= _CHUNK:
                writer.write(words, tags)
                words, tags = [], []
        writer.write(words, tags)
        counts = writer.end(numbers)
    if state_of(path) != before:
        raise DataError(f"{path}: has changed while it was read")
    return {
        "tags": [[*tag, line] for tag, line in zip(counted(tag_numbers, counts), first_lines, strict=True)],
        "columns": asdict(text.columns),
        "width": text.width,
        "other_columns": text.other_columns,
    }


def state_of(path: str) -> str:
    """What tells whether a file is as it was: its size and time of change.

    Raises:
        DataError: it cannot be looked at.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return f"{found.st_size} {found.st_mtime_ns}"


def counted(names: Iterable[str], counts: Sequence[int]) -> list[tuple[str, int]]:
    """Each name with its count."""
    return list(zip(names, counts, strict=True))


class TokenWriter:
    """Writes the files of `Tokens`, piece by piece."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = {name: (folder / name).open("wb") for name in (WORDS, TAGS, STARTS)}
        self._words = np.zeros(0, np.int64)
        self._tags = np.zeros(0, np.int64)
        self._written = 0

    def __enter__(self) -> "TokenWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def write(self, words: Sequence[int] | np.ndarray, tags: Sequence[int] | np.ndarray) -> None:
        """Adds words and their tags, as `Tokens` holds them."""
        pieces: dict[str, np.ndarray] = {
            WORDS: np.asarray(words, np.uint32),
            TAGS: np.asarray(tags, np.uint16),
        }
        pieces[STARTS] = np.flatnonzero(pieces[WORDS] & 1).astype(np.int64) + self._written
        for name, piece in pieces.items():
            self._files[name].write(piece.data)
        self._words = _added(self._words, pieces[WORDS] >> 1)
        self._tags = _added(self._tags, pieces[TAGS])
        self._written += len(pieces[WORDS])

    def end(self, vocabulary: Iterable[str]) -> list[int]:
        """Writes the vocabulary and its counts; returns how often each tag occurs."""
        (self._folder / VOCABULARY).write_bytes("\n".join(vocabulary).encode())
        (self._folder / COUNTS).write_bytes(self._words.data)
        return self._tags.tolist()


def _added(counts: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    more = np.bincount(numbers, minlength=len(counts))
    more[: len(counts)] += counts
    return more

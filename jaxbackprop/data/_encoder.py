"""From words to the integers a window model reads."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from ._errors import DataError
from ._sentence import Sentence
from ._vectors import WordVectors
from ._windows import Windows, windows_around
from ._word_features import SHAPES, own_form, prefix, shape, suffix, word_forms

UNKNOWN = 0
"""The row, in the tables of words, prefixes and suffixes, of what is not listed."""

_AFFIX_MIN_COUNT = 2
_SHAPE_ROWS = {name: row for row, name in enumerate(SHAPES)}


@dataclass(frozen=True)
class Encoder:
    """All that is needed to turn words into ids, and nothing that is learnt.

    Row 0 of the tables of words, prefixes and suffixes stands for what is not listed; entry i has row i + 1.
    The shape table has the rows of `SHAPES`.

    Attributes:
        tags: the tag of each label.
        window: words m on each side of the middle one.
        words: the words, each in the form it was found by (see `word_forms`).
        prefixes: beginnings of words, lower-cased.
        suffixes: endings of words, lower-cased.
    """

    tags: tuple[str, ...]
    window: int
    words: tuple[str, ...]
    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.window < 0:
            raise ValueError(f"window must be at least 0, got {self.window}")
        if not self.tags:
            raise ValueError("tags must name one tag or more, got none")
        for name in ("tags", "words", "prefixes", "suffixes"):
            entries = getattr(self, name)
            if len(set(entries)) < len(entries):
                twice = Counter(entries).most_common(1)[0][0]
                raise ValueError(f"{name} must differ from one another, got {twice!r} twice")

    @classmethod
    def build(
        cls,
        train: Sequence[Sentence],
        *,
        dev: Sequence[Sentence] = (),
        tags: Sequence[str],
        window: int = 2,
        vectors: WordVectors | None = None,
        min_count: int = 1,
    ) -> "Encoder":
        """An encoder for the words of some sentences.

        A word with a vector is listed in the form the vector has, so that `The` and `the` share GloVe's
        `the`. A word without one is listed in its `own_form` if `train` holds that often enough, else with
        every digit as 0 if that is often enough. Affixes are listed which occur at least twice in `train`.

        Args:
            train: sentences that rows are learnt from.
            dev: more sentences whose words are listed, but only those with a vector: nothing would be learnt
                for the others, and on unseen text they would not be listed either.
            tags: the tag of each label (see `tag_set`).
            window: words m on each side of the middle one.
            vectors: where words are looked up; None for no vectors.
            min_count: occurrences in `train` that list a word without a vector.

        Raises:
            ValueError: an argument is out of range, or a tag is named twice.
        """
        counts = Counter(chain.from_iterable(_words(train)))
        return cls.of_counts(counts, dev=dev, tags=tags, window=window, vectors=vectors, min_count=min_count)

    @classmethod
    def of_counts(
        cls,
        counts: Mapping[str, int],
        *,
        dev: Sequence[Sentence] = (),
        tags: Sequence[str],
        window: int = 2,
        vectors: WordVectors | None = None,
        min_count: int = 1,
    ) -> "Encoder":
        """As `build`, from how often each word occurs in the sentences that rows are learnt from."""
        if min_count < 1:
            raise ValueError(f"min_count must be at least 1, got {min_count}")
        with_vector: dict[str, None] = {}
        without: Counter[str] = Counter()
        prefixes: Counter[str] = Counter()
        suffixes: Counter[str] = Counter()
        for word, count in counts.items():
            form = None if vectors is None else vectors.form(word)
            if form is None:
                without[own_form(word)] += count
            else:
                with_vector[form] = None
            prefixes[prefix(word)] += count
            suffixes[suffix(word)] += count
        if vectors is not None:
            with_vector |= _forms(dev, vectors)
        # What is too rare by itself is counted again with its digits as 0.
        listed = dict.fromkeys(_at_least(min_count, without))
        folded: Counter[str] = Counter()
        for form, count in without.items():
            if form not in listed:
                folded[word_forms(form)[-1]] += count
        listed |= dict.fromkeys(_at_least(min_count, folded))
        return cls(
            tags=tuple(tags),
            window=window,
            words=tuple(with_vector | listed),
            prefixes=_at_least(_AFFIX_MIN_COUNT, prefixes),
            suffixes=_at_least(_AFFIX_MIN_COUNT, suffixes),
        )

    @property
    def num_words(self) -> int:
        """Rows of the word table."""
        return len(self.words) + 1

    @property
    def num_shapes(self) -> int:
        """Rows of the shape table."""
        return len(SHAPES)

    @property
    def num_prefixes(self) -> int:
        """Rows of the prefix table."""
        return len(self.prefixes) + 1

    @property
    def num_suffixes(self) -> int:
        """Rows of the suffix table."""
        return len(self.suffixes) + 1

    def initial_table(
        self, vectors: WordVectors | None, rng: np.random.Generator, *, dim: int | None = None
    ) -> np.ndarray:
        """A word table to start training from.

        Rows of words with a vector hold it. The others are drawn from uniform(-r, r) with r = sqrt(3 / d),
        which makes their expected squared length 1. The unknown row is the mean of the vectors in the table,
        a point near no word in particular; it is drawn too where there are none.

        Args:
            vectors: where the rows come from; None draws all of them.
            rng: source of the others.
            dim: length d of a row where `vectors` is None, to be left out otherwise.

        Returns:
            float32 (num_words, d).

        Raises:
            ValueError: d is said twice or not at all, or is below 1.
        """
        if (vectors is None) == (dim is None):
            wrong = "missing" if dim is None else f"{dim} beside vectors of their own length"
            raise ValueError(f"dim must be given without vectors and only then, but it is {wrong}")
        width = vectors.dim if vectors is not None else int(dim or 0)
        if width < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        radius = np.sqrt(3 / width)
        table = rng.uniform(-radius, radius, (self.num_words, width)).astype(np.float32)
        if vectors is not None:
            source = np.array([vectors.words.get(word, -1) for word in self.words], dtype=np.int64)
            found = np.flatnonzero(source >= 0)
            if len(found):
                known = vectors.matrix[source[found]]
                table[found + 1] = known
                table[UNKNOWN] = known.mean(axis=0, dtype=np.float64)
        return table

    def extend(
        self, sentences: Iterable[Sentence | Sequence[str]], vectors: WordVectors
    ) -> tuple["Encoder", np.ndarray]:
        """Look further words up, as before reading unseen text.

        Args:
            sentences: the text; sentences or their words.
            vectors: what the word table was started from.

        Returns:
            An encoder that lists, after the words listed here, the k words of the text that `vectors` knows
            in a form not listed yet; and their rows, float32 (k, d), to be appended to the word table.
        """
        forms = [form for form in _forms(sentences, vectors) if form not in self._word_rows]
        new_rows = np.empty((len(forms), vectors.dim), np.float32)
        new_rows[:] = vectors.matrix[[vectors.words[form] for form in forms]] if forms else 0
        return replace(self, words=(*self.words, *forms)), new_rows

    def unknown_words(self, sentences: Iterable[Sentence | Sequence[str]]) -> tuple[str, ...]:
        """The different words of the text that get the unknown row, in order of appearance."""
        words = dict.fromkeys(chain.from_iterable(_words(sentences)))
        return tuple(word for word in words if self._word_row(word) == UNKNOWN)

    def encode(self, sentences: Sequence[Sentence], *, labels: bool = True) -> Windows:
        """Windows around all words of some sentences.

        Args:
            sentences: BIO-tagged.
            labels: whether to turn tags into labels; without, all labels are 0.

        Raises:
            DataError: a tag is not one of `tags`.
        """
        windows = self.encode_words([sentence.words for sentence in sentences])
        if not labels:
            return windows
        label_of = {tag: label for label, tag in enumerate(self.tags)}
        tags = list(chain.from_iterable(sentence.tags for sentence in sentences))
        for tag in dict.fromkeys(tags):
            if tag not in label_of:
                raise DataError(f"expected one of the tags {', '.join(self.tags)}, got {tag!r}")
        return replace(windows, labels=np.array([label_of[tag] for tag in tags], dtype=np.int32))

    def encode_words(self, sentences: Sequence[Sequence[str]]) -> Windows:
        """Windows around all words of some sentences without tags; all labels are 0."""
        lengths = np.array([len(words) for words in sentences], dtype=np.int32)
        # Each different word is worked out once, then copied to where it occurs.
        numbers: dict[str, int] = {}
        text = chain.from_iterable(sentences)
        where = np.array([numbers.setdefault(word, len(numbers)) for word in text], dtype=np.int64)

        found = {
            table: windows_around(rows[where], lengths, self.window)
            for table, rows in self.table_rows(numbers).items()
        }
        return Windows(**found, labels=np.zeros(len(where), np.int32), lengths=lengths)

    def table_rows(self, words: Collection[str]) -> dict[str, np.ndarray]:
        """The rows of V words in the tables `words`, `shapes`, `prefixes` and `suffixes`, each int32 (V,)."""

        def column(rows: Iterator[int]) -> np.ndarray:
            return np.fromiter(rows, np.int32, len(words))

        return {
            "words": column(self._word_row(word) for word in words),
            "shapes": column(_SHAPE_ROWS[shape(word)] for word in words),
            "prefixes": column(self._prefix_rows.get(prefix(word), UNKNOWN) for word in words),
            "suffixes": column(self._suffix_rows.get(suffix(word), UNKNOWN) for word in words),
        }

    def to_dict(self) -> dict[str, Any]:
        """The encoder as something JSON can hold."""
        lists = {name: list(getattr(self, name)) for name in ("tags", "words", "prefixes", "suffixes")}
        return {"window": self.window, "shapes": list(SHAPES), **lists}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Encoder":
        """The encoder that `to_dict` described.

        Raises:
            DataError: an entry is missing or is not what `to_dict` writes, or the shapes are those of another
                version.
        """
        if not isinstance(fields, Mapping):
            raise DataError(f"expected the fields of an encoder, got {_brief(fields)}")
        lists = {}
        for name in ("tags", "words", "prefixes", "suffixes", "shapes"):
            entries = fields.get(name)
            if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
                raise DataError(f"expected a list of strings as an encoder's {name!r}, got {_brief(entries)}")
            lists[name] = tuple(entries)
        window = fields.get("window")
        if not isinstance(window, int) or isinstance(window, bool):
            raise DataError(f"expected a whole number as an encoder's 'window', got {_brief(window)}")
        shapes = lists.pop("shapes")
        if shapes != SHAPES:
            raise DataError(f"expected as an encoder's 'shapes' {', '.join(SHAPES)}, got {', '.join(shapes)}")
        try:
            return cls(window=window, **lists)
        except ValueError as error:
            raise DataError(f"expected the fields of an encoder, but its {error}") from None

    @cached_property
    def _word_rows(self) -> dict[str, int]:
        return _rows(self.words)

    @cached_property
    def _prefix_rows(self) -> dict[str, int]:
        return _rows(self.prefixes)

    @cached_property
    def _suffix_rows(self) -> dict[str, int]:
        return _rows(self.suffixes)

    def _word_row(self, word: str) -> int:
        rows = self._word_rows
        return next((rows[form] for form in word_forms(word) if form in rows), UNKNOWN)


def _rows(entries: tuple[str, ...]) -> dict[str, int]:
    return {entry: row for row, entry in enumerate(entries, start=UNKNOWN + 1)}


def _words(sentences: Iterable[Sentence | Sequence[str]]) -> Iterator[Sequence[str]]:
    for sentence in sentences:
        yield sentence.words if isinstance(sentence, Sentence) else sentence


def _forms(sentences: Iterable[Sentence | Sequence[str]], vectors: WordVectors) -> dict[str, None]:
    """The forms by which `vectors` knows words of the text, in order of appearance; a dict as ordered set."""
    words = dict.fromkeys(chain.from_iterable(_words(sentences)))
    return {form: None for word in words if (form := vectors.form(word)) is not None}


def _at_least(least: int, counts: Counter[str]) -> tuple[str, ...]:
    return tuple(entry for entry, count in counts.items() if count >= least)


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "..."

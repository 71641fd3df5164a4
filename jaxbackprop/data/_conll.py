"""CoNLL-style files: a word a line with its tag, an empty line after each sentence."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from ._columns import Columns, global_columns, header, is_number, numbered, suggestion
from ._errors import DataError
from ._lines import read_lines
from ._notation import is_marked
from ._rows import Row, Splitting
from ._sentence import Sentence

_HASH_AND_SPACE = re.compile("#+ ")
_DOCUMENT = "-DOCSTART-"
# A sentence, and the line of each of its words.
Tagged = tuple[Sentence, tuple[int, ...]]


@dataclass(frozen=True)
class ConllFile:
    """A file as it is written.

    Attributes:
        path: of the file.
        columns: that its words and tags were read from.
        sentences: with the tags in the notation of the file.
        numbers: the line of each word, a tuple a sentence.
        other_columns: flags that would read other columns whose cells look like tags; empty for none.
    """

    path: str
    columns: Columns
    sentences: list[Sentence]
    numbers: list[tuple[int, ...]]
    other_columns: str


@dataclass(frozen=True)
class TaggedText:
    """The sentences of a file, one after another: a file may be larger than memory.

    Attributes:
        columns: that words and tags are read from.
        width: columns of the first line that is surely a word; 0 where there is none.
        sentences: with the line of each word, read as they are asked for.
        other_columns: see `ConllFile`.
    """

    columns: Columns
    width: int
    sentences: Iterator[Tagged]
    other_columns: str


def read_as_written(path: str | os.PathLike[str], columns: Columns | None, task: str) -> ConllFile:
    """Reads a file; see `read_conll`."""
    name = os.fspath(path)
    text = tagged_text(name, iter([read_lines(name)]), columns, task)
    tagged = list(text.sentences)
    return ConllFile(
        name,
        text.columns,
        [sentence for sentence, _ in tagged],
        [numbers for _, numbers in tagged],
        text.other_columns,
    )


def tagged_text(name: str, blocks: Iterator[list[str]], columns: Columns | None, task: str) -> TaggedText:
    """The sentences of a file; see `read_conll`.

    Args:
        name: of the file.
        blocks: its lines; how it is written is told by the first block.
        columns: that are to be read; None leaves it to the file.
        task: `spans` or `tags`.
    """
    lines = next(blocks)
    splitting = Splitting.of(lines)
    rows = list(splitting.rows(lines))
    found = header(rows, task)
    if found is not None:
        rows.remove(found[0])
    said = columns or global_columns(name, lines, task) or (found[1] if found is not None else None)
    sure = [row for row in rows if row.text and not row.text.startswith("#") and row.cells[0] != _DOCUMENT]
    counted = bool(sure) and numbered(sure)
    if counted and said is None:
        raise DataError(
            f"{name}:{sure[0].number}: expected words in the first column, got mostly numbers such as"
            f" {sure[0].cells[0]!r}: say which columns to read, such as {suggestion(sure, task)}"
        )
    chosen = said or Columns()
    has_index = counted and chosen.word != 1
    is_comment = _comments(sure, chosen, task, has_index)
    following = _following_rows(blocks, splitting, len(lines) + 1)
    sentences = _sentences(name, chain(rows, following), chosen, has_index, is_comment)
    may_be_names = said is None and bool(sure) and len(sure[0].cells) > 2
    if may_be_names:
        behind = [row._replace(cells=row.cells[1:]) for row in sure]
        sentences = _refuse_names(name, sentences, suggestion(behind, task, skipped=1))
    other = suggestion(sure, task) if sure and task == "spans" else ""
    return TaggedText(
        chosen,
        len(sure[0].cells) if sure else 0,
        _refuse_none(name, sentences),
        "" if other.startswith("--task") else other,
    )


def _following_rows(blocks: Iterator[list[str]], splitting: Splitting, first: int) -> Iterator[Row]:
    for lines in blocks:
        yield from splitting.rows(lines, first)
        first += len(lines)


def _refuse_none(path: str, sentences: Iterator[Tagged]) -> Iterator[Tagged]:
    first = next(sentences, None)
    if first is None:
        raise DataError(f"{path}: expected sentences, a word and its tag a line, got none")
    yield first
    yield from sentences


def _refuse_names(path: str, sentences: Iterator[Tagged], flags: str) -> Iterator[Tagged]:
    """Refuses words that name a document or a sentence: the same one all through each sentence."""
    long = None
    for sentence, numbers in sentences:
        yield sentence, numbers
        if len(sentence.words) > 2:
            long = long or (sentence.words[0], numbers[0])
            if len(set(sentence.words)) > 1:
                yield from sentences
                return
    if long is not None:
        raise DataError(
            f"{path}:{long[1]}: expected words in the first column, got {long[0]!r} in all of a sentence:"
            f" say which columns to read, such as {flags}"
        )


def _comments(
    sure: Sequence[Row], columns: Columns, task: str, has_index: bool
) -> Callable[[Row, bool], bool]:
    """Whether a row that starts with # is a comment, given whether a sentence is open before it."""
    layout = sure[0].layout if sure else None
    at = -1 if columns.tag is None else columns.tag - 1
    tags = {row.cells[at] for row in sure if len(row.cells) > at}

    def is_comment(row: Row, inside: bool) -> bool:
        if has_index or inside:
            return has_index
        made_like_a_word = len(row.cells) > max(1, at) and layout in (None, row.layout)
        if not made_like_a_word:
            return True
        if row.cells[at] in tags or (task == "spans" and is_marked(row.cells[at])):
            return False
        return layout is None or "\t" not in row.text or _HASH_AND_SPACE.match(row.text) is not None

    return is_comment


def _sentences(
    path: str, rows: Iterable[Row], columns: Columns, has_index: bool, is_comment: Callable[[Row, bool], bool]
) -> Iterator[Tagged]:
    words: list[str] = []
    tags: list[str] = []
    numbers: list[int] = []
    sentence_name = ""

    def ended() -> Iterator[Tagged]:
        if words:
            yield Sentence(tuple(words), tuple(tags)), tuple(numbers)
            for entries in (words, tags, numbers):
                entries.clear()

    for row in rows:
        cells = row.cells
        if not row.text or cells[0] == _DOCUMENT:
            yield from ended()
            continue
        if row.text.startswith("#") and is_comment(row, bool(words)):
            continue
        if has_index and is_number(cells[0]) and not cells[0].isdecimal():
            continue  # a word that CoNLL-U writes beside its parts, or one that is not there
        if columns.sentence is not None and len(cells) >= columns.sentence:
            named = cells[columns.sentence - 1]
            if named not in ("", sentence_name):
                yield from ended()
                sentence_name = named
        word, tag = _word_and_tag(path, row, columns)
        words.append(word)
        tags.append(tag)
        numbers.append(row.number)
    yield from ended()


def _word_and_tag(path: str, row: Row, columns: Columns) -> tuple[str, str]:
    cells = row.cells
    if len(cells) < 2:
        raise DataError(f"{path}:{row.number}: expected a word and a tag, got one column, {row.text!r}")
    needed = max(columns.word, columns.tag or columns.word + 1)
    if len(cells) < needed:
        raise DataError(
            f"{path}:{row.number}: expected {needed} columns or more ({columns}), got {len(cells)},"
            f" {row.text!r}"
        )
    word, tag = cells[columns.word - 1], cells[(columns.tag or 0) - 1]
    if not word:
        place = "the first column" if columns.word == 1 else f"column {columns.word}"
        raise DataError(f"{path}:{row.number}: expected a word in {place}, got {row.text!r}")
    if not tag:
        raise DataError(f"{path}:{row.number}: expected a tag in column {columns.tag}, got {row.text!r}")
    return word, tag

"""CoNLL-style files: a word a line with its tag, an empty line after each sentence."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ._columns import Columns, global_columns, header, is_number, numbered, suggestion
from ._errors import DataError
from ._lines import read_lines
from ._notation import is_marked
from ._rows import Row, split_rows
from ._sentence import Sentence

_HASH_AND_SPACE = re.compile("#+ ")
_DOCUMENT = "-DOCSTART-"


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


def read_as_written(path: str | os.PathLike[str], columns: Columns | None, task: str) -> ConllFile:
    """Reads a file; see `read_conll`."""
    name = os.fspath(path)
    lines = read_lines(name)
    rows = split_rows(lines)
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
    tagged = list(_sentences(name, rows, chosen, has_index, is_comment))
    if not tagged:
        raise DataError(f"{name}: expected sentences, a word and its tag a line, got none")
    if said is None and sure and len(sure[0].cells) > 2:
        _refuse_names(name, tagged, sure, task)
    other = suggestion(sure, task) if sure and task == "spans" else ""
    return ConllFile(
        name,
        chosen,
        [sentence for sentence, _ in tagged],
        [numbers for _, numbers in tagged],
        "" if other.startswith("--task") else other,
    )


def _refuse_names(
    path: str, tagged: Sequence[tuple[Sentence, tuple[int, ...]]], sure: Sequence[Row], task: str
) -> None:
    """Refuses words that name a document or a sentence: the same one all through each sentence."""
    long = [(sentence.words, numbers) for sentence, numbers in tagged if len(sentence.words) > 2]
    if long and all(len(set(words)) == 1 for words, _ in long):
        words, numbers = long[0]
        rows = [row._replace(cells=row.cells[1:]) for row in sure]
        raise DataError(
            f"{path}:{numbers[0]}: expected words in the first column, got {words[0]!r} in all of a sentence:"
            f" say which columns to read, such as {suggestion(rows, task, skipped=1)}"
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
    path: str, rows: Sequence[Row], columns: Columns, has_index: bool, is_comment: Callable[[Row, bool], bool]
) -> Iterator[tuple[Sentence, tuple[int, ...]]]:
    words: list[str] = []
    tags: list[str] = []
    numbers: list[int] = []
    sentence_name = ""

    def ended() -> Iterator[tuple[Sentence, tuple[int, ...]]]:
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
    cells, where = row.cells, f"{path}:{row.number}"
    if len(cells) < 2:
        raise DataError(f"{where}: expected a word and a tag, got one column, {row.text!r}")
    needed = max(columns.word, columns.tag or columns.word + 1)
    if len(cells) < needed:
        raise DataError(
            f"{where}: expected {needed} columns or more ({columns}), got {len(cells)}, {row.text!r}"
        )
    word, tag = cells[columns.word - 1], cells[(columns.tag or 0) - 1]
    if not word:
        place = "the first column" if columns.word == 1 else f"column {columns.word}"
        raise DataError(f"{where}: expected a word in {place}, got {row.text!r}")
    if not tag:
        raise DataError(f"{where}: expected a tag in column {columns.tag}, got {row.text!r}")
    return word, tag

"""Which columns of a file hold the words and the tags: said by a flag or by the file, or else refused."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ._errors import DataError
from ._notation import is_marked
from ._rows import Row

_SAID = re.compile(r"(word|tag)=([1-9]\d{0,3})")
_NUMBER = re.compile(r"\d+([-.]\d+)?")
_GLOBAL = re.compile(r"#\s*global\.columns\s*=\s*(.+)")
# Names of columns, in lower case; of the tags those first that say most.
_WORDS = ("form", "word", "words", "token", "tokens", "text", "char", "character")
_OF_ENTITIES = ("ner", "ne", "ner_tag", "ne_tag", "ner_tags", "named_entity", "entity", "iob", "iob2", "bio")
_OF_SPEECH = ("upos", "pos", "pos_tag", "pos_tags", "xpos")
_OF_ANY = ("tag", "tags", "label", "labels")
_SENTENCES = ("sentence", "sentence_id", "sent", "sent_id")
_CONLLU = 10
# Rows that a suggestion is worked out from.
_SAMPLE = 1000


@dataclass(frozen=True)
class Columns:
    """Columns, counted from 1.

    Attributes:
        word: of the words.
        tag: of the tags; None is the last one, whichever that is in each line.
        sentence: of a name of the sentence, which starts a sentence where it changes; None for none.
    """

    word: int = 1
    tag: int | None = None
    sentence: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Columns":
        """The columns that `--columns` says, such as `word=2,tag=3`; word 1 or the last tag may be left out.

        Raises:
            DataError: `text` says none, or says one twice.
        """
        said: dict[str, int] = {}
        for part in text.replace(" ", "").split(","):
            match = _SAID.fullmatch(part)
            if match is None or match[1] in said:
                raise DataError(f"--columns must be such as word=2,tag=3, counted from 1, not {text!r}")
            said[match[1]] = int(match[2])
        columns = cls(**said)
        if columns.word == columns.tag:
            raise DataError(f"--columns must name two columns, not {text!r}")
        return columns

    def __str__(self) -> str:
        return f"word={self.word},tag={'last' if self.tag is None else self.tag}"


def global_columns(path: str, lines: Sequence[str], task: str) -> Columns | None:
    """The columns that a line `# global.columns = ID FORM ...` (CoNLL-U Plus) names; None without one.

    Raises:
        DataError: it names no column of words, or none of tags.
    """
    for number, line in enumerate(lines, start=1):
        if line and not line.startswith("#"):
            return None
        if match := _GLOBAL.match(line):
            columns = _named(match[1].split(), task)
            if columns is None or columns.tag is None:
                raise DataError(
                    f"{path}:{number}: expected columns of words and of tags among {match[1]!r},"
                    " got none that is called so: say which, such as --columns word=2,tag=3"
                )
            return columns
    return None


def header(rows: Sequence[Row], task: str) -> tuple[Row, Columns | None] | None:
    """The row that names the columns of a file, such as `word pos ne`; None without one.

    Beside it stands what it says, or None where it has more or fewer columns than the row below it, such as
    `Sentence # Word Tag` in a file without tabs.
    """
    for at, row in enumerate(rows):
        if not row.text:
            continue
        comment = row.text.startswith("#")
        named = _named(row.cells, task)
        if named is not None and any(
            _name(cell) in _OF_ENTITIES + _OF_SPEECH + _OF_ANY for cell in row.cells
        ):
            below = next((other for other in rows[at + 1 :] if other.text), row)
            fits = len(below.cells) == len(row.cells)
            if fits and "=" not in row.cells:
                return row, named
            if not comment:
                return row, None
        if not comment:
            return None
    return None


def numbered(rows: Sequence[Row]) -> bool:
    """Whether the first column counts: more than half of its cells are numbers, 1-2 and 1.1 included."""
    return 2 * sum(is_number(row.cells[0]) for row in rows) > len(rows)


def is_number(cell: str) -> bool:
    """Whether a cell is a number, or the range or the empty node of CoNLL-U, 1-2 and 1.1."""
    return _NUMBER.fullmatch(cell) is not None


def suggestion(rows: Sequence[Row], task: str, skipped: int = 0) -> str:
    """The flags that would read a file, worked out from its rows.

    The words stand in the first column that holds neither numbers nor tags, the tags of entities in the first
    one that holds nothing else and no chunks, if possible behind the words.

    Args:
        rows: of the file.
        task: `spans` or `tags`.
        skipped: columns of the file before those of `rows`.
    """
    rows = rows[:_SAMPLE]
    width = min(len(row.cells) for row in rows)
    columns = [[row.cells[at] for row in rows] for at in range(width)]
    marked = [at for at, cells in enumerate(columns) if all(map(is_marked, cells))]
    entities = [at for at in marked if not any(cell[1:] == "-NP" for cell in columns[at])]
    words = (at for at in range(width) if at not in marked and not all(map(is_number, columns[at])))
    word = next(words, 0)
    if task == "spans" and entities:
        tag = min(entities, key=lambda at: (at < word, at))
        return f"--columns {Columns(word + 1 + skipped, tag + 1 + skipped)}"
    varied = (at for at in range(width - 1, word, -1) if len(set(columns[at])) > 1)
    tag = 3 if width == _CONLLU else next(varied, width - 1)
    flags = f"--columns {Columns(word + 1 + skipped, tag + 1 + skipped)}"
    return flags if task == "tags" else f"--task tags {flags}"


def _named(cells: Sequence[str], task: str) -> Columns | None:
    names = [_name(cell) for cell in cells]
    of_task = (*_OF_ENTITIES, *_OF_ANY) if task == "spans" else (*_OF_SPEECH, *_OF_ANY)

    def find(wanted: Sequence[str]) -> int | None:
        return next((names.index(name) + 1 for name in wanted if name in names), None)

    word = find(_WORDS)
    if word is None:
        return None
    return replace(Columns(word=word, tag=find(of_task)), sentence=find(_SENTENCES))


def _name(cell: str) -> str:
    # `Sentence #`, `# word`, and `PROJECT:NER` as CoNLL-U Plus writes what is a project's own.
    return cell.strip("# ").lower().rpartition(":")[2].replace(" ", "_").replace("-", "_")

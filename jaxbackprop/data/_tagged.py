"""Files of one corpus, read together: one notation and one scheme of tags for all of them."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ._columns import Columns
from ._conll import ConllFile, read_as_written
from ._errors import DataError
from ._notation import PREFIXES, Notation, read_notation
from ._sentence import Sentence
from ._tags import detect_scheme, to_bio

# Different tags that are believed though most occur once.
_MANY_TAGS = 50


@dataclass(frozen=True)
class TaggedFiles:
    """What several files hold.

    Attributes:
        files: as they are written.
        spelled: their sentences with each tag `O` or a type after B-, I-, E-, S-, L- or U-, in the scheme of
            the files. With task tags, the tags as they are.
        sentences: with BIO tags. With task tags, the tags as they are.
        scheme: of the tags; None with task tags.
        notation: what the tags mean; None with task tags.
    """

    files: list[ConllFile]
    spelled: list[list[Sentence]]
    sentences: list[list[Sentence]]
    scheme: str | None
    notation: Notation | None


def read_conll(
    path: str | os.PathLike[str],
    *,
    columns: str | None = None,
    scheme: str | None = None,
    task: str = "spans",
) -> list[Sentence]:
    r"""Read a CoNLL-style file: word in the first column, tag in the last, sentences apart by empty lines.

    A line with a tab is split at tabs, any other at runs of spaces; `word|POS|tag` is split at the bars, a
    sentence a line where a line has several. A line of white space alone is empty, but a space before a tab
    is a word. Lines may end in LF, CR LF or CR; a byte order mark is skipped; the last line may lack its end.

    Other columns are read where a line `# global.columns = ...` or a header row names them, or `columns`.
    Where the first column counts the words, the ranges and empty nodes of CoNLL-U (1-2, 1.1) are skipped.
    Words that are mostly numbers are refused unless something says that they are the words.

    Tags may be IO, IOB1, IOB2, IOE, BIOES, BILOU or BMES, with prefixes before a `-` or `_` and in any case,
    or without types; the way is detected over the file, and they are returned as BIO.

    `-DOCSTART-` lines are skipped, and so are comments. Since `#` and `#hashtag` are words too, a line that
    starts with `#` is a word if it is made like the first line of the file that does not (with a tab or
    without, as many columns) and ends in a tag. Otherwise it is a comment if it stands before the first word
    of a sentence, unless only its tag is wrong, as in `#hashtag\tbad`: made like a word, with a tab, and no
    space after the `#`. What is left is an error.

    Args:
        path: the file, in UTF-8.
        columns: which columns to read, such as `word=2,tag=3`; None leaves it to the file.
        scheme: of the tags, one of IO, BIO, IOB1, IOB2, IOE, BIOES, BILOU, BMES; None detects it.
        task: `spans`, or `tags` for any tags, such as parts of speech, that are returned as they are.

    Returns:
        The sentences, none of them empty.

    Raises:
        ValueError: an unknown scheme or task, or a scheme with task tags.
        DataError: the file cannot be read, is not UTF-8, holds no sentence, has a line with a word or a tag
            missing or with a tag that is none, or leaves open how it is to be read. The message starts with
            the file and the line, and names the flag that says what is open.
    """
    return read_tagged([path], columns=columns, scheme=scheme, task=task).sentences[0]


def read_tagged(
    paths: Sequence[str | os.PathLike[str]],
    *,
    columns: str | None = None,
    scheme: str | None = None,
    task: str = "spans",
    beside: Counter[str] | None = None,
) -> TaggedFiles:
    """Reads the files of one corpus; see `read_conll` for arguments and errors.

    The notation and the scheme of the tags are detected over all files together: a short one may hold too
    little evidence. Columns are found for each file by itself.

    Args:
        paths: of the files.
        columns: see `read_conll`.
        scheme: see `read_conll`.
        task: see `read_conll`.
        beside: how often each tag occurs, as written, in files of the corpus that are read elsewhere.
    """
    if task not in ("spans", "tags"):
        raise ValueError(f"task must be spans or tags, not {task!r}")
    if scheme is not None and (scheme not in PREFIXES or task == "tags"):
        wanted = "None with task tags" if task == "tags" else f"one of {', '.join(PREFIXES)} or None"
        raise ValueError(f"scheme must be {wanted}, not {scheme!r}")
    said = None if columns is None else Columns.parse(columns)
    files = [read_as_written(path, said, task) for path in paths]
    as_written = [file.sentences for file in files]
    counts = (beside or Counter()) + Counter(tag for part in as_written for s in part for tag in s.tags)
    if task == "tags":
        if len(counts) > max(_MANY_TAGS, counts.total() // 2):
            raise DataError(
                f"{files[0].path}: expected tags that recur, got {len(counts)} different ones in"
                f" {counts.total()} words: --columns word=2,tag=3 says which columns to read"
            )
        return TaggedFiles(files, as_written, as_written, None, None)
    notation = read_notation(counts, scheme)
    for file in files:
        _refuse_unread(file, notation)
    spelled = [
        [Sentence(s.words, tuple(notation.readings[tag] for tag in s.tags)) for s in part]
        for part in as_written
    ]
    bio = [
        [
            Sentence(s.words, tags)
            for s, tags in zip(part, to_bio([s.tags for s in part], "BIOES"), strict=True)
        ]
        for part in spelled
    ]
    found = notation.scheme or detect_scheme([s.tags for part in spelled for s in part])
    return TaggedFiles(files, spelled, bio, found, notation)


def _refuse_unread(file: ConllFile, notation: Notation) -> None:
    for sentence, numbers in zip(file.sentences, file.numbers, strict=True):
        for tag, number in zip(sentence.tags, numbers, strict=True):
            if tag not in notation.readings:
                raise unread_tag(f"{file.path}:{number}", tag, notation, file.columns, file.other_columns)


def unread_tag(where: str, tag: str, notation: Notation, columns: Columns, other_columns: str) -> DataError:
    """The error of a tag that has no reading.

    Args:
        where: the file and the line.
        tag: as written.
        notation: of the corpus.
        columns: that were read.
        other_columns: see `ConllFile`.
    """
    place = "the last column" if columns.tag is None else f"column {columns.tag}"
    flags = ""
    if notation.unclear:
        other = f"{other_columns} reads other columns, " if other_columns else ""
        flags = (
            f" ({other}--scheme says how entities are tagged, such as IO for types without prefix,"
            " --task tags reads tags of any kind)"
        )
    return DataError(f"{where}: expected a tag in {place}, {notation.expected}, got {tag!r}{flags}")

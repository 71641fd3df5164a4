"""CoNLL-style files: a word a line with its tag in the last column, an empty line after each sentence."""

import os
import re
from collections.abc import Iterator

from ._errors import DataError
from ._sentence import Sentence
from ._tags import is_tag, to_bio

# ASCII only: str.split and str.splitlines would also cut at U+0085, U+00A0, U+2028, which occur inside words.
_SPACE = " \t\r\v\f"
_SPACES = re.compile(f"[{_SPACE}]+")


def read_conll(path: str | os.PathLike[str]) -> list[Sentence]:
    r"""Read a CoNLL-style file: word in the first column, tag in the last, sentences apart by empty lines.

    A line with a tab is split at tabs, any other at runs of spaces. A line of white space alone is empty.
    Lines may end in LF or CR LF; a byte order mark is skipped; the last line may lack its end. Tags may be
    IOB1, IOB2 or BIOES (BILOU), are detected over the file and returned as BIO.

    `-DOCSTART-` lines are skipped, and so are comments. Since `#` and `#hashtag` are words too, a line that
    starts with `#` is a word if it is made like the first line of the file that does not (with a tab or
    without, as many columns) and ends in a tag. Otherwise it is a comment if it stands before the first word
    of a sentence, unless only its tag is wrong, as in `#hashtag\tbad`: made like a word, with a tab, and no
    space after the `#`. What is left is an error.

    Args:
        path: the file, in UTF-8.

    Returns:
        The sentences, none of them empty, with BIO tags.

    Raises:
        DataError: the file cannot be read, is not UTF-8, holds no sentence, or has a line with a word or a
            tag missing or with a last column that is no tag. The message starts with the file and the line.
    """
    return convert(read_as_written(path), None)


def read_as_written(path: str | os.PathLike[str]) -> list[Sentence]:
    """As `read_conll`, with the tags in the scheme of the file."""
    sentences = list(_sentences(os.fspath(path), _lines(os.fspath(path))))
    if not sentences:
        raise DataError(f"{os.fspath(path)}: expected sentences, a word and its tag a line, got none")
    return sentences


def convert(sentences: list[Sentence], scheme: str | None) -> list[Sentence]:
    """The sentences with their tags in BIO."""
    tags = to_bio([sentence.tags for sentence in sentences], scheme)
    return [Sentence(sentence.words, bio) for sentence, bio in zip(sentences, tags, strict=True)]


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: expected UTF-8, got the byte 0x{content[error.start]:02x}") from None
    return [line.rstrip(_SPACE) for line in text.split("\n")]


def _columns(line: str) -> list[str]:
    if "\t" in line:
        return [column.strip(" ") for column in line.split("\t")]
    return _SPACES.split(line.strip(" "))


def _layout(line: str) -> tuple[bool, int]:
    return "\t" in line, len(_columns(line))


def _sentences(path: str, lines: list[str]) -> Iterator[Sentence]:
    words_for_sure = (line for line in lines if line and not line.startswith(("#", "-DOCSTART-")))
    layout = next((_layout(line) for line in words_for_sure), None)
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate(lines, start=1):
        columns = _columns(line)
        if not line or columns[0] == "-DOCSTART-":
            if words:
                yield Sentence(tuple(words), tuple(tags))
                words, tags = [], []
            continue
        if not words and line.startswith("#") and _is_comment(line, columns, layout):
            continue
        if len(columns) < 2:
            raise DataError(f"{path}:{number}: expected a word and a tag, got one column, {line!r}")
        if not columns[0]:
            raise DataError(f"{path}:{number}: expected a word in the first column, got {line!r}")
        if not is_tag(columns[-1]):
            raise DataError(
                f"{path}:{number}: expected a tag in the last column, O or a type after"
                f" B-, I-, E-, S-, L- or U-, got {columns[-1]!r}"
            )
        words.append(columns[0])
        tags.append(columns[-1])
    if words:
        yield Sentence(tuple(words), tuple(tags))


def _is_comment(line: str, columns: list[str], layout: tuple[bool, int] | None) -> bool:
    made_like_a_word = len(columns) > 1 and layout in (None, _layout(line))
    if made_like_a_word and is_tag(columns[-1]):
        return False
    return not made_like_a_word or layout is None or "\t" not in line or line.startswith("# ")

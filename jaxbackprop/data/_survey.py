"""What files of tagged text hold: looked at before training on them."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ._conll import ConllFile
from ._sentence import Sentence
from ._tagged import TaggedFiles, read_tagged
from ._tags import impossible_tags
from ._vectors import WordVectors


@dataclass(frozen=True)
class FileSurvey:
    """What one file holds.

    Attributes:
        path: of the file.
        columns: that were read, such as `word=1,tag=last`.
        sentences: how many.
        words: how many.
        tags: entities of each type, the most frequent first; with task tags, words of each tag.
        without_vector: share of the words that have no vector, from 0 to 1; None where there are no vectors.
        impossible: line and description of each tag that the scheme does not allow where it stands.
    """

    path: str
    columns: str
    sentences: int
    words: int
    tags: dict[str, int]
    without_vector: float | None
    impossible: list[tuple[int, str]]


@dataclass(frozen=True)
class SharedSentences:
    """Sentences of one file that stand in another file too, word for word.

    Attributes:
        first: index of the file that they were found in.
        second: index of the file whose sentences they are, a later one.
        lines: where each begins, in the first file and in the second.
    """

    first: int
    second: int
    lines: list[tuple[int, int]]


@dataclass(frozen=True)
class Survey:
    """What several files hold, read as one corpus.

    Attributes:
        scheme: of the tags; None with task tags.
        files: each by itself.
        shared: for each two files that share sentences.
    """

    scheme: str | None
    files: list[FileSurvey]
    shared: list[SharedSentences]


def survey(
    paths: Sequence[str | os.PathLike[str]],
    *,
    columns: str | None = None,
    scheme: str | None = None,
    task: str = "spans",
    vectors: WordVectors | None = None,
) -> Survey:
    """Looks at files of tagged text.

    Args:
        paths: of the files, read together as those of one corpus; see `read_conll`.
        columns: as in `read_conll`.
        scheme: as in `read_conll`.
        task: as in `read_conll`.
        vectors: where words are looked up; None for nowhere.

    Raises:
        ValueError: as in `read_conll`.
        DataError: as in `read_conll`, for any of the files.
    """
    tagged = read_tagged(paths, columns=columns, scheme=scheme, task=task)
    return Survey(
        tagged.scheme,
        [_file(tagged, at, task, vectors) for at in range(len(tagged.files))],
        [
            shared
            for second in range(len(tagged.files))
            for first in range(second)
            if (shared := _shared(tagged.files, first, second)).lines
        ],
    )


def _file(tagged: TaggedFiles, at: int, task: str, vectors: WordVectors | None) -> FileSurvey:
    file, sentences = tagged.files[at], tagged.sentences[at]
    words = Counter(word for sentence in sentences for word in sentence.words)
    tags = Counter(tag for sentence in sentences for tag in sentence.tags)
    if task == "spans":
        tags = Counter({tag[2:]: count for tag, count in tags.items() if tag.startswith("B-")})
    unknown = None
    if vectors is not None:
        missing = sum(count for word, count in words.items() if vectors.form(word) is None)
        unknown = missing / words.total()
    impossible = [] if tagged.scheme is None else _impossible(file, tagged.spelled[at], tagged.scheme)
    counts = dict(tags.most_common())
    return FileSurvey(
        file.path, str(file.columns), len(sentences), words.total(), counts, unknown, impossible
    )


def _impossible(file: ConllFile, spelled: Sequence[Sentence], scheme: str) -> list[tuple[int, str]]:
    found = []
    for written, numbers, sentence in zip(file.sentences, file.numbers, spelled, strict=True):
        for at in impossible_tags(sentence.tags, scheme):
            if at == len(sentence.tags):
                found.append((numbers[-1], f"{written.tags[-1]} at the end"))
            else:
                before = f"after {written.tags[at - 1]}" if at else "at the start"
                found.append((numbers[at], f"{written.tags[at]} {before}"))
    return found


def _shared(files: Sequence[ConllFile], first: int, second: int) -> SharedSentences:
    begins: dict[tuple[str, ...], int] = {}
    for sentence, numbers in zip(files[first].sentences, files[first].numbers, strict=True):
        begins.setdefault(sentence.words, numbers[0])
    lines = [
        (begins[sentence.words], numbers[0])
        for sentence, numbers in zip(files[second].sentences, files[second].numbers, strict=True)
        if sentence.words in begins
    ]
    return SharedSentences(first, second, lines)

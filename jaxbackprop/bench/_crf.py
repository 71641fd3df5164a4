"""The linear-chain CRF that the window classifier is measured against (sklearn-crfsuite)."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

from ._bootstrap import f1_of

GRID: tuple[tuple[float, float], ...] = tuple(
    (c1, c2) for c1 in (0.05, 0.1, 0.2, 0.5) for c2 in (0.01, 0.1, 0.5)
)
"""The pairs (c1, c2) that are tried by default."""

AFFIX_LENGTHS = (1, 2, 3)
NEIGHBOURS = (-1, 1)


class TaggedSentence(Protocol):
    """What is read of a sentence."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words."""

    @property
    def tags(self) -> tuple[str, ...]:
        """A BIO tag a word."""


class TaggedCorpus(Protocol):
    """What is read of a corpus."""

    @property
    def train(self) -> Sequence[TaggedSentence]:
        """Sentences to fit on."""

    @property
    def dev(self) -> Sequence[TaggedSentence]:
        """Sentences that choose c1 and c2."""

    @property
    def test(self) -> Sequence[TaggedSentence]:
        """Sentences that the chosen CRF tags."""


@dataclass(frozen=True)
class CRFResult:
    """The CRF that did best on development data.

    Attributes:
        c1: Its coefficient of the L1 penalty.
        c2: Its coefficient of the L2 penalty.
        dev_f1: Its exact-match micro F1 on the development sentences, between 0 and 1.
        test_f1: The same on the test sentences.
        predictions: Its BIO tags of the test sentences.
        grid: Every (c1, c2, development F1) tried, in order.
    """

    c1: float
    c2: float
    dev_f1: float
    test_f1: float
    predictions: list[tuple[str, ...]]
    grid: tuple[tuple[float, float, float], ...]


def word_attributes(word: str) -> list[str]:
    """Attributes of a word by itself.

    They are the word, the word in lower case, its shape (`X` for an upper-case letter, `x` for another
    letter, `d` for a digit, else the character), its first and last one, two and three letters in lower
    case (where the word has so many), and whether it is in upper case, in title case, a number.

    Args:
        word: The word, not empty.

    Returns:
        Strings `name=value`, or `name` for what is true or false.
    """
    lower = word.lower()
    shape = "".join("X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in word)
    attributes = [f"word={word}", f"lower={lower}", f"shape={shape}"]
    for n in AFFIX_LENGTHS:
        if len(lower) >= n:
            attributes += [f"prefix{n}={lower[:n]}", f"suffix{n}={lower[-n:]}"]
    tests = {"upper": word.isupper(), "title": word.istitle(), "number": word.isdigit()}
    return attributes + [name for name, holds in tests.items() if holds]


def sentence_attributes(words: Sequence[str]) -> list[list[str]]:
    """Attributes of every position of a sentence.

    They are a bias, those of the word, those of the word before and after with their offset in front
    (`-1:lower=new`), and BOS and EOS at the ends.

    Args:
        words: The words of one sentence.

    Returns:
        A list of strings a word.
    """
    own = [word_attributes(word) for word in words]
    last = len(words) - 1
    positions = []
    for i, attributes in enumerate(own):
        position = ["bias", *attributes]
        for offset in NEIGHBOURS:
            if 0 <= i + offset <= last:
                position += [f"{offset:+d}:{attribute}" for attribute in own[i + offset]]
        position += ["BOS"] * (i == 0) + ["EOS"] * (i == last)
        positions.append(position)
    return positions


def crf_baseline(
    corpus: TaggedCorpus,
    *,
    grid: Sequence[tuple[float, float]] = GRID,
    max_iterations: int = 100,
) -> CRFResult:
    """Fit a CRF for every (c1, c2), choose by F1 on development data, tag the test data with that one.

    The CRF knows the words' spelling and their neighbours (`sentence_attributes`) but no word vectors. It
    is fitted by L-BFGS from zero, which is deterministic: there is no seed. The test sentences are tagged
    once, after the choice.

    Args:
        corpus: Train, development and test sentences with `words` and BIO `tags`.
        grid: Pairs (c1, c2) of the coefficients of the L1 and L2 penalties, each at least 0. Of equals on
            development data the first is chosen.
        max_iterations: Most L-BFGS iterations a fit.

    Returns:
        The chosen pair, its exact-match entity F1 on development and test data, and its test predictions.

    Raises:
        ImportError: If sklearn-crfsuite is not installed.
        ValueError: If the grid or a part of the corpus is empty, or a coefficient is negative.
    """
    if not grid:
        raise ValueError("grid must hold at least one pair (c1, c2) but is empty")
    for c1, c2 in grid:
        if not (c1 >= 0 and c2 >= 0):
            raise ValueError(f"grid must hold pairs of at least 0 but has {(c1, c2)}")
    for name in ("train", "dev", "test"):
        if not getattr(corpus, name):
            raise ValueError(f"corpus.{name} must hold at least one sentence but is empty")
    crfsuite = _sklearn_crfsuite()
    x_train, x_dev, x_test = (
        [sentence_attributes(sentence.words) for sentence in part]
        for part in (corpus.train, corpus.dev, corpus.test)
    )
    y_train, y_dev, y_test = (
        [list(sentence.tags) for sentence in part] for part in (corpus.train, corpus.dev, corpus.test)
    )
    best, best_f1 = None, -1.0
    tried = []
    for c1, c2 in grid:
        crf = crfsuite.CRF(algorithm="lbfgs", c1=c1, c2=c2, max_iterations=max_iterations)
        crf.fit(x_train, y_train)
        dev_f1 = f1_of(y_dev, crf.predict(x_dev))
        tried.append((c1, c2, dev_f1))
        if dev_f1 > best_f1:
            best, best_f1 = crf, dev_f1
    assert best is not None
    predictions = [tuple(str(tag) for tag in tags) for tags in best.predict(x_test)]
    return CRFResult(
        c1=best.c1,
        c2=best.c2,
        dev_f1=best_f1,
        test_f1=f1_of(y_test, predictions),
        predictions=predictions,
        grid=tuple(tried),
    )


def _sklearn_crfsuite() -> ModuleType:
    try:
        import sklearn_crfsuite
    except ModuleNotFoundError as error:
        raise ImportError(
            "the CRF baseline needs sklearn-crfsuite: pip install 'jaxbackprop[bench]'"
        ) from error
    return sklearn_crfsuite

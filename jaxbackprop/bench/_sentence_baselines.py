"""Logistic regression (scikit-learn) on what needs no fine-tuning: frozen sentence vectors, bags of words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ._report import CannotBench

VECTORS, WORDS = "logistic regression, frozen vectors", "logistic regression, bag of words"
# Inverse strengths of the penalty that development data chooses from.
_STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)


def refuse_missing_sklearn() -> None:
    """Looks for scikit-learn.

    Raises:
        CannotBench: it is not installed.
    """
    if find_spec("sklearn") is None:
        raise CannotBench("scikit-learn is not installed: pip install 'jaxbackprop[bench]'")


def on_vectors(
    train: Float[np.ndarray, "n H"],
    labels: Int[np.ndarray, "n"],
    dev: tuple[Float[np.ndarray, "D H"], Int[np.ndarray, "D"]],
    test: tuple[Float[np.ndarray, "N H"], Int[np.ndarray, "N"]],
) -> Bool[np.ndarray, "N"]:
    """Which test sentences the regression on vectors gets right, with the penalty that is best on dev."""
    return _best([train], labels, [dev[0]], dev[1], [test[0]]) == test[1]


def on_words(
    train: Sequence[str],
    labels: Int[np.ndarray, "n"],
    dev: tuple[Sequence[str], Int[np.ndarray, "D"]],
    test: tuple[Sequence[str], Int[np.ndarray, "N"]],
) -> Bool[np.ndarray, "N"]:
    """The same on bags of words weighted by tf-idf; dev chooses whether pairs of neighbours are words too."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    parts: list[list[Any]] = [[], [], []]
    for longest in (1, 2):
        # Words of one letter count, such as the t of isn't.
        words = TfidfVectorizer(ngram_range=(1, longest), sublinear_tf=True, token_pattern=r"\w+")
        parts[0].append(words.fit_transform(train))
        parts[1].append(words.transform(dev[0]))
        parts[2].append(words.transform(test[0]))
    return _best(parts[0], labels, parts[1], dev[1], parts[2]) == test[1]


def _best(
    train: Sequence[Any],
    labels: Int[np.ndarray, "n"],
    dev: Sequence[Any],
    gold: np.ndarray,
    test: Sequence[Any],
) -> Int[np.ndarray, "N"]:
    """What the regression that is best on dev says of test."""

    def tried() -> Iterator[tuple[float, np.ndarray]]:
        from sklearn.linear_model import LogisticRegression

        for features, seen, unseen in zip(train, dev, test, strict=True):
            for strength in _STRENGTHS:
                model = LogisticRegression(C=strength, max_iter=5_000).fit(features, labels)
                yield float(np.mean(model.predict(seen) == gold)), model.predict(unseen)

    return max(tried(), key=lambda found: found[0])[1]

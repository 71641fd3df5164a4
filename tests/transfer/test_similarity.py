"""The measure of similarity orders texts as a reader would."""

import codecs
from dataclasses import replace

import numpy as np
import pytest

from jaxbackprop.data import MissingExtra, WordVectors, default_corpus, load_vectors
from jaxbackprop.transfer import measure_similarity
from jaxbackprop.transfer._rule import SIMILAR


@pytest.fixture(scope="module")
def glove():
    try:
        return load_vectors("glove")
    except MissingExtra as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def tweets():
    return [sentence.words for sentence in default_corpus().train]


def foreign(text, share, seed=0):
    """A text with a share of its words in no language."""
    rng = np.random.default_rng(seed)
    return [
        [codecs.encode(word, "rot13") if rng.random() < share else word for word in words] for words in text
    ]


def test_tweets_are_nearer_than_half_foreign_and_foreign_ones(glove, tweets):
    whole, half, none = (measure_similarity(foreign(tweets, share), glove).value for share in (0, 0.5, 1))
    assert whole > SIMILAR > half > none
    assert half > 2 * none


def test_the_same_words_in_no_order_are_not_similar(glove, tweets):
    words = np.random.default_rng(0).permutation([word for each in tweets for word in each]).tolist()
    shuffled = [words[at : at + 20] for at in range(0, len(words), 20)]
    found, ordered = measure_similarity(shuffled, glove), measure_similarity(tweets, glove)
    assert (found.words, found.known_words) == (ordered.words, ordered.known_words)
    assert abs(found.agreement) < 0.05 < SIMILAR < ordered.value


def topics(dim=8, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, dim))
    matrix = np.concatenate([centre + 0.1 * rng.normal(size=(10, dim)) for centre in centres])
    words = {f"w{row}": row for row in range(len(matrix))}
    return WordVectors("topics", None, words, matrix.astype(np.float32))


def text_of(vectors, mixed, count=200, seed=1):
    rng = np.random.default_rng(seed)
    names = list(vectors.words)
    return [
        [names[int(rng.integers(40) if mixed else topic * 10 + rng.integers(10))] for _ in range(8)]
        for topic in rng.integers(4, size=count)
    ]


def test_sentences_of_one_topic_agree_and_mixed_ones_do_not():
    vectors = topics()
    assert measure_similarity(text_of(vectors, mixed=False), vectors).agreement > 0.6
    assert abs(measure_similarity(text_of(vectors, mixed=True), vectors).agreement) < 0.1


def test_what_all_vectors_have_in_common_says_nothing():
    vectors = topics()
    moved = replace(vectors, matrix=vectors.matrix + np.float32(8))
    plain, shifted = (measure_similarity(text_of(vectors, mixed=False), each) for each in (vectors, moved))
    assert shifted.agreement == pytest.approx(plain.agreement, abs=1e-3)


def test_shares_of_known_words_and_types():
    found = measure_similarity([["w1", "w1", "w2", "zzz"]], topics())
    assert (found.words, found.types, found.known_words) == (4, 3, 0.75)
    assert found.known_types == pytest.approx(2 / 3)


@pytest.mark.parametrize("text", [[], [[]], [["zzz"]], [["w1"]], [["w1", "w1"]], [["zzz", "yyy"]]])
def test_a_text_without_pairs_has_no_similarity(text):
    assert measure_similarity(text, topics()).value == 0

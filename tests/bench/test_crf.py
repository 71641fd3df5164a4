"""The CRF baseline on tiny corpora."""

import sys
from dataclasses import dataclass

import pytest

from jaxbackprop.bench import _crf
from jaxbackprop.bench._crf import crf_baseline, sentence_attributes, word_attributes


@dataclass(frozen=True)
class Sentence:
    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    train: list[Sentence]
    dev: list[Sentence]
    test: list[Sentence]


def sentence(text):
    """`in/O New/B-loc York/I-loc` as a Sentence."""
    words, tags = zip(*(token.rsplit("/", 1) for token in text.split()), strict=True)
    return Sentence(words, tags)


@pytest.fixture
def corpus():
    cities = ["Oslo", "Paris", "Rome", "Lima", "Cairo", "Delhi"]
    train = [sentence(f"we/O met/O in/O {city}/B-loc today/O") for city in cities]
    train += [sentence(f"they/O went/O to/O New/B-loc {city}/I-loc") for city in cities]
    train += [sentence("they/O like/O tea/O"), sentence("Today/O we/O like/O coffee/O")]
    dev = [sentence("we/O met/O in/O Quito/B-loc today/O"), sentence("we/O like/O tea/O")]
    test = [sentence("they/O met/O in/O New/B-loc Quito/I-loc"), sentence("they/O went/O to/O Bern/B-loc")]
    return Corpus(train, dev, test)


def test_word_attributes():
    assert word_attributes("McD-9") == [
        "word=McD-9",
        "lower=mcd-9",
        "shape=XxX-d",
        *("prefix1=m", "suffix1=9", "prefix2=mc", "suffix2=-9", "prefix3=mcd", "suffix3=d-9"),
    ]
    assert word_attributes("NY") == [
        "word=NY",
        "lower=ny",
        "shape=XX",
        *("prefix1=n", "suffix1=y", "prefix2=ny", "suffix2=ny"),
        "upper",
    ]
    assert "title" in word_attributes("Oslo")
    assert "number" in word_attributes("2016")


def test_sentence_attributes_hold_a_neighbour_on_either_side():
    positions = sentence_attributes(["a", "B", "c", "d"])
    assert ["BOS" in p for p in positions] == [True, False, False, False]
    assert ["EOS" in p for p in positions] == [False, False, False, True]
    assert all(p[0] == "bias" for p in positions)
    offsets = [{a.split(":")[0] for a in p if a[0] in "+-"} for p in positions]
    assert offsets == [{"+1"}, {"-1", "+1"}, {"-1", "+1"}, {"-1"}]
    assert {"word=c", "-1:word=B", "-1:upper", "+1:word=d"} <= set(positions[2])


def test_baseline_learns_and_chooses_on_development_data(corpus):
    pytest.importorskip("sklearn_crfsuite")
    # An L1 penalty of 100 leaves no weight, so the second pair is the better one.
    result = crf_baseline(corpus, grid=[(100.0, 0.0), (0.01, 0.01), (0.01, 0.01)])
    assert (result.c1, result.c2) == (0.01, 0.01)
    assert result.grid == ((100.0, 0.0, 0.0), (0.01, 0.01, 1.0), (0.01, 0.01, 1.0))
    assert result.dev_f1 == 1
    assert result.predictions == [s.tags for s in corpus.test]
    assert result.test_f1 == 1


def test_test_sentences_have_no_part_in_the_choice(corpus):
    pytest.importorskip("sklearn_crfsuite")
    no_entities = [Sentence(s.words, ("O",) * len(s.words)) for s in corpus.test]
    result = crf_baseline(Corpus(corpus.train, corpus.dev, no_entities), grid=[(100.0, 0.0), (0.01, 0.01)])
    assert (result.c1, result.dev_f1, result.test_f1) == (0.01, 1, 0)


def test_first_of_equals_is_chosen(corpus):
    pytest.importorskip("sklearn_crfsuite")
    result = crf_baseline(corpus, grid=[(0.01, 0.02), (0.01, 0.01)])
    assert (result.c1, result.c2) == (0.01, 0.02)


def test_missing_package_says_what_to_install(corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn_crfsuite", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxbackprop\[bench\]'"):
        crf_baseline(corpus)


def test_bad_input_raises(corpus):
    with pytest.raises(ValueError, match="grid must hold at least one pair"):
        crf_baseline(corpus, grid=[])
    with pytest.raises(ValueError, match=r"grid must hold pairs of at least 0 but has \(-1, 0\)"):
        crf_baseline(corpus, grid=[(0, 0), (-1, 0)])
    with pytest.raises(ValueError, match=r"corpus.dev must hold at least one sentence"):
        crf_baseline(Corpus(corpus.train, [], corpus.test))


def test_default_grid_varies_both_penalties():
    c1, c2 = (set(column) for column in zip(*_crf.GRID, strict=True))
    assert len(_crf.GRID) == len(set(_crf.GRID)) == len(c1) * len(c2)
    assert min(len(c1), len(c2)) >= 3

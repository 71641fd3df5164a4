"""F1 against seqeval; the paired bootstrap against what must hold of it."""

import dataclasses

import numpy as np
import pytest
import seqeval.metrics
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.bench._bootstrap import entity_counts, micro_f1, paired_bootstrap

TAGS = ("O", "B-person", "I-person", "B-geo-loc", "I-geo-loc")
paired_sentences = st.lists(
    st.integers(1, 6).flatmap(
        lambda n: st.tuples(*[st.lists(st.sampled_from(TAGS), min_size=n, max_size=n)] * 2)
    ),
    min_size=1,
    max_size=5,
)


def corrupted(gold, rate, seed):
    """`gold` with every entity's first tag replaced by O with probability `rate`."""
    rng = np.random.default_rng(seed)
    return [
        tuple("O" if tag.startswith("B-") and rng.random() < rate else tag for tag in tags) for tags in gold
    ]


@pytest.fixture
def gold():
    rng = np.random.default_rng(0)
    choices = (("O", "O"), ("B-person", "O"), ("B-geo-loc", "I-geo-loc"))
    return [sum((choices[i] for i in rng.integers(3, size=4)), ()) for _ in range(80)]


@given(paired_sentences)
def test_f1_is_that_of_seqeval(sentences):
    gold, predicted = [list(part) for part in zip(*sentences, strict=True)]
    ours = micro_f1(entity_counts(gold, predicted).sum(0))
    assert ours == pytest.approx(seqeval.metrics.f1_score(gold, predicted, zero_division=0))


def test_identical_systems_do_not_differ(gold):
    system = corrupted(gold, 0.3, seed=1)
    result = paired_bootstrap(gold, system, system, samples=200)
    assert result.f1_a == result.f1_b < 1
    assert (result.difference, result.low, result.high, result.p) == (0, 0, 0, 1)


def test_clearly_better_system_has_its_interval_above_zero(gold):
    better, worse = corrupted(gold, 0.1, seed=1), corrupted(gold, 0.6, seed=2)
    result = paired_bootstrap(gold, better, worse, samples=1000)
    assert 0 < result.low < result.difference < result.high < 1
    assert result.p < 0.01
    swapped = paired_bootstrap(gold, worse, better, samples=1000)
    assert (swapped.low, swapped.high) == pytest.approx((-result.high, -result.low))


def test_equally_good_systems_have_zero_inside(gold):
    result = paired_bootstrap(gold, corrupted(gold, 0.3, seed=1), corrupted(gold, 0.3, seed=2), samples=1000)
    assert result.low < 0 < result.high
    assert result.p > 0.05


def test_runs_are_averaged(gold):
    runs = [corrupted(gold, rate, seed=3) for rate in (0.1, 0.3, 0.5)]
    b = corrupted(gold, 0.4, seed=4)
    together = paired_bootstrap(gold, runs, b, samples=50)
    alone = [paired_bootstrap(gold, run, b, samples=50) for run in runs]
    assert together.f1_a == pytest.approx(np.mean([result.f1_a for result in alone]))
    assert together.difference == pytest.approx(np.mean([result.difference for result in alone]))
    assert paired_bootstrap(gold, [runs[0]], [b], samples=50) == alone[0]


def test_interval_is_that_of_a_plain_loop(gold):
    a, b = corrupted(gold, 0.2, seed=1), corrupted(gold, 0.4, seed=2)
    result = paired_bootstrap(gold, a, b, samples=700, confidence=0.9, seed=5)
    # The same draws, scored one by one with seqeval's definition; blocks of 500 replicates and then 200.
    rng = np.random.default_rng(5)
    draws = np.concatenate([rng.integers(len(gold), size=(k, len(gold))) for k in (500, 200)])

    def f1(system, draw):
        return seqeval.metrics.f1_score([list(gold[i]) for i in draw], [list(system[i]) for i in draw])

    few = draws[np.r_[:3, 697:700]]
    expected = [f1(a, draw) - f1(b, draw) for draw in few]
    counts_a, counts_b = entity_counts(gold, a), entity_counts(gold, b)
    spread = np.array([micro_f1(counts_a[draw].sum(0)) - micro_f1(counts_b[draw].sum(0)) for draw in draws])
    assert spread[np.r_[:3, 697:700]] == pytest.approx(expected)
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(spread, [0.05, 0.95])))


def test_seed_decides(gold):
    a, b = corrupted(gold, 0.2, seed=1), corrupted(gold, 0.4, seed=2)
    first = paired_bootstrap(gold, a, b, samples=300, seed=7)
    assert paired_bootstrap(gold, a, b, samples=300, seed=7) == first
    other = paired_bootstrap(gold, a, b, samples=300, seed=8)
    assert (other.low, other.high) != (first.low, first.high)
    assert dataclasses.replace(other, low=first.low, high=first.high, p=first.p) == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 0}, "samples must be at least 1 but is 0"),
        ({"confidence": 1.0}, "confidence must lie between 0 and 1 but is 1.0"),
        ({"gold": []}, "gold must hold at least one sentence"),
        ({"a": []}, "a must hold predictions"),
        ({"b": [["O"]] * 3}, "predicted has 3 sentences but gold has 2"),
        ({"b": [["O"], ["O"]]}, "predicted has 1 tags in sentence 1 but gold has 2"),
    ],
)
def test_bad_input_raises(change, message):
    arguments = {"gold": [["O"], ["B-x", "O"]], "a": [["O"], ["O", "O"]], "b": [["O"], ["O", "O"]]} | change
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(**arguments)

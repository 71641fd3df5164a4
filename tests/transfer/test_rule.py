import pytest

from jaxbackprop.transfer import Strategy, rule_of_thumb
from jaxbackprop.transfer._rule import FEW, FROM_SCRATCH, MANY, SIMILAR, is_between, size_text


def test_the_thresholds_are_the_lectures():
    assert (FEW, MANY, FROM_SCRATCH) == (100_000, 1_000_000, 100_000_000)


@pytest.mark.parametrize(
    ("words", "similarity", "strategy", "kind"),
    [
        (0, SIMILAR, Strategy.NEW_CLASSIFIER, "frozen"),
        (99_999, 0.3, Strategy.NEW_CLASSIFIER, "frozen"),
        (99_999, SIMILAR - 1e-9, Strategy.AUGMENT, "frozen"),
        (999_999, 0.0, Strategy.AUGMENT, "frozen"),
        (1_000_000, SIMILAR, Strategy.LAST_LAYERS, "frozen"),
        (99_999_999, 0.0, Strategy.RETRAIN_ALL, "tuned"),
        (100_000_000, 1.0, Strategy.SCRATCH, "random"),
    ],
)
def test_the_quadrant(words, similarity, strategy, kind):
    assert rule_of_thumb(words, similarity) is strategy
    assert strategy.kind == kind


@pytest.mark.parametrize(
    ("words", "said"), [(99_999, "small"), (100_000, "between"), (1_000_000, "large"), (10**8, "very large")]
)
def test_the_size_in_words(words, said):
    assert size_text(words).startswith(said)
    assert is_between(words) == (said == "between")


def test_the_slip_of_the_slide_is_told():
    assert "overfits. (The slide says underfits, which is a slip.)" in Strategy.AUGMENT.meaning

"""The vocabulary of mistakes."""

from jaxbackprop.diagnose import Mistake
from tests.check.corpus import MISTAKES


def test_the_corpus_has_the_same_vocabulary():
    """It stands on its own, and so has its own list."""
    assert tuple(mistake.value for mistake in Mistake) == MISTAKES


def test_a_member_is_its_label():
    assert Mistake.WRONG_MASK == "wrong mask"
    assert str(Mistake("wrong mask")) == "wrong mask"
    assert type(Mistake.WRONG_MASK.value) is str


def test_every_label_has_a_meaning_that_ends_a_sentence():
    for mistake in Mistake:
        assert mistake.meaning
        assert not mistake.meaning.endswith(".")


def test_a_neighbour_is_another_mistake_that_may_stand_for_it():
    assert Mistake.DIAGONAL_ONLY.neighbours == {Mistake.MISSING_TERM}
    assert Mistake.MISSING_TERM.neighbours == {Mistake.PATH_FORGOTTEN}
    assert Mistake.SIGN.neighbours == frozenset()
    assert all(mistake not in mistake.neighbours for mistake in Mistake)

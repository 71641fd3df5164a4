import pytest

from jaxbackprop.data import Sentence
from jaxbackprop.transfer._seen import score_parts, seen_forms
from tests.transfer.text import sentences, vectors

KNOWN = vectors()
SEEN = seen_forms(sentences(40), KNOWN)
TRUE = [
    Sentence(("Anna", "met", "Kim", "in", "rome"), ("B-person", "O", "B-person", "O", "B-place")),
    Sentence(("kim", "otto"), ("B-person", "I-person")),
]


def test_a_word_is_seen_by_the_form_it_is_looked_up_by():
    assert {"anna", "rome", "met"} <= SEEN
    assert "kim" not in SEEN


def test_everything_right_is_one_everywhere():
    scores = score_parts(TRUE, [sentence.tags for sentence in TRUE], SEEN, KNOWN)
    assert scores["token F1"] == scores["entity F1"] == {"all": 1, "seen": 1, "unseen": 1}
    # An entity with one unseen word is unseen.
    assert scores["entities"] == {"all": 4, "seen": 2, "unseen": 2}


def test_mistakes_count_where_their_words_are():
    predicted = [("B-person", "O", "B-place", "O", "B-place"), ("O", "B-person")]
    scores = score_parts(TRUE, predicted, SEEN, KNOWN)
    # Seen: anna, rome and otto right. Unseen: one of another type, one missed.
    assert scores["token F1"] == pytest.approx({"all": 2 * 3 / (4 + 5), "seen": 1, "unseen": 0})
    # otto alone is no entity of the truth: predicted, seen and wrong.
    assert scores["entity F1"] == pytest.approx({"all": 4 / 8, "seen": 4 / 5, "unseen": 0})


def test_words_outside_entities_count_only_where_taken_for_one():
    text = [Sentence(("met", "anna"), ("O", "B-person"))]
    assert score_parts(text, [("O", "B-person")], SEEN, KNOWN)["token F1"]["seen"] == 1
    assert score_parts(text, [("B-person", "B-person")], SEEN, KNOWN)["token F1"]["seen"] == pytest.approx(
        2 / 3
    )


def test_token_scores_agree_with_an_independent_count():
    sklearn = pytest.importorskip("sklearn.metrics")
    predicted = [("B-person", "B-place", "O", "O", "B-place"), ("B-person", "B-place")]
    flat = [[tag[2:] for tags in each for tag in tags] for each in ((t.tags for t in TRUE), predicted)]
    expected = sklearn.f1_score(*flat, labels=["person", "place"], average="micro")
    assert score_parts(TRUE, predicted, SEEN, KNOWN)["token F1"]["all"] == pytest.approx(expected)

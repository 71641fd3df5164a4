"""Near-synonyms: the text holds two of three, and the third stays where it was."""

import io

import numpy as np
import pytest

from jaxbackprop.data import Sentence
from jaxbackprop.transfer import GROUPS, Moved, draw_synonyms, measure_synonyms, synonyms_text
from jaxbackprop.transfer._synonyms import only_first_two
from tests.transfer.test_pitfall import SMALL
from tests.transfer.text import sentences, vectors

GROUP = ("anna", "otto", "ida")


@pytest.fixture(scope="module")
def measured():
    groups = (GROUP, ("kim", "lea", "nobody"), ("cairo", "tokyo", "bonn"))
    text = sentences(30, places=("rome", "oslo"))
    return measure_synonyms("text", text, vectors(), config=SMALL, seeds=2, groups=groups)


def test_mentions_become_the_first_two_in_turn():
    text = [Sentence(("Ida", "met", "otto", "IDA"), ("B-person", "O", "B-person", "O"))]
    replaced, mentions = only_first_two(text, GROUP)
    assert replaced == [Sentence(("anna", "met", "otto", "anna"), text[0].tags)]
    assert mentions == 3


def test_the_third_word_does_not_move(measured):
    (moved,), _ = measured
    assert moved.group == GROUP
    assert moved.mentions > 10
    first, second, third = moved.lengths()
    assert min(first, second) > 1e-3
    assert third == 0
    before, after = moved.cosines((0, 2))
    assert len(after) == 2
    assert all(value != pytest.approx(before, abs=1e-6) for value in after)
    assert set(moved.neighbours) <= set(vectors().words) - {"anna"}


def test_before_is_the_pretrained_vector(measured):
    (moved,), _ = measured
    np.testing.assert_allclose(moved.before[:3], vectors().rows(GROUP))


def test_groups_that_cannot_be_measured_say_why(measured):
    _, missing = measured
    assert missing["nobody"] == "no vector for nobody"
    assert missing["bonn"] == "the training text mentions cairo, tokyo, bonn less than twice"


def test_the_figure_and_the_text(measured):
    moved, _ = measured
    buffer = io.BytesIO()
    draw_synonyms(moved).savefig(buffer, format="png")
    assert buffer.getbuffer().nbytes > 10_000
    said = "\n".join(synonyms_text(moved))
    assert "anna, otto | ida: " in said
    assert "of 1 groups" in said
    assert moved[0].to_dict()["cosines"]["anna, ida"]["before"] == moved[0].cosines((0, 2))[0]


def test_vectors_of_one_number_are_drawn():
    line = Moved(GROUP, 2, (), 0.0, np.array([[1.0], [2.0], [4.0]]), np.array([[[1.5], [2.5], [4.0]]] * 2))
    draw_synonyms([line]).savefig(io.BytesIO(), format="png")


def test_four_groups_of_three_words_with_the_slides_first():
    assert GROUPS[0] == ("tv", "telly", "television")
    assert len(GROUPS) == 4
    assert len({word for group in GROUPS for word in group}) == 12

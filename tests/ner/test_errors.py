"""A wrong entity in its sentence."""

import pytest

from jaxbackprop.ner import TaggingError

WORDS = ("in", "the", "New", "York", "Hilton")


def test_columns_name_the_error_the_sentence_and_both_entities():
    both = TaggingError("wrong boundary", 2, WORDS, ("place", 2, 4), ("hotel", 3, 5))
    context = "in the [New {York] Hilton}"
    assert both.columns() == ["wrong boundary", "2", "place", "New York", "hotel", "York Hilton", context]
    missed = TaggingError("missed", 1, WORDS, ("place", 2, 4), None)
    assert missed.columns() == ["missed", "1", "place", "New York", "", "", "in the [New York] Hilton"]


@pytest.mark.parametrize(
    ("true", "predicted", "context"),
    [
        ((0, 1), (0, 2), "{[a] b} c"),
        ((1, 2), (0, 2), "{a [b]} c"),
        ((0, 2), (0, 1), "[{a} b] c"),
        ((0, 3), (1, 2), "[a {b} c]"),
        ((0, 2), (1, 3), "[a {b] c}"),
        ((1, 2), (1, 2), "a [{b}] c"),
    ],
)
def test_the_shorter_entity_stands_within_the_longer(true, predicted, context):
    assert TaggingError("", 1, tuple("abc"), ("x", *true), ("x", *predicted)).columns()[-1] == context


def test_json_holds_the_same():
    assert TaggingError("spurious", 1, WORDS, None, ("hotel", 4, 5)).to_dict() == {
        "error": "spurious",
        "sentence": 1,
        "words": list(WORDS),
        "true": None,
        "predicted": {"type": "hotel", "start": 4, "end": 5, "text": "Hilton"},
    }

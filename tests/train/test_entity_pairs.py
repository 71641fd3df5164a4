"""Entities paired as nervaluate's strict scheme pairs them, and what is wrong with a pair."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.train import entities, name_error, pair_entities

spans = st.lists(st.sampled_from(["O", "B-a", "I-a", "B-b", "I-b"]), max_size=10).map(entities)


@given(spans, spans)
def test_they_are_paired_as_the_scores_count_them(true, predicted):
    from nervaluate.entities import Entity
    from nervaluate.strategies import StrictEvaluation

    pairs = pair_entities(true, predicted)
    assert [entity for entity, _ in pairs if entity] == true
    assert [entity for _, entity in pairs if entity] == predicted
    sides = ([Entity(kind, begin, end - 1) for kind, begin, end in side] for side in (true, predicted))
    expected, _ = StrictEvaluation().evaluate(*sides, ["a", "b"])
    found = Counter(
        {None: "correct", "missed": "missed", "spurious": "spurious"}.get(name_error(*pair), "incorrect")
        for pair in pairs
    )
    for count in ("correct", "incorrect", "missed", "spurious"):
        assert found[count] == getattr(expected, count), count


@pytest.mark.parametrize(
    ("true", "predicted", "error"),
    [
        (("a", 1, 3), ("a", 1, 3), None),
        (("a", 1, 3), ("b", 1, 3), "wrong type"),
        (("a", 1, 3), ("a", 2, 3), "wrong boundary"),
        (("a", 1, 3), ("b", 0, 3), "wrong type and boundary"),
        (("a", 1, 3), None, "missed"),
        (None, ("a", 1, 3), "spurious"),
    ],
)
def test_what_is_wrong_has_a_name(true, predicted, error):
    assert name_error(true, predicted) == error

"""Accuracy over words, and each tag's precision, recall and F1."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from jaxbackprop.train import score_tags

TRUE = [["NN", "VB", "NN"], ["JJ", "NN"], []]
GOT = [["NN", "NN", "NN"], ["JJ", "VB"], []]


def test_scores_by_hand():
    scores = score_tags(TRUE, GOT)
    assert (scores.accuracy, scores.count) == (3 / 5, 5)
    assert scores.measures == {"accuracy": 3 / 5}
    assert scores.measures[scores.decides] == 3 / 5
    rows = [(row.name, row.precision, row.recall, row.f1, row.count) for row in scores.tags]
    assert rows == [("JJ", 1, 1, 1, 1), ("NN", 2 / 3, 2 / 3, 2 / 3, 3), ("VB", 0, 0, 0, 1)]


def test_a_tag_of_the_prediction_alone_has_a_row():
    scores = score_tags([["A"]], [["B"]])
    assert [(row.name, row.f1, row.count) for row in scores.tags] == [("A", 0, 1), ("B", 0, 0)]


def test_nothing_to_score():
    assert score_tags([], []).accuracy == 0


def test_lengths_that_differ_raise():
    with pytest.raises(ValueError, match="differ in the number or the lengths"):
        score_tags([["A"]], [["A", "A"]])


def test_the_table_ends_in_the_accuracy():
    text = io.StringIO()
    Console(file=text, width=60).print(score_tags(TRUE, GOT).table(ruled=False))
    lines = text.getvalue().splitlines()
    assert lines[0].split() == ["tag", "precision", "recall", "F1", "count"]
    assert lines[2].split() == ["NN", "0.6667", "0.6667", "0.6667", "3"]
    assert lines[-1].split() == ["accuracy", "0.6000", "5"]


def test_json_keeps_a_tag_that_is_called_accuracy_apart():
    assert score_tags([["accuracy"]], [["accuracy"]]).to_dict() == {
        "accuracy": 1.0,
        "count": 1,
        "tags": {"accuracy": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "count": 1}},
    }


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("ABC")), min_size=1))
def test_the_accuracy_is_the_recall_over_all_tags(pairs):
    true, got = zip(*pairs, strict=True)
    scores = score_tags([true], [got])
    assert scores.accuracy == pytest.approx(sum(row.recall * row.count for row in scores.tags) / len(pairs))
    for row in scores.tags:
        mean = 2 * row.precision * row.recall / (row.precision + row.recall or 1)
        assert row.f1 == pytest.approx(mean)

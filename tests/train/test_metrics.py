"""Entity scores, held against seqeval and against their definition."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from jaxbackprop._output import print_whole
from jaxbackprop.train import Score, Scores, entities, score

tags = st.sampled_from(["O", "B-a", "I-a", "B-b", "I-b", "B-geo-loc", "I-geo-loc"])
pairs = st.lists(
    st.integers(0, 6).flatmap(
        lambda n: st.tuples(st.lists(tags, min_size=n, max_size=n), st.lists(tags, min_size=n, max_size=n))
    ),
    min_size=1,
    max_size=5,
)


@given(pairs)
def test_scores_equal_seqevals(sentences):
    from seqeval.metrics import classification_report

    true, predicted = ([pair[i] for pair in sentences] for i in (0, 1))
    scores = score(true, predicted)
    if not any(tag != "O" for tags in (*true, *predicted) for tag in tags):
        assert scores == Scores((), Score("micro avg", 0.0, 0.0, 0.0, 0))
        return
    report = classification_report(true, predicted, output_dict=True, zero_division=0)
    for row in (*scores.types, scores.micro):
        expected = report[row.name]
        assert row.precision == pytest.approx(expected["precision"])
        assert row.recall == pytest.approx(expected["recall"])
        assert row.f1 == pytest.approx(expected["f1-score"])
        assert row.count == expected["support"]
    assert {row.name for row in scores.types} == report.keys() - {"micro avg", "macro avg", "weighted avg"}


@given(st.lists(tags, max_size=8))
def test_entities_equal_seqevals(sequence):
    from seqeval.metrics.sequence_labeling import get_entities

    assert entities(sequence) == [(kind, begin, end + 1) for kind, begin, end in get_entities(sequence)]


def test_an_entity_counts_when_type_and_both_ends_are_right():
    true = [["B-a", "I-a", "O", "B-b"], ["B-a", "O"]]
    predicted = [["B-a", "O", "O", "B-a"], ["B-a", "O"]]
    scores = score(true, predicted)
    assert scores.micro == Score("micro avg", 1 / 3, 1 / 3, pytest.approx(1 / 3), 3)
    assert [row.name for row in scores.types] == ["a", "b"]
    assert scores.types[0].recall == 0.5
    assert scores.types[1] == Score("b", 0.0, 0.0, 0.0, 1)


@pytest.mark.parametrize("predicted", [[["O"]], [["O", "O"], ["O"]]])
def test_sentences_must_match(predicted):
    with pytest.raises(ValueError, match="number or the lengths"):
        score([["O", "O"]], predicted)


SCORES = Scores(
    (Score("a-type-of-a-rather-long-name", 0.25, 1.0, 0.4, 3), Score("b", 0.0, 0.0, 0.0, 12)),
    Score("micro avg", 0.12345, 0.5, 0.2, 15),
)


@pytest.mark.parametrize("width", [20, 80])
@pytest.mark.parametrize("ruled", [False, True])
def test_a_table_shortens_nothing(ruled, width):
    console = Console(file=io.StringIO(), width=width, force_terminal=ruled, color_system=None)
    print_whole(console, SCORES.table(ruled=ruled))
    lines = [line.split() for line in console.file.getvalue().splitlines() if line.strip(" ─")]
    assert lines[0] == ["type", "precision", "recall", "F1", "count"]
    assert lines[1] == ["a-type-of-a-rather-long-name", "0.2500", "1.0000", "0.4000", "3"]
    assert lines[-1] == ["micro", "avg", "0.1235", "0.5000", "0.2000", "15"]


def test_a_table_in_a_pipe_is_plain():
    console = Console(file=io.StringIO(), width=200)
    console.print(SCORES.table(ruled=False))
    assert console.file.getvalue().isascii()
    assert len(console.file.getvalue().splitlines()) == 4


def test_scores_as_json():
    assert list(SCORES.to_dict()) == ["a-type-of-a-rather-long-name", "b", "micro avg"]
    assert SCORES.to_dict()["micro avg"] == {"precision": 0.12345, "recall": 0.5, "f1": 0.2, "count": 15}

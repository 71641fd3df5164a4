"""The confusion table: every count stands where it belongs, and none is lost."""

import io

from rich.console import Console

from jaxbackprop._output import print_whole
from jaxbackprop.train import confusion

PAIRS = [("PER", "PER")] * 1842 + [("PER", "LOC")] * 3 + [("LOC", None)] * 7 + [(None, "ORG")]


def printed(table, width):
    console = Console(file=io.StringIO(), width=width)
    print_whole(console, table)
    return console.file.getvalue()


def test_true_labels_stand_down_and_predicted_ones_across():
    rows = [line.split() for line in printed(confusion(PAIRS).table(ruled=False), 40).splitlines()]
    assert rows == [
        ["LOC", "ORG", "PER", "none"],
        ["LOC", "0", "0", "0", "7"],
        ["ORG", "0", "0", "0", "0"],
        ["PER", "3", "0", "1842", "0"],
        ["none", "0", "1", "0", "0"],
    ]


def test_a_few_types_fit_a_narrow_terminal_and_many_lose_no_figure():
    assert max(map(len, printed(confusion(PAIRS).table(ruled=True), 40).splitlines())) <= 40
    wide = printed(confusion([(f"type-{n}", f"type-{n}") for n in range(9)]).table(ruled=True), 40)
    assert "…" not in wide
    assert wide.count("type-") == 18


def test_labels_of_words_have_no_row_for_none():
    table = printed(confusion([("NN", "VB"), ("NN", "NN")]).table(ruled=False), 40)
    assert [line.split() for line in table.splitlines()] == [
        ["NN", "VB"],
        ["NN", "1", "1"],
        ["VB", "0", "0"],
    ]


def test_json_holds_the_pairs_that_occur():
    assert confusion(PAIRS).to_dict() == [
        {"true": "LOC", "predicted": None, "count": 7},
        {"true": "PER", "predicted": "LOC", "count": 3},
        {"true": "PER", "predicted": "PER", "count": 1842},
        {"true": None, "predicted": "ORG", "count": 1},
    ]
    assert confusion([]).to_dict() == []

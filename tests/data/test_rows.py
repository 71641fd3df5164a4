"""Lines to cells: tabs, spaces, bars, and a space that is a word."""

import pytest

from jaxbackprop.data import Sentence, read_conll
from jaxbackprop.data._rows import Splitting


def test_tabs_and_spaces_are_told_line_by_line():
    rows = list(Splitting().rows(["New York\tB-x", "ran  fast O", " a b ", "", " \tO"]))
    assert [row.cells for row in rows] == [
        ["New York", "B-x"],
        ["ran", "fast", "O"],
        ["a", "b"],
        [""],
        [" ", "O"],
    ]
    assert [row.number for row in rows] == [1, 2, 3, 4, 5]
    assert [row.layout for row in rows[:2]] == [(True, 2), (False, 3)]


@pytest.mark.parametrize(
    "content",
    [
        "John|NNP|B-PER\nran|VBD|O\n\n||SYM|O\n",
        "# id 1\nJohn|NNP|B-PER ran|VBD|O\n||SYM|O\n",
        "John|NNP|B-PER ran|VBD|O\n\n\n||SYM|O",
    ],
    ids=["a word a line", "a sentence a line", "a sentence a line, empty lines"],
)
def test_bars_part_columns(tmp_path, content):
    (tmp_path / "file").write_text(content)
    assert read_conll(tmp_path / "file") == [
        Sentence(("John", "ran"), ("B-PER", "O")),
        Sentence(("|",), ("O",)),
    ]


def test_a_word_with_bars_among_others_is_a_word(tmp_path):
    (tmp_path / "file").write_text("a|b O\n| O\nx|y\tB-PER\n")
    assert read_conll(tmp_path / "file") == [Sentence(("a|b", "|", "x|y"), ("O", "O", "B-PER"))]


def test_a_space_is_a_word_where_a_tab_follows(tmp_path):
    (tmp_path / "file").write_text("## CHAR\tNE_TAG\n## id-0\t경 찰\n경\tB-OG\n \tO\n찰\tI-OG\n \t\nx\tO\n")
    assert read_conll(tmp_path / "file") == [
        Sentence(("경", " ", "찰"), ("B-OG", "O", "B-OG")),
        Sentence(("x",), ("O",)),
    ]

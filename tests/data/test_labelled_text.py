"""Tables of labelled sentences."""

import pytest

from jaxbackprop.data import DataError, Labelled, read_labelled

NSMC = (
    'id\tdocument\tlabel\n9976970\t아 더빙.. 진짜 "짜증나네요\t0\r\n3819312\t흠...포스터보고\t1\n\n1\t\t0\n'
)


def written(tmp_path, text):
    path = tmp_path / "data.tsv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_nsmcs_columns_work(tmp_path):
    want = [
        Labelled('아 더빙.. 진짜 "짜증나네요', None, "0"),
        Labelled("흠...포스터보고", None, "1"),
        Labelled("", None, "0"),
    ]
    assert read_labelled(written(tmp_path, NSMC)) == want
    assert read_labelled(written(tmp_path, "\ufeff" + NSMC)) == want
    for columns in ("sentence=2,label=3", "label=label, sentence=Document"):
        assert read_labelled(tmp_path / "data.tsv", columns) == want


def test_pairs_and_files_without_a_header(tmp_path):
    assert read_labelled(written(tmp_path, "a film\tsomething\tgood\n")) == [Labelled("a film", None, "good")]
    glue = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n"
    assert read_labelled(written(tmp_path, glue)) == [Labelled("a", "b", "entailment")]
    found = read_labelled(written(tmp_path, "x\ty\tz\n"), "sentence=3,pair=1,label=2")
    assert found == [Labelled("z", "x", "y")]


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("", None, "holds no row"),
        ("document\tlabel\n", None, "holds no row but its header"),
        ("one\n", None, "data.tsv:1: expected a sentence and a label"),
        ("document\tlabel\na\tb\nc\n", None, "data.tsv:3: expected 2 columns apart by tabs, got 1"),
        ("document\tlabel\na\t \n", None, "data.tsv:2: expected a label"),
        (b"\xff\xfe\n", None, "is not UTF-8"),
        ("a\tb\n", "sentence=1", "columns must name sentence and label"),
        ("a\tb\n", "sentence=1,label=3", "label=3, but the file has 2 columns"),
        ("a\tb\n", "sentence=1,label=gold", "the first line names no 'gold'"),
        ("a\tb\n", "word=1,label=2", "columns must be such as"),
        ("a\tb\n", "sentence=0,label=2", "sentence=0"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, columns, said):
    with pytest.raises(DataError, match=said):
        read_labelled(written(tmp_path, text), columns)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="cannot read .*: No such file"):
        read_labelled(tmp_path / "none.tsv")

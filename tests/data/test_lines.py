"""Bytes to lines: every kind of line end, and bytes that are no text."""

import pytest

from jaxbackprop.data import DataError, read_conll
from jaxbackprop.data._lines import read_lines


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\nb\n\nc", ["a", "b", "", "c"]),
        (b"a\r\nb\r\n\r\nc", ["a", "b", "", "c"]),
        (b"a\rb\r\rc", ["a", "b", "", "c"]),
        (b"a\r\r\nb\r\r\n\r\r\nc", ["a", "b", "", "c"]),
        (b"a\nb\rc", ["a", "b", "c"]),
        (b"\xef\xbb\xbfa \t\n b", ["a", " b"]),
        ("a\u2028\u0085\u00a0b\nc\u00a0".encode(), ["a\u2028\u0085\u00a0b", "c\u00a0"]),
    ],
    ids=["lf", "crlf", "cr", "crcrlf", "lf and cr", "bom and white space", "what is no line end"],
)
def test_line_ends(tmp_path, content, lines):
    (tmp_path / "file").write_bytes(content)
    assert read_lines(str(tmp_path / "file")) == lines


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_bad_byte_is_named_by_its_line(tmp_path, end):
    (tmp_path / "file").write_bytes(end.join([b"a\tO", b"\xc3\xa9\tO", b"al\xe9\tO", b""]))
    with pytest.raises(DataError, match=r"file:3: expected UTF-8, got the byte 0xe9$"):
        read_lines(str(tmp_path / "file"))


def test_words_between_old_mac_line_ends_are_words(tmp_path):
    (tmp_path / "file").write_bytes(b"John B-PER\rran O\r\rx O\r")
    assert [s.words for s in read_conll(tmp_path / "file")] == [("John", "ran"), ("x",)]

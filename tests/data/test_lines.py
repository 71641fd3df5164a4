"""Bytes to lines: every kind of line end, and bytes that are no text."""

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.data import DataError, read_conll
from jaxbackprop.data._lines import read_blocks, read_lines


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


@given(
    st.lists(
        st.sampled_from(["a", "é", " ", "\t", "\n", "\r", "\r\n", "\r\r\n", "\ufeff", "\u2028"]), max_size=12
    ),
    st.integers(1, 9),
)
def test_blocks_are_the_lines_of_the_file(pieces, size):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/file"
        Path(path).write_bytes("".join(pieces).encode())
        assert [line for block in read_blocks(path, size) for line in block] == read_lines(path)


@pytest.mark.parametrize("size", [-1, 3])
def test_gzip_is_read_by_its_name_and_named_where_it_is_damaged(tmp_path, size):
    whole = gzip.compress(b"a\nb\nc" * 100)
    (tmp_path / "file.gz").write_bytes(whole)
    assert [line for block in read_blocks(str(tmp_path / "file.gz"), size) for line in block][:2] == [
        "a",
        "b",
    ]
    for damaged in (whole[:-9], b"no gzip", whole[:12] + b"\xff\xff" + whole[14:]):
        (tmp_path / "file.gz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"file\.gz: cannot be decompressed: "):
            list(read_blocks(str(tmp_path / "file.gz"), size))
    (tmp_path / "bad.gz").write_bytes(gzip.compress(b"a\n\xff\n"))
    with pytest.raises(DataError, match=r"bad\.gz:2: expected UTF-8"):
        list(read_blocks(str(tmp_path / "bad.gz"), size))

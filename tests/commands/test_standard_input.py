"""Standard input comes as it is there, and no line is lost or joined with another."""

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop._errors import CannotRun
from jaxbackprop.commands._standard_input import waiting_lines


def read_in(pieces):
    """The batches of what arrives in these pieces."""
    with mock.patch("os.read", side_effect=[*filter(None, pieces), b""]):
        return list(waiting_lines(0))


@given(
    st.lists(st.text(alphabet="aé\u2028\x85 \r", max_size=4).filter(lambda line: line[-1:] != "\r")),
    st.data(),
)
def test_lines_are_the_same_however_they_arrive(lines, data):
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    content = end.join([*lines, ""]).encode()
    if lines and lines[-1] and data.draw(st.booleans()):
        content = content.removesuffix(end.encode())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)))))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    batches = read_in(pieces)
    assert [line for batch in batches for line in batch] == lines
    assert all(batches)


def test_lines_that_are_there_do_not_wait_for_others():
    pieces = [b"\xef\xbb\xbfa\nb\nc", b"d\n", b"\xef\xbb\xbfe", b""]
    with mock.patch("os.read", side_effect=pieces) as read:
        lines = waiting_lines(0)
        assert next(lines) == ["a", "b"]
        assert read.call_count == 1
        assert next(lines) == ["cd"]
        assert read.call_count == 2
        assert list(lines) == [["\ufeffe"]]


def test_a_file_comes_in_batches_of_thousands(tmp_path):
    (tmp_path / "long").write_bytes(b"line\n" * 10_000)
    with open(tmp_path / "long", "rb") as file:
        assert list(map(len, waiting_lines(file.fileno()))) == [4096, 4096, 1808]


@pytest.mark.parametrize("pieces", [[b"a\nb\n\xffc\nd\n"], [b"a\nb", b"\n", b"\xff"]])
def test_a_bad_byte_names_its_line_after_those_before_it(pieces):
    with mock.patch("os.read", side_effect=[*pieces, b""]):
        batches = waiting_lines(0)
        given = []
        with pytest.raises(CannotRun, match=r"standard input, line 3: expected UTF-8, got the byte 0xff"):
            given.extend(line for batch in batches for line in batch)
    assert given == ["a", "b"]

"""`bench stream`: its bars, the text it writes, and, exhaustively, a small run for real."""

from dataclasses import replace

import pytest

from jaxbackprop.bench import CannotBench, Streaming, stream
from jaxbackprop.bench._stream import write_text
from jaxbackprop.data import read_conll

FOUND = Streaming(
    words=(1000, 10_000),
    tokenized_per_second=(5.0, 6.0),
    tokenizing_bytes=(1, 2),
    in_memory=[100.0, 110.0, 90.0],
    streamed=([100.0, 100.0, 100.0], [95.0, 99.0, 60.0]),
    tables=(10_000_000, 20_000_000),
    anonymous=(410_000_000, 421_000_000),
    files=(100_000_000, 150_000_000),
    start=90_000_000,
    busy=False,
)


def test_what_is_found_is_judged():
    assert FOUND.ratios[1] == [0.95, 0.9, pytest.approx(0.667, abs=1e-3)]
    assert FOUND.growth == pytest.approx(401 / 400 - 1)
    assert FOUND.beyond_tables == 551_000_000
    assert FOUND.met
    said = "\n".join(FOUND.lines())
    assert "streamed: 95 steps a second, 0.900 of those in memory (0.667 to 0.950)" in said
    assert "missed" not in said
    assert FOUND.to_dict()["met"]


@pytest.mark.parametrize(
    ("changes", "bar"),
    [
        ({"files": (0, 1_700_000_000)}, "below 2 GB beyond the tables"),
        ({"in_memory": [106.0, 111.0, 90.0]}, "at 0.9 of the speed in memory"),
        ({"anonymous": (410_000_000, 470_000_000)}, "growth below 10%"),
    ],
)
def test_each_bar_can_be_missed(changes, bar):
    found = replace(FOUND, **changes)
    assert [name for name, met in found.bars.items() if not met] == [bar]
    assert not found.met
    assert f"{bar}: missed" in found.lines()


def test_the_text_is_what_it_is_said_to_be(tmp_path):
    pattern = write_text(tmp_path / "text", 3000, shards=3, seed=0)
    assert pattern == str(tmp_path / "text" / "*.conll")
    files = [read_conll(path) for path in sorted((tmp_path / "text").iterdir())]
    assert [sum(len(sentence.words) for sentence in sentences) for sentences in files] == [1000] * 3
    words = [word for sentence in files[0] for word in sentence.words]
    assert words.count("w0ord") > words.count("wbord") > 0
    assert 10 < len(words) / len(files[0]) < 40


@pytest.mark.parametrize(
    ("tokens", "rounds", "message"),
    [(99_999, 1, "--tokens must be at least 100,000"), (100_000, 0, "--rounds must be at least 1, not 0")],
)
def test_numbers_that_are_too_small(tokens, rounds, message):
    with pytest.raises(CannotBench, match=message):
        stream(tokens, rounds, print)


@pytest.mark.exhaustive
def test_a_small_run_for_real():
    said = []
    found = stream(100_000, 2, said.append)
    assert found.words == (10_000, 100_000)
    assert [len(rates) for rates in (found.in_memory, *found.streamed)] == [2, 2, 2]
    assert found.beyond_tables < 2e9
    assert len(said) == 2

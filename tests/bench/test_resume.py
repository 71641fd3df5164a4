"""Runs that are killed: here a few; `jaxbackprop bench resume` kills fifty."""

import json

import pytest

from jaxbackprop.bench import CannotBench, Kills, _resume, resume


@pytest.mark.exhaustive
def test_a_run_killed_at_any_moment_comes_to_the_same_bits():
    found = resume(2, 3, lambda line: None)
    assert found.met, found.lines()


def test_what_went_wrong_is_said_and_is_no_success():
    kill = _resume.Kill
    found = Kills(
        (kill(1.0, None, None, True), kill(2.0, "running", None, True), kill(3.0, "running", 7, False))
    )
    assert not found.met
    lines = found.lines()
    assert lines[0] == "3 runs killed (SIGKILL) and resumed"
    assert [line.split()[0] for line in lines[1:4]] == ["1", "1", "1"]
    assert lines[-1] == "  at 3.00 s: other bits"
    assert json.loads(json.dumps(found.to_dict()))["met"] is False


@pytest.mark.exhaustive
def test_other_bits_are_noticed(tmp_path, monkeypatch):
    """A run that is resumed with other parameters is not equal."""
    parameters = iter("ab")
    monkeypatch.setattr(_resume, "_parameters", lambda run: next(parameters))
    assert not resume(1, 0, lambda line: None).met


def test_there_must_be_a_kill():
    with pytest.raises(CannotBench, match="--kills must be at least 1, not 0"):
        resume(0, 0, print)

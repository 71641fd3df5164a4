"""`jaxbackprop predict`: entities in a flag's text or standard input, and what is no text."""

import io
import json
import os
import sys

import pytest

from tests.commands.process import assert_one_line_error, command


@pytest.fixture
def typed(monkeypatch):
    """Bytes on standard input."""
    return lambda content: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_entities_are_marked_in_text(cli, trained):
    status, stdout, stderr = cli("predict", trained[0], "--text", "Anna met us in New Oslo.")
    assert (status, stderr) == (0, "")
    assert stdout == "[Anna](person) met us in [New Oslo](place) .\n"


def test_a_run_of_tags_marks_each_word(cli, tagging):
    run = tagging[0] / "run"
    assert cli("predict", run, "--text", "the dog ran.") == (0, "the/DT dog/NN ran/VBD ./.\n", "")
    _, stdout, _ = cli("predict", run, "--text", "the dog", "--json")
    assert json.loads(stdout) == {"words": ["the", "dog"], "tags": ["DT", "NN"]}


def test_each_line_of_standard_input_is_answered_with_one(cli, trained, typed):
    out, _ = trained
    text = "Otto met us.\n\nin New Rome."
    status, stdout, stderr = command("predict", out, text=text)
    assert (status, stderr) == (0, "")
    assert stdout.splitlines() == ["[Otto](person) met us .", "", "in [New Rome](place) ."]
    typed(text.encode())
    status, stdout, _ = cli("predict", out, "--json", "--pretokenized")
    assert [json.loads(line) for line in stdout.splitlines()] == [
        {
            "words": ["Otto", "met", "us."],
            "tags": ["B-person", "O", "O"],
            "entities": [{"type": "person", "start": 0, "end": 1, "text": "Otto"}],
        },
        {"words": [], "tags": [], "entities": []},
        {
            "words": ["in", "New", "Rome."],
            "tags": ["O", "B-place", "I-place"],
            "entities": [{"type": "place", "start": 1, "end": 3, "text": "New Rome."}],
        },
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--text", "  "], "--text is empty"),
        (["nowhere", "--text", "a"], "nowhere does not exist"),
        ([".", "--text", "a"], "is no run folder: it has no manifest.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests_are_one_line(cli, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(cli("predict", *arguments), message)


def test_no_text_is_an_error(cli, trained, typed):
    for content in (b"", b"\n \n"):
        typed(content)
        assert_one_line_error(cli("predict", trained[0]), "standard input holds no word")


def test_text_that_is_not_utf8_is_an_error(cli, trained, tmp_path, typed):
    latin = "Anna met Zoë\n".encode("latin-1")
    typed(latin)
    assert_one_line_error(cli("predict", trained[0]), "standard input is not UTF-8")
    # As a shell hands it over, whatever the locale.
    (tmp_path / "latin-1.txt").write_bytes(latin)
    with open(tmp_path / "latin-1.txt", "rb") as file:
        assert_one_line_error(command("predict", trained[0], stdin=file), "standard input is not UTF-8")
    result = cli("predict", trained[0], "--text", os.fsdecode(b"Zo\xeb"))
    assert_one_line_error(result, "--text is not UTF-8")

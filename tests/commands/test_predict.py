"""`jaxbackprop predict`: entities in a flag's text or standard input, and what is no text."""

import contextlib
import json
import os
import subprocess
import sys
import threading

import pytest

from tests.commands.process import assert_one_line_error, command, start


@pytest.fixture
def typed(monkeypatch, tmp_path):
    """Bytes on standard input."""
    path = tmp_path / "standard input"

    def type_(content):
        path.write_bytes(content)
        monkeypatch.setattr(sys, "stdin", opened.enter_context(open(path)))

    with contextlib.ExitStack() as opened:
        yield type_


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


def test_a_process_that_waits_for_its_answer_gets_it(trained):
    with start("predict", trained[0], stdin=subprocess.PIPE) as process:
        # Without an answer there would be no end to the waiting.
        patience = threading.Timer(120, process.kill)
        patience.start()
        for asked, answer in (
            ("Anna met us.\n", "[Anna](person) met us ."),
            ("\n", ""),
            ("in New Rome.\r\n", "in [New Rome](place) ."),
        ):
            process.stdin.write(asked)
            process.stdin.flush()
            assert process.stdout.readline() == answer + "\n"
        # The third line is there while the fourth has only begun.
        process.stdin.write("Ida\nOt")
        process.stdin.flush()
        assert process.stdout.readline() == "[Ida](person)\n"
        stdout, stderr = process.communicate("to", timeout=120)
        patience.cancel()
    assert (process.returncode, stdout, stderr) == (0, "[Otto](person)\n", "")


def test_lines_before_a_bad_byte_are_answered(cli, trained, typed):
    typed(b"Anna\n\nOtto met us\n" + "Zoë\nIda\n".encode("latin-1"))
    status, stdout, stderr = cli("predict", trained[0])
    assert stdout == "[Anna](person)\n\n[Otto](person) met us\n"
    message = "standard input, line 4: expected UTF-8, got the byte 0xeb"
    assert_one_line_error((status, stdout, stderr), message)


def test_a_no_break_space_does_not_split_what_is_split_already(cli, trained, typed):
    typed("Anna\u00a0B. met\u2028us\u3000in\u0085\n".encode())
    _, stdout, _ = cli("predict", trained[0], "--json", "--pretokenized")
    assert json.loads(stdout)["words"] == ["Anna\u00a0B.", "met\u2028us\u3000in\u0085"]


def test_text_that_is_not_utf8_is_an_error(cli, trained, tmp_path):
    # As a shell hands it over, whatever the locale.
    (tmp_path / "latin-1.txt").write_bytes("Anna met Zoë\n".encode("latin-1"))
    with open(tmp_path / "latin-1.txt", "rb") as file:
        assert_one_line_error(
            command("predict", trained[0], stdin=file), "standard input, line 1: expected UTF-8"
        )
    result = cli("predict", trained[0], "--text", os.fsdecode(b"Zo\xeb"))
    assert_one_line_error(result, "--text is not UTF-8")

"""`jaxbackprop data`: what files hold, in 40 columns."""

import json

import pytest

from tests.commands.process import assert_one_line_error


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.txt").write_text(
        "Anna B-person\nmet O\n\nus O\nOslo B-place-of-some-very-long-name\n\n" * 3
    )
    (tmp_path / "dev.txt").write_text("Anna B-person\nmet O\n\nMax I-place-of-some-very-long-name\n")
    (tmp_path / "vectors.txt").write_text("anna 1 2\nmet 3 4\nus 5 6\n")
    return tmp_path


def test_it_shows_files_beside_each_other(cli, folder):
    status, stdout, stderr = cli("data", "train.txt", "dev.txt", "--vectors", "vectors.txt")
    assert (status, stderr) == (0, "")
    rows = {line[:24].strip(): line[24:].split() for line in stdout.splitlines() if line[24:].strip()}
    assert rows["sentences"] == ["6", "2"]
    assert rows["in 1 too"] == ["-", "1"]
    assert rows["words"] == ["12", "3"]
    assert rows["no vector"] == ["25.0%", "33.3%"]
    assert rows["impossible"] == ["0", "1"]
    assert rows["person"] == ["3", "1"]
    lines = stdout.splitlines()
    assert "scheme IOB2" in lines
    assert "  2:1 = 1:1" in lines
    at = lines.index("  place-of-some-very-long-name")
    assert lines[at + 1].split() == ["3", "1"]
    at = lines.index("impossible sequences (file:line)")
    assert lines[at + 1 :] == ["  2:4 I-place-of-some-very-long-name at", "    the start"]


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_it_is_no_wider_than_40_columns_for_any_number_of_files(cli, folder, count):
    status, stdout, _ = cli("data", *["train.txt"] * count, "--vectors", "random")
    assert status == 0
    assert max(map(len, stdout.splitlines())) <= 40
    assert "no vector" not in stdout
    assert stdout.isascii()
    assert stdout.count("sentences  ") == -(-count // 3)
    assert ("  and " in stdout) == (count > 1)


def test_tags_of_words_and_other_columns(cli, folder):
    (folder / "pos.txt").write_text("1 Anna NN\n2 met VB\n3 us NN\n")
    assert_one_line_error(cli("data", "pos.txt"), "pos.txt:1: .*--task tags --columns word=2,tag=3")
    flags = ("--task", "tags", "--columns", "word=2,tag=3", "--vectors", "random")
    status, stdout, _ = cli("data", "pos.txt", *flags)
    assert status == 0
    assert [line.split() for line in stdout.splitlines()[-3:]] == [["tags", "2"], ["NN", "2"], ["VB", "1"]]
    assert "scheme" not in stdout
    assert "columns word=2,tag=3" in stdout


def test_json_has_every_line(cli, folder):
    status, _, _ = cli("data", "train.txt", "dev.txt", "--vectors", "random", "--json", "found.json")
    assert status == 0
    found = json.loads((folder / "found.json").read_text())
    assert (found["task"], found["scheme"]) == ("spans", "IOB2")
    assert found["files"][1]["impossible"] == [[4, "I-place-of-some-very-long-name at the start"]]
    assert found["shared"] == [{"first": 0, "second": 1, "lines": [[1, 1]]}]


def test_without_the_extra_all_but_the_vectors_is_shown(cli, folder, monkeypatch):
    import importlib.metadata

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    status, stdout, stderr = cli("data", "train.txt")
    assert status == 0
    assert "sentences" in stdout
    assert stderr.startswith("jaxbackprop: warning: words without a vector are not counted: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: FILE"),
        (["nothing.txt"], r"nothing\.txt: cannot be read"),
        (["train.txt", "--vectors", "nothing.txt"], "nothing.txt"),
        (["train.txt", "--vectors", ""], "--vectors must be random, glove or a file, not empty"),
        (["train.txt", "--columns", "1,2"], "--columns must be such as word=2,tag=3"),
        (["train.txt", "--task", "tags", "--scheme", "BIO"], "--scheme is of entities"),
        (
            ["train.txt", "--json", "missing/found.json"],
            "--json missing/found.json: its folder does not exist",
        ),
    ],
)
def test_bad_requests_are_one_line(cli, folder, arguments, message):
    assert_one_line_error(cli("data", *arguments), message)

"""`jaxbackprop evaluate`: the scores of training again, what was wrong, and what is refused."""

import json
import shutil

import pytest

from tests.commands.process import assert_one_line_error, command


def test_it_repeats_the_test_table_in_a_new_process(corpus, trained):
    out, stdout = trained
    status, tables, stderr = command("evaluate", out, corpus / "test.txt")
    assert (status, stderr) == (0, "")
    scores, confusion, errors = tables.split("\n\n")
    assert scores.strip()
    assert scores in stdout
    assert [line.split() for line in confusion.splitlines()[1:]] == [
        ["person", "place"],
        ["person", "8", "0"],
        ["place", "0", "8"],
    ]
    assert errors == "no errors\n"


@pytest.fixture
def mistaken(tmp_path):
    """A file whose tags differ from what the run predicts, in each way."""
    path = tmp_path / "mistaken.txt"
    path.write_text(
        "Anna B-place\nmet O\nus O\nin O\nNew O\nRome B-place\n. O\n\n"
        "Otto O\nmet B-person\nus O\nin O\nNew B-person\nOslo O\n. O\n"
    )
    return path


ERRORS = """\
error\tsentence\ttrue type\ttrue words\tpredicted type\tpredicted words\tcontext
wrong type\t1\tplace\tAnna\tperson\tAnna\t[{Anna}] met us in New Rome .
wrong boundary\t1\tplace\tRome\tplace\tNew Rome\tAnna met us in {New [Rome]} .
spurious\t2\t\t\tperson\tOtto\t{Otto} met us in New Oslo .
missed\t2\tperson\tmet\t\t\tOtto [met] us in New Oslo .
wrong type and boundary\t2\tperson\tNew\tplace\tNew Oslo\tOtto met us in {[New] Oslo} .
"""


def test_each_error_is_written_in_its_sentence(cli, trained, mistaken, tmp_path):
    status, stdout, stderr = cli("evaluate", trained[0], mistaken, "--errors", tmp_path / "errors.tsv")
    assert (status, stderr) == (0, "")
    assert (tmp_path / "errors.tsv").read_text(encoding="utf-8") == ERRORS
    _, confusion, count = stdout.split("\n\n")
    assert [line.split() for line in confusion.splitlines()[1:]] == [
        ["person", "place", "none"],
        ["person", "0", "1", "1"],
        ["place", "1", "1", "0"],
        ["none", "1", "0", "0"],
    ]
    kinds = [line.split("\t")[0] for line in ERRORS.splitlines()[1:]]
    assert count == "; ".join(f"1 {kind}" for kind in kinds) + "\n"


def test_json_goes_to_a_file_or_in_place_of_the_tables_to_standard_output(cli, trained, mistaken, tmp_path):
    _, tables, _ = cli("evaluate", trained[0], mistaken, "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert figures.keys() == {"scores", "confusion", "errors"}
    assert figures["scores"]["micro avg"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "count": 4}
    assert {"true": None, "predicted": "person", "count": 1} in figures["confusion"]
    assert [error["error"] for error in figures["errors"]] == [
        line.split("\t")[0] for line in ERRORS.splitlines()[1:]
    ]
    assert "micro avg" in tables
    _, stdout, _ = cli("evaluate", trained[0], mistaken, "--json", "-")
    assert json.loads(stdout) == figures
    assert cli("evaluate", trained[0], mistaken, "--errors", "-") == (0, ERRORS, "")


def test_a_run_of_tags_repeats_its_table_and_knows_no_scheme(cli, tagging, tmp_path):
    folder, stdout = tagging
    status, tables, stderr = cli("evaluate", folder / "run", folder / "train.txt")
    assert (status, stderr) == (0, "")
    table, confusion, errors = tables.split("\n\n")
    assert table.strip()
    assert table in stdout
    assert confusion.startswith("true tags down, predicted across:\n")
    assert errors == "no errors\n"
    (tmp_path / "other.txt").write_text("the\tDT\ndog\tVBD\n.\t.\n")
    _, lines, _ = cli("evaluate", folder / "run", tmp_path / "other.txt", "--errors", "-")
    assert lines.splitlines() == [
        "error\tsentence\ttrue tag\ttrue words\tpredicted tag\tpredicted words\tcontext",
        "wrong tag\t1\tVBD\tdog\tNN\tdog\tthe [{dog}] .",
    ]
    result = cli("evaluate", folder / "run", folder / "train.txt", "--scheme", "BIO")
    assert_one_line_error(result, "--scheme is of entities: this run's task is tags")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: RUN, FILE"),
        (["nowhere", "nothing.txt"], "nowhere does not exist"),
        (["nowhere", "nothing.txt", "--errors", "no/e.tsv"], "--errors no/e.tsv: its folder does not exist"),
        (
            ["nowhere", "nothing.txt", "--errors", "e", "--json", "./e"],
            "--errors and --json name the same file",
        ),
    ],
    ids=["nothing", "nowhere", "folder", "one file"],
)
def test_bad_requests_are_one_line(cli, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(cli("evaluate", *arguments), message)


def test_a_missing_file_is_refused(cli, trained, tmp_path):
    assert_one_line_error(
        cli("evaluate", trained[0], tmp_path / "nothing.txt"), r"nothing\.txt: cannot be read"
    )


def test_other_columns_and_schemes_are_read_if_they_are_said(cli, corpus, trained, tmp_path):
    lines = (corpus / "test.txt").read_text().splitlines()
    numbered = [
        f"7 {word} {tag[2:] or 'O'}" if line else ""
        for line in lines
        for word, _, tag in [line.partition(" ")]
    ]
    (tmp_path / "test.txt").write_text("\n".join(numbered))
    assert_one_line_error(cli("evaluate", trained[0], tmp_path / "test.txt"), "--columns word=2,tag=3")
    flags = ("--columns", "word=2,tag=3", "--scheme", "IO")
    told = cli("evaluate", trained[0], tmp_path / "test.txt", *flags)
    assert told == cli("evaluate", trained[0], corpus / "test.txt")


def test_types_that_training_lacks_are_told_and_a_file_of_them_alone_is_refused(cli, trained, tmp_path):
    (tmp_path / "test.txt").write_text("Anna B-person\nmet O\nR2 B-robot\n")
    status, _, stderr = cli("evaluate", trained[0], tmp_path / "test.txt")
    assert status == 0
    assert stderr == (
        f"jaxbackprop: warning: {tmp_path}/test.txt: entity types that training lacks, and that"
        " count as missed: robot\n"
    )
    (tmp_path / "test.txt").write_text("Anna B-PERSON\nmet O\n")
    result = cli("evaluate", trained[0], tmp_path / "test.txt")
    assert_one_line_error(result, "expected entity types of .*, person, place, got PERSON alone")


def test_a_damaged_run_is_refused(cli, corpus, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    data = max(
        (path for path in (run / "checkpoint").rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 4
    data.write_bytes(content)
    for arguments in (["evaluate", run, corpus / "test.txt"], ["predict", run, "--text", "a"]):
        assert_one_line_error(cli(*arguments), f"{data.name} has changed since it was written: its sha256")
    data.unlink()
    assert_one_line_error(cli("predict", run, "--text", "a"), f"{data.name} is missing")

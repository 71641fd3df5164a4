"""`jaxbackprop evaluate`: the scores of training again, and what is refused."""

import shutil

import pytest

from tests.commands.process import assert_one_line_error, command


def test_it_repeats_the_test_table_in_a_new_process(corpus, trained):
    out, stdout = trained
    status, table, stderr = command("evaluate", out, corpus / "test.txt")
    assert (status, stderr) == (0, "")
    assert table.strip()
    assert table in stdout


def test_a_run_of_tags_repeats_its_table_and_knows_no_scheme(cli, tagging):
    folder, stdout = tagging
    status, table, stderr = cli("evaluate", folder / "run", folder / "train.txt")
    assert (status, stderr) == (0, "")
    assert table.strip()
    assert table in stdout
    result = cli("evaluate", folder / "run", folder / "train.txt", "--scheme", "BIO")
    assert_one_line_error(result, "--scheme is of entities: this run's task is tags")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "required: RUN, FILE"), (["nowhere", "nothing.txt"], "nowhere does not exist")],
    ids=["nothing", "nowhere"],
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

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "required: RUN, FILE"), (["nowhere", "nothing.txt"], "nothing.txt")],
    ids=["nothing", "nothing.txt"],
)
def test_bad_requests_are_one_line(cli, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(cli("evaluate", *arguments), message)


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

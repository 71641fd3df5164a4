"""`jaxbackprop lecture`: claims measured, judged, shown and written."""

import json

import pytest

from jaxbackprop.lecture import CLAIMS, Result
from tests.commands.process import assert_one_line_error
from tests.lecture.figures import FIGURES, TINY


@pytest.fixture
def measured(monkeypatch):
    """Every claim has been measured: by odd ones it holds, by even ones not."""

    def measure(claims, effort, *, again, say, warn):
        for number, claim in enumerate(claims):
            say(claim, "")
            figures = FIGURES[claim.name][number % 2]
            yield Result(claim, figures, claim.judge(figures), 0.5)

    monkeypatch.setattr("jaxbackprop.lecture.measure", measure)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_unit_two_end_to_end(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxbackprop.lecture.QUICK", TINY)
    arguments = ("lecture", "--unit", "2", "--quick")
    files = ("--markdown", tmp_path / "table.md", "--json", tmp_path / "figures.json")
    status, stdout, stderr = cli(*arguments, *files)
    assert (status, stderr) == (0, "")
    lines = stdout.splitlines()
    assert "Unit 2 | Computation Graphs and Backpropagation" in lines
    assert "Unit 1" not in stdout
    found = json.loads((tmp_path / "figures.json").read_text())
    assert [each["unit"] for each in found["claims"]] == [2] * 4
    for each in found["claims"]:
        (line,) = (line for line in lines if each["statement"] in line)
        assert line.startswith(each["verdict"])
        assert each["statement"] in (tmp_path / "table.md").read_text()
        assert any(each["figure"] in line for line in lines)

    status, again, _ = cli(*arguments)
    assert again.splitlines()[:-1] == lines[:-1]
    assert again.splitlines()[-1].endswith("4 of them measured before")


def test_claims_that_do_not_hold_are_no_error(cli, measured):
    status, stdout, stderr = cli("lecture")
    assert (status, stderr) == (0, "")
    for claim in CLAIMS:
        assert claim.statement in stdout
        assert claim.measured_by in stdout
    assert sum(line.startswith("Unit ") for line in stdout.splitlines()) == 3
    assert f"{len(CLAIMS)} claims: " in stdout


def test_it_fits_eighty_columns(measured, monkeypatch, capsys):
    from rich.console import Console

    from jaxbackprop.commands import _lecture, main

    console = Console(
        highlight=False, markup=False, emoji=False, width=80, force_terminal=True, color_system=None
    )
    monkeypatch.setattr(_lecture, "make_console", lambda: console)
    assert main(["lecture"]) == 0
    lines = capsys.readouterr().out.splitlines()
    words = " ".join(" ".join(lines).split())
    for claim in CLAIMS:
        assert claim.statement.split()[-1] in words


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--unit", "4"), "--unit.*4"),
        (("--unit", "one"), "--unit.*one"),
        (("--markdown", "no/such/folder/table.md"), "--markdown .*: its folder does not exist"),
        (("--json", "."), "--json .: it is a folder"),
        (("--markdown", "same", "--json", "same"), "--markdown and --json name the same file"),
        (("now",), "now"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_measured(cli, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jaxbackprop.lecture.measure", None)
    assert_one_line_error(cli("lecture", *arguments), said)
    assert list(tmp_path.iterdir()) == []

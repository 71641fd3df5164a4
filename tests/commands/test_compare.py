"""`jaxbackprop compare`: a table that fits, a figure, the figures as JSON, and bad requests in one line."""

import io
import json

import matplotlib.image
import pytest
from rich.console import Console

from jaxbackprop.commands import _compare
from jaxbackprop.train import read_compared
from tests.commands.process import assert_one_line_error, files
from tests.train.runs import make_run, make_seeds


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "a", speed=1234.5)
    make_run(tmp_path / "b", ends="failed", epochs=9, optimizer="sgd", tune_vectors=False)
    make_seeds(tmp_path / "c", [{}, {"test": 0.75}], 2, clip_norm=1e28, epochs=3)
    return ["a", "b", "c"]


def test_figures_stand_beside_one_another_then_the_settings_that_differ(cli, runs):
    status, stdout, stderr = cli("compare", *runs)
    assert (status, stderr) == (0, "")
    assert stdout.splitlines() == [
        "1  a",
        "   finished, 3 epochs",
        "2  b",
        "   failed, 3 of 9 epochs: the loss is",
        "   nan at step 7",
        "3  c",
        "   finished, 2 seeds",
        "",
        "run   epoch  dev F1  test F1  steps/s",
        "1         2  0.3000   0.2500    1,234",
        "2         2  0.3000        -        -",
        "3         -  0.3000   0.5000      100",
        " +/-      -  0.0000   0.3536        0",
        "",
        "settings that differ",
        "  --tune-vectors",
        "    1, 3  true",
        "    2     false",
        "  --optimizer",
        "    1, 3  adam",
        "    2     sgd",
        "  --clip-norm",
        "    1-2  none",
        "    3    1e+28",
        "  --epochs",
        "    1, 3  3",
        "    2     9",
        "  --seed",
        "    1-2  0",
        "    3    0 to 1",
    ]
    assert max(map(len, stdout.splitlines())) <= 40


def test_a_trained_run_can_be_compared(cli, trained):
    status, stdout, stderr = cli("compare", trained[0])
    assert (status, stderr) == (0, "")
    results = json.loads((trained[0] / "results.json").read_text())
    row = stdout.splitlines()[-1].split()
    assert row[:2] == ["1", str(results["best_epoch"])]
    assert row[3:] == [f"{results['test']['micro avg']['f1']:.4f}", f"{results['steps_per_second']:,.0f}"]


def test_accuracies_fit_too_and_what_does_not_compare_is_said(cli, runs, tmp_path):
    make_run(tmp_path / "tags", train="x", dev="y", task="tags", speed=99_999.0)
    status, stdout, stderr = cli("compare", "tags")
    assert (status, stderr) == (0, "")
    assert "run  epoch  dev acc  test acc  steps/s" in stdout
    status, stdout, stderr = cli("compare", "a", "tags")
    assert (status, stderr) == (
        0,
        "jaxbackprop: warning: scores do not compare: some runs are scored by F1, others by accuracy\n",
    )
    assert "run  epoch     dev    test  steps/s" in stdout
    assert max(map(len, stdout.splitlines())) <= 40


@pytest.mark.parametrize("task", ["spans", "tags"])
def test_the_table_of_a_terminal_fits_40_columns(tmp_path, task):
    files = {"train": "x", "dev": "y", "task": task}
    path = make_seeds(tmp_path / "out", [{"speed": 99_999.0}, {"speed": 10.0}], 2, **files)
    console = Console(file=io.StringIO(), width=40, force_terminal=True, color_system=None)
    console.print(_compare._table([read_compared(path)], ruled=True))
    lines = console.file.getvalue().splitlines()
    assert any(line.split() == ["1", "-", "0.3000", "0.2500", "50,004"] for line in lines)


def test_the_picture_and_the_figures_are_written(cli, runs):
    status, _, stderr = cli("compare", *runs, "--plot", "c.png", "--json", "c.json")
    assert (status, stderr) == (0, "")
    assert matplotlib.image.imread("c.png").ndim == 3
    with open("c.json") as file:
        found = json.load(file)
    assert [run["run"] for run in found["runs"]] == runs
    assert [run["dev"] for run in found["runs"]] == [0.3, 0.3, 0.3]
    assert found["runs"][1]["why"] == "the loss is nan at step 7"
    assert found["runs"][2]["deviations"]["test"] == pytest.approx(0.5 / 2**0.5)
    assert found["settings_that_differ"]["optimizer"] == ["adam", "sgd", "adam"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: RUN"),
        (["nowhere"], "nowhere does not exist"),
        (["."], r"\. is no run folder: it has no manifest.json"),
        (["a", "--plot", "c.txt"], "--plot c.txt: its name must end in .png, .svg, .pdf"),
        (["a", "--plot", "no/c.png"], "--plot no/c.png: its folder does not exist"),
        (["a", "--json", "c.png", "--plot", "c.png"], "name the same file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests_are_one_line(cli, runs, tmp_path, arguments, message):
    before = files(tmp_path)
    assert_one_line_error(cli("compare", *arguments), message)
    assert files(tmp_path) == before

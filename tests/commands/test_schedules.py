"""`jaxbackprop schedules`: every schedule is there, with the rates that its flags give."""

import pytest

from jaxbackprop.train import CYCLIC_MODES, SCHEDULES
from tests.commands.process import assert_one_line_error, files


def table(out):
    header, *rows = (line for line in out.splitlines() if not line.startswith("wrote"))
    assert header.split() == ["schedule", "first", "highest", "lowest", "last"]
    return {row.rsplit(maxsplit=4)[0].strip(): [float(n) for n in row.split()[-4:]] for row in rows}


def test_each_schedule_is_drawn_and_its_rates_are_told(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = ("--lr", 0.1, "--epochs", 10, "--cycle-epochs", 4, "--steps-per-epoch", 10, "--gamma", 0.99)
    status, out, err = cli("schedules", *told, "--min-lr", 0.01, "--plateau-patience", 0)
    assert (status, err, out.splitlines()[-1]) == (0, "", "wrote schedules.png")
    assert files(tmp_path) == ["schedules.png"]
    rows = table(out)
    assert {name.split(",")[0] for name in rows} == set(SCHEDULES)
    assert {name.split(", ")[1] for name in rows if name.startswith("cyclic")} == set(CYCLIC_MODES)
    assert rows["halving"] == [0.1, 0.1, 0.05, 0.05]
    # The last update of the tenth epoch is one before the peak.
    assert rows["cyclic, triangular"] == [0.005, 0.1, 0.005, 0.0952]
    assert rows["cyclic, exp_range"][1] == pytest.approx(0.005 + 0.095 * 0.99**20, rel=0.01)
    (plateau,) = (row for name, row in rows.items() if name.startswith("plateau"))
    assert plateau == [0.1, 0.1, 0.01, 0.01]


def test_warm_up_and_momentum_are_drawn_too(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    momentum = ("--optimizer", "momentum", "--momentum", 0.95, "--base-momentum", 0.85)
    status, out, _ = cli("schedules", *momentum, "--warmup-epochs", 1, "--out", "mine.svg")
    assert status == 0
    assert files(tmp_path) == ["mine.svg"]
    assert {row[0] for row in table(out).values()} == {0.0}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--steps-per-epoch", "0"], "--steps-per-epoch must be from 1 to 1000000, not 0"),
        (["--out", "picture.txt"], r"--out picture.txt: its name must end in \.png"),
        (["--out", "missing/a.png"], "--out missing/a.png: its folder does not exist"),
        (["--base-momentum", "0.8"], "--base-momentum needs"),
        (["--warmup-epochs", "20"], r"--warmup-epochs must be below --epochs \(16\), not 20"),
        (["--base-lr", "1"], r"--base-lr must be at most --lr \(0.004\), not 1"),
        (["--schedule", "cosine"], "unrecognized arguments: --schedule"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests_are_one_line(cli, flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(cli("schedules", *flags), message)
    assert files(tmp_path) == []

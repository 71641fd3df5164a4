"""`jaxbackprop lr-find`: what it prints and writes, what it refuses, and that it leaves nothing else."""

import json
import re

import pytest

from tests.commands.process import assert_one_line_error, files


@pytest.fixture
def data(training):
    """The flags of data and model, without those that are of no account here."""
    told = dict(zip(training[::2], training[1::2], strict=True))
    names = ("--train", "--dev", "--vectors", "--word-dim", "--hidden", "--affix-dim", "--window")
    return [part for name in names for part in (name, told[name])]


def test_it_suggests_rates_and_writes_the_picture_and_the_figures_alone(cli, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = ("--steps", 60, "--lr-from", 1e-4, "--lr-to", 30, "--plot", "rates.png", "--json", "rates.json")
    more = (
        "--dtype",
        "bfloat16",
        "--batch-norm",
        "--activation",
        "prelu",
        "--init",
        "he",
        "--clip-norm",
        "5",
        "--dropout",
        "0",
    )
    status, out, err = cli("lr-find", *data, *more, *told)
    assert (status, err) == (0, "")
    assert files(tmp_path) == ["rates.json", "rates.png"]
    found = json.loads((tmp_path / "rates.json").read_text())
    lines = out.splitlines()
    diverged = ", where the loss diverged" if found["diverged"] else ""
    last = f"{found['rates'][-1]:.2g}"
    assert lines[1] == f"{len(found['losses'])} updates, learning rates from 0.0001 to {last}{diverged}"
    assert lines[2] == f"suggested: --base-lr {found['base']:.2g} --lr {found['peak']:.2g}"
    assert lines[3:] == ["wrote rates.png", "wrote rates.json"]
    assert 1e-4 <= found["base"] < found["peak"] < 30
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")


def test_settings_of_a_file_count_and_flags_win_over_them(cli, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("optimizer = 'sgd'\nseed = 3\nbatch_size = 16\n")
    told = ("--steps", 20, "--json", "-".join(("rates", "json")) + ".json")
    losses = []
    for more in (["--config", "mine.toml"], ["--optimizer", "sgd", "--seed", 3, "--batch-size", 16], []):
        status, _, _ = cli("lr-find", *data, *more, *told)
        assert status == 0
        losses.append(json.loads((tmp_path / "rates-json.json").read_text())["losses"])
    assert losses[0] == losses[1] != losses[2]


def test_a_loss_that_still_falls_is_said(cli, data):
    status, out, err = cli("lr-find", *data, "--steps", 100, "--lr-from", 1e-3, "--lr-to", 1e-2)
    assert status == 0
    assert "suggested" in out
    assert re.fullmatch(r"jaxbackprop: warning: the loss still falls at 0.01: .*--lr-to.*\n", err)


def test_a_loss_that_does_not_fall_suggests_nothing(cli, data):
    status, out, _ = cli("lr-find", *data, "--steps", 20, "--lr-from", 1e-9, "--lr-to", 2e-9)
    assert status == 0
    assert out.splitlines()[-1] == "the loss did not fall: there is nothing to suggest"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--lr-from", "0"], r"--lr-from must be above 0 and at most 1e\+30, not 0"),
        (["--lr-to", "nan"], "--lr-to must be above 0 .*, not nan"),
        (["--lr-from", "2", "--lr-to", "1"], r"--lr-to must be above --lr-from \(2\), not 1"),
        (["--steps", "3"], "--steps must be from 20 to 1000000, not 3"),
        (["--plot", "rates.txt"], r"--plot rates.txt: its name must end in \.png, \.svg, \.pdf"),
        (["--plot", "a.png", "--json", "a.png"], "--plot and --json name the same file"),
        (["--json", "missing/a.json"], "--json missing/a.json: its folder does not exist"),
        (["--lr", "1"], "unrecognized arguments: --lr 1"),
        (["--dropout", "2"], "--dropout must be below 1"),
        (["--train", "nothing.txt", "--dev", "nothing.txt"], "nothing.txt"),
        (["--config", "nothing.toml"], "nothing.toml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests_are_one_line(cli, flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(cli("lr-find", *flags), message)
    assert files(tmp_path) == []

"""`jaxbackprop bench`: its flags, and what is refused before anything runs."""

import json
import re

import jax.numpy as jnp
import pytest

from jaxbackprop.bench import _check, _report, _wild
from jaxbackprop.bench._wild_rules import Ask, Wild
from tests.bench.stand_in import replace_benchmarks
from tests.commands.process import assert_one_line_error


@pytest.fixture
def quick(monkeypatch):
    """Benchmarks that measure nothing; what ran, in order."""
    return replace_benchmarks(monkeypatch)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rows", "--plot", "growth.gif"], "--plot growth.gif: the name must end in .png, .svg, .pdf"),
        (["--plot", "growth"], "--plot growth: the name must end in"),
        (["rows", "--plot", "no/where/growth.png"], "--plot no/where/growth.png: its folder does not exist"),
        (["rows", "--json", "no/where/rows.json"], "--json no/where/rows.json: its folder does not exist"),
        (["--json", "."], "--json .: it is a folder"),
        (["ops", "--json", "x.png", "--plot", "x.png"], "--json and --plot name the same file, x.png"),
        (["columns"], "invalid choice: 'columns'"),
        (["--json", "x.json", "ner"], "bench ner takes no --json"),
        (["--plot", "x.png", "graph"], "bench graph takes no --plot"),
        (["stream", "--tokens", "10"], "--tokens must be at least 100,000, not 10"),
        (["stream", "--json", "no/where/rows.json"], "--json no/where/rows.json: its folder does not exist"),
    ],
)
def test_bad_requests_are_one_line_before_anything_runs(
    quick, cli, arguments, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = cli("bench", *arguments)
    assert_one_line_error(result, re.escape(message))
    assert result[1] == ""
    assert quick == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_refuses_files_is_told_before_anything_runs(quick, cli, tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_report.tempfile, "TemporaryFile", refuse)
    assert_one_line_error(
        cli("bench", "rows", "--json", tmp_path / "rows.json"), "rows.json: Permission denied"
    )
    assert quick == []


@pytest.mark.parametrize("order", [["--json", "FILE", "rows"], ["rows", "--json", "FILE"]])
def test_flags_stand_before_the_name_or_after_it(quick, cli, order, tmp_path):
    path = tmp_path / "rows.json"
    status, out, _ = cli("bench", *(path if word == "FILE" else word for word in order))
    assert status == 0
    assert len(json.loads(path.read_text())) == 3
    assert quick == ["rows"]
    assert "optax dense" in out


def test_the_command_without_a_name_runs_all(quick, cli):
    assert cli("bench")[0] == 0
    assert quick == ["rows", "head", "rnn", "ops", "check of 24", "train", "startup"]


def test_without_a_checkout_check_says_where_its_rules_are(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_check, "CORPUS", "tests.check.no_corpus")
    assert_one_line_error(
        cli("bench", "check", "--corpus", "tests.check.no_corpus"),
        "cannot import tests.check.no_corpus: .*; it is in a checkout of the repository: run there",
    )
    status, _, err = cli("bench", "check", "--corpus", "nowhere")
    assert (status, err) == (2, "jaxbackprop: error: cannot import nowhere: No module named 'nowhere'\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["ner", "--seeds", "0"], "--seeds must be at least 1, not 0"),
        (["ner", "--train", "a", "--dev", "b"], "--train needs --dev and --test"),
        (["graph", "--only", "swirls"], "--only swirls: the groups are "),
    ],
    ids=["seeds", "no test", "group"],
)
def test_what_a_measurement_refuses_is_one_line(cli, flags, message):
    assert_one_line_error(cli("bench", *flags), message)


def test_wild_writes_verdicts(cli, tmp_path, monkeypatch):
    relu = Wild("jax.nn", "relu", lambda nn: Ask(nn.relu, (jnp.asarray([1.0, -2.0]),)))
    monkeypatch.setattr(_wild.wild, "__defaults__", ((relu,),))
    status, out, _ = cli("bench", "wild", "--json", tmp_path / "wild.json")
    assert (status, out.splitlines()[-1]) == (0, "1 rules: 1 right, 0 not and explained, 0 not explained")
    (verdict,) = json.loads((tmp_path / "wild.json").read_text())["rules"]
    assert (verdict["rule"], verdict["said"]) == ("relu", "right")

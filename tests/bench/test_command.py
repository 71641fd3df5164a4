"""Benchmarks by name, one after another: what runs, what is told, and what the file holds."""

import io
import json
import types

import pytest
from rich.console import Console

from jaxbackprop.bench import _check, _command
from jaxbackprop.bench._command import NAMES, printing_once
from jaxbackprop.bench._report import CannotBench
from tests.bench.stand_in import benched, outcome, replace_benchmarks

KEYS = {"benchmark", "case", "peer", "ratio", "bar"}


@pytest.fixture
def quick(monkeypatch):
    """Benchmarks that measure nothing; what ran, in order."""
    return replace_benchmarks(monkeypatch)


def test_without_a_name_all_run_in_order_and_each_row_has_the_keys_of_the_format(quick, tmp_path):
    path = tmp_path / "rows.json"
    lines, shown = benched(json_path=str(path))
    assert quick == ["rows", "head", "rnn", "ops", "check of 24", "train", "startup"]
    assert json.loads(path.read_text()) == lines
    assert {line["benchmark"] for line in lines} == set(NAMES)
    for line in lines:
        assert set(line) >= KEYS
        assert {"ours_ms", "peer_ms"} <= set(line) or {"ours_bytes", "peer_bytes"} <= set(line)
        least, median, largest = line["ratio"]
        assert least <= median <= largest
    # Said once, by whichever finds it first.
    assert shown.count("torch is not installed") == 1
    assert "46.0 GB/s into an existing buffer, 440 GFLOP/s" in shown
    assert "6 of 12 bars met; missed: rows, V = 1,000,000, torch sparse; head" in shown
    assert "busy: others used the machine meanwhile" in shown


def test_torchs_own_product_stands_beside_ours_where_torch_is_a_peer(quick, monkeypatch):
    monkeypatch.setattr(_command, "torch_device", lambda say: "cpu")
    monkeypatch.setattr(_command, "torch_gemm", lambda device: 204e9)
    assert (
        "440 GFLOP/s in a product of two 2048 × 2048 matrices (float32); torch: 204 GFLOP/s\n"
        in (benched("rnn")[1])
    )
    assert "torch: " not in benched("ops")[1]


def test_a_name_runs_that_one(quick):
    lines, shown = benched("head")
    assert quick == ["head"]
    assert len(lines) == 3
    assert "head\n" in shown


def test_a_benchmark_that_fails_leaves_an_older_file_as_it_was(quick, tmp_path, monkeypatch):
    path = tmp_path / "rows.json"
    path.write_text("older")
    broken = types.SimpleNamespace(rnn=lambda limits, say: 1 / 0)
    before = _command._module
    monkeypatch.setattr(_command, "_module", lambda name: broken if name == "rnn" else before(name))
    with pytest.raises(ZeroDivisionError):
        benched(json_path=str(path))
    assert path.read_text() == "older"
    assert [file.name for file in tmp_path.iterdir()] == ["rows.json"]


def test_an_unknown_name_is_refused():
    with pytest.raises(CannotBench, match="no benchmark 'columns'; the benchmarks are rows, head, rnn, ops"):
        benched("columns")


def test_without_the_rules_of_the_repository_check_is_left_out(quick, monkeypatch):
    def check(*_, **__):
        raise CannotBench("cannot import tests.check.corpus: No module named 'tests'")

    monkeypatch.setattr(_check, "check", check)
    lines, shown = benched("check")
    assert lines == []
    assert "left out (cannot import tests.check.corpus" in shown


def test_what_checkers_found_becomes_rows(quick):
    lines, _ = benched("check")
    right, wrong, one_entry, *rules = lines
    assert (right["case"], right["peer"], right["ours_ms"], right["peer_ms"]) == (
        "1 right rules",
        "them",
        1e3,
        3e3,
    )
    assert (right["rules"], right["ours_alarms"], right["peer_alarms"]) == (1, 0, 1)
    assert (wrong["case"], wrong["ratio"], wrong["ours_alarms"], wrong["peer_alarms"]) == (
        "2 wrong rules",
        [0.5, 2.25, 4.0],
        2,
        1,
    )
    assert wrong["ours_first_three"] == 2
    assert (one_entry["case"], one_entry["ratio"]) == ("one entry of many: 1 % off", [40.0] * 3)
    assert [rule["case"] for rule in rules] == ["a/right", "a/sign", "b/sign"]
    assert rules[1]["ours_found"] == outcome(True, 2.0)
    assert rules[2] | {"mistakes": ["sign"], "wrong_arguments": [1], "bar": None} == rules[2]


def test_the_same_line_is_told_once():
    console = Console(file=io.StringIO(), width=200)
    say = printing_once(console)
    for line in ("a: b", "a: c", "a: b", "torch is not installed: x", "torch is not installed: y"):
        say(line)
    assert console.file.getvalue() == "a: b\na: c\ntorch is not installed: x\n"

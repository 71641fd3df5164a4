"""`jaxbackprop bench`: what runs, what is refused before anything runs, table, file and figure."""

import io
import json
import re
import types

import pytest
from rich.console import Console

from jaxbackprop.bench import _check, _command, _report
from jaxbackprop.bench._command import NAMES, Teller, run
from jaxbackprop.bench._machine import Limits
from jaxbackprop.bench._measure import Curve, Row, bytes_row
from jaxbackprop.bench._plot import _curves
from jaxbackprop.bench._report import CannotBench, quantity, summary, table_of
from jaxbackprop.commands import _main as cli

KEYS = {"benchmark", "case", "peer", "ratio", "bar"}
SVG_TEXT = re.compile(r"<!-- (.*?) -->")


def rows_of(name):
    return [
        Row(name, "V = 1,000,000", "optax dense", 2.46, 134.0, (50.0, 54.0, 60.0), 50.0, bound=1.3),
        Row(name, "V = 1,000,000", "torch sparse", 2.46, 4.2, (1.5, 1.7, 1.9), 2.0, crowd=1.0),
        bytes_row(name, "temporaries", "optax dense", 8_500_000, 400_000_000, None),
    ]


def curves_of(name):
    times = {"ours": [1.0, 2.0], "optax dense": [1.0, 100.0], "torch": [3.0, 6.0]}
    return [Curve(f"a step of {name}", "rows of the table, V", [10_000, 1_000_000], times)]


@pytest.fixture
def quick(monkeypatch):
    """Benchmarks that measure nothing; what ran, in order."""
    ran = []

    def module(name):
        def benchmark(limits, say):
            ran.append(name)
            assert limits == Limits(46e9, 440e9)
            say("torch is not installed: its rows are left out" if name == "rows" else f"{name} runs")
            if name == "head":
                say("torch is not installed: pip install torch")
            return rows_of(name)

        def curves(limits, say):
            ran.append(f"{name} curves")
            return curves_of(name)

        found = types.SimpleNamespace(**{name: benchmark})
        if name in ("rows", "head"):
            found.CURVES = curves
        return found

    def check(corpus, *, limit, console):
        ran.append(f"check of {limit}")
        return FOUND

    monkeypatch.setattr(_command, "_module", module)
    monkeypatch.setattr(_command, "limits", lambda: Limits(46e9, 440e9))
    monkeypatch.setattr(_command, "wait_until_idle", lambda say, patience: True)
    monkeypatch.setattr(_check, "check", check)
    return ran


def outcome(alarm, seconds):
    return {"alarm": alarm, "seconds": seconds, "said": ""}


def judged(case, mistakes, wrong_arguments, us, them):
    return {"case": case, "mistakes": mistakes, "wrong_arguments": wrong_arguments, "us": us, "them": them}


FOUND = {
    "checkers": {"us": {"arguments_exact": 2, "first_label": 1, "first_three": 2, "caught": 2}, "them": {}},
    "outcomes": [
        judged("a/right", [], [], outcome(False, 1.0), outcome(True, 3.0)),
        judged("a/sign", ["sign"], [0], outcome(True, 2.0), outcome(True, 1.0)),
        judged("b/sign", ["sign"], [1], outcome(True, 2.0), outcome(False, 8.0)),
    ],
    "one_entry": {"us": {"1 % off": outcome(True, 0.5)}, "them": {"1 % off": outcome(False, 20.0)}},
}


def benched(*names, **options):
    console = Console(file=io.StringIO(), width=200)
    lines = run(names or NAMES, console=console, **options)
    return lines, console.file.getvalue()


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


def test_the_table_has_everything_asked_for():
    console = Console(file=io.StringIO(), width=200)
    console.print(table_of(rows_of("rows")))
    _, _, dense, sparse, memory = console.file.getvalue().splitlines()
    assert re.match(r"V = 1,000,000 +optax dense +2.46 ms +134 ms +54 × \(50 to 60\) +≥ 50 met +53%", dense)
    assert re.match(r" +torch sparse +2.46 ms +4.2 ms +1.7 × \(1.5 to 1.9\)  busy +≥ 2 missed +-", sparse)
    assert re.match(r"temporaries +optax dense +8.5 MB +400 MB +47.1 × +-", memory)


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (1225.4, "ms", "1,225 ms"),
        (0.01234, "ms", "0.0123 ms"),
        (0, "bytes", "0 bytes"),
        (999, "bytes", "999 bytes"),
        (16_777_216, "bytes", "16.8 MB"),
        (4e9, "bytes", "4 GB"),
    ],
)
def test_quantities_have_three_digits(value, unit, said):
    assert quantity(value, unit) == said


def test_without_bars_nothing_is_met_or_missed():
    assert summary([bytes_row("x", "y", "z", 1, 1)]) == "no bar applies"


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_the_suffix_decides_the_format(quick, tmp_path, suffix):
    path = tmp_path / f"growth{suffix}"
    benched("rows", plot_path=str(path))
    begin = path.read_bytes()[:1000]
    marks = {".png": b"\x89PNG", ".svg": b"<svg", ".pdf": b"%PDF"}
    assert marks[suffix.lower()] in begin
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert quick == ["rows", "rows curves"]


def texts(path):
    """Of an SVG: matplotlib writes each text as a comment above its outlines."""
    return SVG_TEXT.findall(path.read_text())


def test_growth_has_labels_and_logarithmic_axes_and_ours_apart(quick, tmp_path):
    path = tmp_path / "growth.svg"
    benched(*NAMES, plot_path=str(path))
    written = texts(path)
    assert {"a step of rows", "a step of head", "milliseconds", "ours", "optax dense", "torch"} <= set(
        written
    )
    assert written.count("rows of the table, V") == 2
    assert {"10,000", "1,000,000"} <= set(written)

    (panel,) = _curves(curves_of("rows")).axes
    assert (panel.get_xscale(), panel.get_yscale()) == ("log", "log")
    ours, *others = panel.get_lines()
    looks = [(line.get_linestyle(), line.get_marker()) for line in (ours, *others)]
    assert len(set(looks)) == 3
    assert all(ours.get_linewidth() > line.get_linewidth() for line in others)


def test_more_than_one_of_ours_and_another_quantity():
    values = {"ours": [1.0, 2.0], "ours, recomputed": [1.0, 1.5], "jax.grad": [2.0, 4.0]}
    (panel,) = _curves([Curve("memory", "T", [1, 2], values, y_label="megabytes")]).axes
    ours, recomputed, peer = panel.get_lines()
    assert ours.get_color() == recomputed.get_color() != peer.get_color()
    assert len({(line.get_marker(), str(line.get_linestyle())) for line in (ours, recomputed, peer)}) == 3
    assert panel.get_ylabel() == "megabytes"


def test_where_nothing_grows_the_ratios_are_drawn_with_their_bars(quick, tmp_path):
    path = tmp_path / "ratios.svg"
    benched("train", plot_path=str(path))
    written = texts(path)
    assert "train: V = 1,000,000 / torch sparse" in written
    assert any(text.startswith("peer / ours") for text in written)
    assert quick == ["train"]


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
    ],
)
def test_bad_requests_are_one_line_before_anything_runs(
    quick, arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["bench", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("jaxbackprop: error: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err
    assert shown.out == ""
    assert quick == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_refuses_files_is_told_before_anything_runs(quick, tmp_path, monkeypatch, capsys):
    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_report.tempfile, "TemporaryFile", refuse)
    assert cli.main(["bench", "rows", "--json", str(tmp_path / "rows.json")]) == 2
    assert "rows.json: Permission denied" in capsys.readouterr().err
    assert quick == []


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


@pytest.mark.parametrize("order", [["--json", "FILE", "rows"], ["rows", "--json", "FILE"]])
def test_flags_stand_before_the_name_or_after_it(quick, order, tmp_path, capsys):
    path = tmp_path / "rows.json"
    assert cli.main(["bench", *(str(path) if word == "FILE" else word for word in order)]) == 0
    assert len(json.loads(path.read_text())) == 3
    assert quick == ["rows"]
    assert "optax dense" in capsys.readouterr().out


def test_the_command_without_a_name_runs_all(quick, capsys):
    assert cli.main(["bench"]) == 0
    assert quick == ["rows", "head", "rnn", "ops", "check of 24", "train", "startup"]


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
    say = Teller(console)
    for line in ("a: b", "a: c", "a: b", "torch is not installed: x", "torch is not installed: y"):
        say(line)
    assert console.file.getvalue() == "a: b\na: c\ntorch is not installed: x\n"

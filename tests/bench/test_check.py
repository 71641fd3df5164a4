"""The comparison of checkers, on a few rules."""

import dataclasses
import functools
import importlib.util
import io
import json
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from jaxbackprop.bench import _check
from jaxbackprop.bench._check_outcomes import Outcome, figures_of, first_labels
from jaxbackprop.bench._check_rows import json_rows
from jaxbackprop.bench._checkers import (
    CHECKERS,
    Failed,
    autograd_check_grads,
    chex_numerical_grads,
    jax_check_grads,
    ours,
    torch_gradcheck,
)
from jaxbackprop.bench._one_entry import OneEntry
from jaxbackprop.check import Finding, Report
from jaxbackprop.commands import _main as cli
from tests.check.corpus._case import Case


def product_rule(factor):
    @jax.custom_vjp
    def product(x, y):
        return x * y, x

    product.defvjp(
        lambda x, y: ((x * y, x), (x, y)),
        lambda kept, dy: (dy[0] * kept[1] + dy[1], factor * dy[0] * kept[0]),
    )
    return product


def case(name, factor=1.0, mistakes=(), dtype="float32"):
    args = np.asarray([0.5, -1.5, 2.0], dtype), np.asarray([1.5, 0.25, -1.0], dtype)
    return Case(name, product_rule(factor), lambda: args, mistakes, (1,) if mistakes else ())


RIGHT = case("gates/right")
WRONG = case("gates/factor", 2.0, ("constant factor",))


def missing(*packages):
    return [package for package in packages if importlib.util.find_spec(package) is None]


@pytest.mark.parametrize(
    ("check", "package"),
    [
        (functools.partial(ours, effort="quick"), "jax"),
        (jax_check_grads, "jax"),
        (chex_numerical_grads, "chex"),
        (functools.partial(torch_gradcheck, fast=False), "torch"),
        (functools.partial(torch_gradcheck, fast=True), "torch"),
        (autograd_check_grads, "autograd"),
    ],
    ids=["ours", "jax", "chex", "torch", "torch fast", "autograd"],
)
def test_each_checker_passes_a_right_rule_and_finds_a_wrong_one(check, package):
    pytest.importorskip(package)
    check(RIGHT)
    with pytest.raises(Exception, match=r"(?i)wrong|not equal|jacobian|derivative"):
        check(case("gates/factor", 7.0, ("constant factor",)))


@pytest.mark.parametrize(
    ("check", "package"),
    [(functools.partial(torch_gradcheck, fast=False), "torch"), (autograd_check_grads, "autograd")],
    ids=["torch", "autograd"],
)
def test_those_that_want_float64_get_it(check, package):
    pytest.importorskip(package)
    check(case("gates/right", dtype="bfloat16"))


def test_our_report_goes_with_the_verdict():
    assert ours(RIGHT).ok
    with pytest.raises(Failed) as caught:
        ours(WRONG, effort="quick")
    assert caught.value.report.wrong_arguments == (1,)


def _of_8_rows(finder, entry):
    finder(dataclasses.replace(entry, size=8))


def stumbles(case):
    raise TypeError("no such thing")


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A corpus of three cases in two families, and one entry among a few."""
    (tmp_path / "some_cases.py").write_text(
        "import dataclasses\nfrom tests.bench.test_check import RIGHT, WRONG\n"
        "CASES = (RIGHT, WRONG, dataclasses.replace(WRONG, name='others/factor'))\n"
    )
    monkeypatch.chdir(tmp_path)
    quick = functools.partial(ours, effort="quick")
    us, *peers = CHECKERS
    monkeypatch.setattr(_check, "CHECKERS", (dataclasses.replace(us, check=quick), *peers))
    finders = {name: functools.partial(_of_8_rows, finder) for name, finder in _check.FINDERS.items()}
    monkeypatch.setattr(_check, "FINDERS", finders)
    monkeypatch.setattr(_check, "RULES", {"right": 1.0, "sign flipped": -1.0})
    return "some_cases"


def run(corpus, **options):
    shown = io.StringIO()
    result = _check.check(corpus, console=Console(file=shown, width=200, markup=False), **options)
    return result, shown.getvalue()


def test_the_figures_and_the_table(corpus, tmp_path):
    result, shown = run(corpus, json_path="figures.json")
    us = result["checkers"]["jaxbackprop check_vjp"]
    assert (us["caught"], us["wrong"], us["false_alarms"], us["right"]) == (2, 2, 0, 1)
    assert us["arguments_exact"] == us["first_label"] == us["first_three"] == 2
    assert us["seconds_right"] > 0 < us["seconds_wrong"]
    jaxs = result["checkers"]["jax.test_util.check_grads"]
    assert (jaxs["caught"], jaxs["false_alarms"], jaxs["missed"]) == (2, 0, [])
    lines = json.loads((tmp_path / "figures.json").read_text())
    assert lines == json.loads(json.dumps(json_rows(result)))
    kinds = ["1 right rules", "2 wrong rules", "one entry of many: right", "one entry of many: sign flipped"]
    assert [line["case"] for line in lines if line["peer"] == "jax.test_util.check_grads"] == [
        *kinds,
        "gates/right",
        "gates/factor",
        "others/factor",
    ]
    for line in lines:
        assert (line["benchmark"], line["bar"]) == ("check", None)
        assert line["ours_ms"] > 0 < line["peer_ms"]
        assert len(line["ratio"]) == 3
    assert re.search(r"1/3  passed +\d+\.\d s  \d of \d others  gates/right", shown)
    assert re.search(r"3/3  caught .*  others/factor", shown)
    assert re.search(r"jaxbackprop check_vjp +2 +0 +2 \(100%\) +2 \(100%\) +2 \(100%\) ", shown)
    assert re.search(r"jaxbackprop check_vjp +passed, \d.* s +found, \d.* s", shown)
    for package, name in (("torch", "torch gradcheck"), ("autograd", "autograd check_grads")):
        assert (name in result["not_installed"]) == bool(missing(package))
        assert len(re.findall(rf"{name} +not installed", shown)) == 2 * len(missing(package))


@pytest.fixture
def no_work(monkeypatch):
    """The first checker passes all and the second stumbles over all."""
    us, peer = CHECKERS[:2]
    passes = dataclasses.replace(us, check=lambda case: None)
    monkeypatch.setattr(_check, "CHECKERS", (passes, dataclasses.replace(peer, check=stumbles)))
    monkeypatch.setattr(_check, "FINDERS", {})
    return us.name, peer.name


def test_a_checker_that_stumbles_has_not_passed_the_rule(corpus, no_work):
    us, peer = no_work
    result, shown = run(corpus, only=["gates"])
    figures = result["checkers"]
    assert (figures[us]["caught"], figures[us]["missed"], figures[us]["alarmed"]) == (0, ["gates/factor"], [])
    assert (figures[peer]["caught"], figures[peer]["alarmed"]) == (1, ["gates/right"])
    assert result["outcomes"][0][peer]["said"] == "TypeError: no such thing"
    assert re.search(r"1/2  passed .* 0 of 1 others  gates/right\n *2/2  MISSED .* 1 of 1 others", shown)


def test_families_and_limits_shorten_the_corpus(corpus, no_work):
    result, _ = run(corpus, only=["others"])
    assert [outcome["case"] for outcome in result["outcomes"]] == ["others/factor"]
    result, _ = run(corpus, limit=2)
    assert [outcome["case"] for outcome in result["outcomes"]] == ["gates/right", "gates/factor"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"corpus": "no_cases_here"}, "cannot import no_cases_here"),
        ({"corpus": "json"}, "--corpus json has no CASES"),
        ({"only": ["gates", "swirls"]}, "--only swirls: the corpus has gates, others"),
        ({"limit": 0}, "--limit must be at least 1, not 0"),
    ],
)
def test_bad_requests_are_named(corpus, options, said):
    with pytest.raises(ValueError, match=said):
        run(**{"corpus": corpus} | options)


def test_the_command_says_in_one_line_what_is_amiss(tmp_path):
    command = [sys.executable, "-m", "jaxbackprop", "bench", "check", "--corpus"]
    done = subprocess.run([*command, "nowhere"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "jaxbackprop: error: cannot import nowhere: No module named 'nowhere'\n"
    done = subprocess.run(
        [*command, "json", "--json", "no/where"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stderr == "jaxbackprop: error: --json no/where: its folder does not exist\n"


def test_the_command_refuses_a_figure_of_no_known_kind(corpus, capsys):
    assert cli.main(["bench", "check", "--corpus", corpus, "--plot", "times.txt"]) == 2
    assert capsys.readouterr().err == (
        "jaxbackprop: error: --plot times.txt: the name must end in .png, .svg, .pdf\n"
    )


def test_the_times_are_drawn(corpus, no_work, tmp_path):
    run(corpus, only=["gates"], plot_path="times.svg")
    assert "check: 1 wrong rules / jax.test_util.check_grads" in (tmp_path / "times.svg").read_text()


def test_a_diagnosis_is_judged_by_the_most_serious_finding_that_has_one():
    findings = (
        Finding("structure", "no label"),
        Finding("value", "x", mistakes=("sign", "wrong mask", "missing term", "padding")),
        Finding("value", "y", mistakes=("detached",)),
    )
    report = Report("f", findings, (), 1)
    assert first_labels(report) == ("sign", "wrong mask", "missing term", "padding")
    assert first_labels(Report("f", (), (), 1)) == ()

    def figures(*mistakes):
        found = figures_of([case("a/b", mistakes=mistakes)], [Outcome(True, 1.0, "wrong", report)])
        return found["first_label"], found["first_three"]

    assert figures("sign") == (1, 1)
    assert figures("missing factor", "sign") == (1, 1)
    # Another name for the same, but in one direction.
    assert figures("wrong winner") == (0, 1)
    assert figures("diagonal only") == (0, 1)
    assert figures("padding") == (0, 0)


@pytest.mark.parametrize("factor", [1.0, 1.01, -1.0])
def test_one_entry_alone_is_multiplied(factor):
    entry = OneEntry(factor, size=6)
    u, W, x = entry.args
    got = np.asarray(jax.grad(entry.op, 1)(u, W, x))
    want = np.asarray(jax.grad(lambda W: u @ jnp.tanh(W @ x))(W))
    ratio = got / want
    assert ratio[3, 2] == pytest.approx(factor, rel=1e-5)
    ratio[3, 2] = 1
    np.testing.assert_allclose(ratio, 1, rtol=1e-5)

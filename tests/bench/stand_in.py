"""Benchmarks that measure nothing, in place of those that take minutes."""

import io
import types

from rich.console import Console

from jaxbackprop.bench import _check, _command
from jaxbackprop.bench._command import NAMES, run
from jaxbackprop.bench._machine import Limits
from jaxbackprop.bench._measure import Curve, Row, bytes_row


def rows_of(name):
    return [
        Row(name, "V = 1,000,000", "optax dense", 2.46, 134.0, (50.0, 54.0, 60.0), 50.0, bound=1.3),
        Row(name, "V = 1,000,000", "torch sparse", 2.46, 4.2, (1.5, 1.7, 1.9), 2.0, background=1.0),
        bytes_row(name, "temporaries", "optax dense", 8_500_000, 400_000_000, None),
    ]


def curves_of(name):
    times = {"ours": [1.0, 2.0], "optax dense": [1.0, 100.0], "torch": [3.0, 6.0]}
    return [Curve(f"a step of {name}", "rows of the table, V", [10_000, 1_000_000], times)]


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


def replace_benchmarks(monkeypatch):
    """Puts stand-ins in the place of all benchmarks; what ran, in order."""
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
            found.curves = curves
        return found

    def check(corpus, *, limit, console):
        ran.append(f"check of {limit}")
        return FOUND

    monkeypatch.setattr(_command, "_module", module)
    monkeypatch.setattr(_command, "limits", lambda: Limits(46e9, 440e9))
    monkeypatch.setattr(_command, "wait_until_idle", lambda say, patience: True)
    monkeypatch.setattr(_check, "check", check)
    return ran


def benched(*names, **options):
    """The rows, and what was shown."""
    console = Console(file=io.StringIO(), width=200)
    lines = run(names or NAMES, console=console, **options)
    return lines, console.file.getvalue()

"""`jaxbackprop bench check`: how many wrong rules each checker catches, with how many false alarms."""

from __future__ import annotations

import collections
import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from jaxbackprop._errors import CannotRun
from jaxbackprop._imports import import_module, importable_from_here
from jaxbackprop._output import write_json
from jaxbackprop.check import Report
from jaxbackprop.diagnose import Mistake

from ._check_rows import json_rows, rows_of
from ._checkers import CHECKERS, Case, Checker, Failed
from ._one_entry import FINDERS, RULES, OneEntry
from ._plot import write_plot
from ._report import CannotBench, refuse_bad_paths

# The labelled rules of this repository's tests, which no wheel holds.
CORPUS = "tests.check.corpus"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a checker says of a case.

    Attributes:
        alarm: whether it did not pass it.
        seconds: how long that took, compilation included.
        said: the first line of its error.
        report: ours alone has one.
    """

    alarm: bool
    seconds: float
    said: str = ""
    report: Report | None = None


def check(
    corpus: str,
    *,
    only: Sequence[str] = (),
    limit: int | None = None,
    json_path: str | None = None,
    plot_path: str | None = None,
    console: Console,
) -> dict[str, Any]:
    """Runs every installed checker on every case of a corpus, and on one wrong entry among 262,144.

    Args:
        corpus: name of a module with CASES, as tests.check.corpus; the current directory is importable.
        only: families: what a case's name begins with, up to its first slash. None: all.
        limit: at most so many cases, spread evenly over the corpus.
        json_path: file for the figures and every outcome, written whole or not at all; see `json_rows`.
        plot_path: file for a picture of the times, beside ours.
        console: where progress and results are shown.

    Returns:
        The figures.

    Raises:
        CannotBench: where there is no such corpus or family, limit is below 1, or plot_path has a bad suffix.
        OSError: where a file cannot be written.
    """
    refuse_bad_paths(json_path, plot_path)
    cases = _cases(corpus, only, limit)
    present = [checker for checker in CHECKERS if checker.installed]
    outcomes: dict[str, list[Outcome]] = {checker.name: [] for checker in present}
    for number, case in enumerate(cases, 1):
        for checker in present:
            outcomes[checker.name].append(_outcome(partial(checker.check, case)))
        console.print(
            _line(number, len(cases), case, [outcomes[c.name][-1] for c in present]), soft_wrap=True
        )
    figures = {checker.name: _figures(cases, outcomes[checker.name]) for checker in present}
    console.print()
    console.print(_table(CHECKERS, figures, cases))
    for row in figures.values():
        if shares := row.get("named_by"):
            console.print("first labels from: " + ", ".join(f"{stage} {n}" for stage, n in shares.items()))
    console.print("\ns = uᵀ tanh(Wx), W 512 × 512, one entry of dW wrong (ours: quick effort)")
    found = {name: _one_entry(finder) for name, finder in FINDERS.items() if name in outcomes}
    console.print(_one_entry_table(found))
    result = {
        "corpus": corpus,
        "cases": len(cases),
        "checkers": figures,
        "not_installed": [checker.name for checker in CHECKERS if not checker.installed],
        "outcomes": [
            {
                "case": case.name,
                "mistakes": list(case.mistakes),
                "wrong_arguments": list(case.wrong_arguments),
                **{name: _plain(column[i]) for name, column in outcomes.items()},
            }
            for i, case in enumerate(cases)
        ],
        "one_entry": {name: {rule: _plain(o) for rule, o in row.items()} for name, row in found.items()},
    }
    if json_path is not None:
        write_json(json_path, json_rows(result))
    if plot_path is not None:
        write_plot(plot_path, (), rows_of(result), f"{len(cases)} rules of {corpus}, jax {jax.__version__}")
    return result


def _cases(corpus: str, only: Sequence[str], limit: int | None) -> list[Case]:
    if limit is not None and limit < 1:
        raise CannotBench(f"--limit must be at least 1, not {limit}")
    with importable_from_here():
        try:
            module = import_module(corpus)
        except CannotRun as error:
            where = "; it is in a checkout of the repository: run there, or name another --corpus"
            raise CannotBench(f"{error}{where if corpus == CORPUS else ''}") from None
        cases: list[Case] = list(getattr(module, "CASES", ()))
    if not cases:
        raise CannotBench(f"--corpus {corpus} has no CASES")
    families = dict.fromkeys(case.name.partition("/")[0] for case in cases)
    if unknown := set(only) - set(families):
        raise CannotBench(f"--only {min(unknown)}: the corpus has {', '.join(families)}")
    if only:
        cases = [case for case in cases if case.name.partition("/")[0] in only]
    if limit is not None and limit < len(cases):
        cases = [cases[i * len(cases) // limit] for i in range(limit)]
    return cases


def _outcome(judge: Callable[[], object]) -> Outcome:
    # Each pays for its own compilation.
    jax.clear_caches()
    began = time.perf_counter()
    report, said = None, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = judge()
        alarm, report = False, answer if isinstance(answer, Report) else None
    except Failed as error:
        alarm, report, said = True, error.report, "wrong"
    # A checker that cannot go through with a rule has not passed it.
    except Exception as error:
        alarm, said = True, f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    return Outcome(alarm, time.perf_counter() - began, said, report)


def _one_entry(checker: Callable[[Any], object]) -> dict[str, Outcome]:
    return {name: _outcome(partial(checker, OneEntry(factor))) for name, factor in RULES.items()}


def first_labels(report: Report) -> tuple[str, ...]:
    """The labels of a report, likeliest first: those of its most serious finding that has some."""
    return next((finding.mistakes for finding in report.findings if finding.mistakes), ())


def named_by(report: Report) -> str:
    """What named a report's first label."""
    return next((finding.named_by for finding in report.findings if finding.mistakes), "nothing")


def accepted(case: Case) -> set[str]:
    """The labels that name a case's mistake."""
    return set(case.mistakes).union(*(m.neighbours for m in Mistake if m in case.mistakes))


def _figures(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    pairs = list(zip(cases, outcomes, strict=True))
    right = [(case, outcome) for case, outcome in pairs if not case.mistakes]
    wrong = [(case, outcome) for case, outcome in pairs if case.mistakes]
    figures: dict[str, Any] = {
        "wrong": len(wrong),
        "caught": sum(outcome.alarm for _, outcome in wrong),
        "right": len(right),
        "false_alarms": sum(outcome.alarm for _, outcome in right),
        "seconds_right": _mean([outcome.seconds for _, outcome in right]),
        "seconds_wrong": _mean([outcome.seconds for _, outcome in wrong]),
        "missed": [case.name for case, outcome in wrong if not outcome.alarm],
        "alarmed": [case.name for case, outcome in right if outcome.alarm],
    }
    reports = [(case, outcome.report) for case, outcome in wrong if outcome.report is not None]
    if reports:
        named = [(accepted(case), first_labels(report)) for case, report in reports]
        figures |= {
            "arguments_exact": sum(
                set(report.wrong_arguments) == set(case.wrong_arguments) for case, report in reports
            ),
            "first_label": sum(bool(right & set(labels[:1])) for right, labels in named),
            "first_three": sum(bool(right & set(labels[:3])) for right, labels in named),
            "named_by": dict(collections.Counter(named_by(report) for _, report in reports).most_common()),
        }
    return figures


def _mean(seconds: list[float]) -> float | None:
    return sum(seconds) / len(seconds) if seconds else None


def _line(number: int, count: int, case: Case, outcomes: Sequence[Outcome]) -> str:
    """A case's line: what is so, what ours says, and how many others agree with the truth."""
    wrong = bool(case.mistakes)
    us, *others = outcomes
    verdict = {(True, True): "caught", (True, False): "MISSED", (False, False): "passed"}.get(
        (wrong, us.alarm), "FALSE ALARM"
    )
    agree = f"{sum(outcome.alarm == wrong for outcome in others)} of {len(others)} others"
    return f"{number:4d}/{count}  {verdict:<11}  {us.seconds:5.1f} s  {agree}  {case.name}"


def _table(checkers: Sequence[Checker], figures: dict[str, dict[str, Any]], cases: Sequence[Case]) -> Table:
    wrong = sum(bool(case.mistakes) for case in cases)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("\nchecker", no_wrap=True)
    for name in (
        f"caught\nof {wrong} wrong",
        f"false alarms\nof {len(cases) - wrong} right",
        "arguments\nexact",
        "first\nlabel",
        "first\nthree",
        "seconds\nright",
        "seconds\nwrong",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for checker in checkers:
        row = figures.get(checker.name)
        if row is None:
            table.add_row(checker.name, "not installed")
            continue
        named = [
            f"{row[key]} ({row[key] / row['wrong']:.0%})" if key in row else "-"
            for key in ("arguments_exact", "first_label", "first_three")
        ]
        seconds = [
            "-" if row[key] is None else f"{row[key]:.2f}" for key in ("seconds_right", "seconds_wrong")
        ]
        table.add_row(checker.name, str(row["caught"]), str(row["false_alarms"]), *named, *seconds)
    return table


def _one_entry_table(found: dict[str, dict[str, Outcome]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("checker", no_wrap=True)
    for rule in RULES:
        table.add_column(rule, justify="right", no_wrap=True)
    for checker in CHECKERS:
        row = found.get(checker.name)
        if row is None:
            table.add_row(checker.name, "not installed")
            continue
        cells = []
        for rule, outcome in row.items():
            words = ("passed", "false alarm") if rule == "right" else ("missed", "found")
            cells.append(f"{words[outcome.alarm]}, {outcome.seconds:.2f} s")
        table.add_row(checker.name, *cells)
    return table


def _plain(outcome: Outcome) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "alarm": outcome.alarm,
        "seconds": round(outcome.seconds, 3),
        "said": outcome.said,
    }
    if outcome.report is not None:
        plain |= {
            "wrong_arguments": list(outcome.report.wrong_arguments),
            "labels": list(first_labels(outcome.report)),
        }
    return plain

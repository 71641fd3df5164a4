"""What `bench check` shows: a line a rule, and tables of all checkers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from ._check_outcomes import Outcome
from ._checkers import Case, Checker


def line_of(number: int, count: int, case: Case, outcomes: Sequence[Outcome]) -> str:
    """A case's line: what is so, what ours says, and how many others agree with the truth."""
    wrong = bool(case.mistakes)
    us, *others = outcomes
    verdict = {(True, True): "caught", (True, False): "MISSED", (False, False): "passed"}.get(
        (wrong, us.alarm), "FALSE ALARM"
    )
    agree = f"{sum(outcome.alarm == wrong for outcome in others)} of {len(others)} others"
    return f"{number:4d}/{count}  {verdict:<11}  {us.seconds:5.1f} s  {agree}  {case.name}"


def table_of_checkers(
    checkers: Sequence[Checker], figures: Mapping[str, Mapping[str, Any]], cases: Sequence[Case]
) -> Table:
    """A line a checker: what it caught and passed, what it named, how long it took."""
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


def table_of_one_entry(
    checkers: Sequence[Checker], rules: Sequence[str], found: Mapping[str, Mapping[str, Outcome]]
) -> Table:
    """A line a checker: whether it found one wrong entry among many, by rule."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("checker", no_wrap=True)
    for rule in rules:
        table.add_column(rule, justify="right", no_wrap=True)
    for checker in checkers:
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

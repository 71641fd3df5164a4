"""What checkers say of rules, and how often they are right."""

from __future__ import annotations

import collections
import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax

from jaxbackprop.check import Report
from jaxbackprop.diagnose import Mistake

from ._checkers import Case, Failed


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a checker says of a case.

    Attributes:
        alarm: whether it did not pass it.
        seconds: how long that took, compilation included.
        said: the first line of its error.
        report: of our harness; None of any other checker.
    """

    alarm: bool
    seconds: float
    said: str = ""
    report: Report | None = None


def outcome_of(judge: Callable[[], object]) -> Outcome:
    """What comes of judging a rule: a `Report`, anything else, or an exception."""
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


def first_labels(report: Report) -> tuple[str, ...]:
    """The labels of a report, likeliest first: those of its most serious finding that has some."""
    return next((finding.mistakes for finding in report.findings if finding.mistakes), ())


def named_by(report: Report) -> str:
    """What named a report's first label."""
    return next((finding.named_by for finding in report.findings if finding.mistakes), "nothing")


def accepted(case: Case) -> set[str]:
    """The labels that name a case's mistake."""
    return set(case.mistakes).union(*(m.neighbours for m in Mistake if m in case.mistakes))


def figures_of(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How many wrong and right rules a checker caught and passed; and what our harness named."""
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


def as_json(outcome: Outcome) -> dict[str, Any]:
    """As JSON holds it."""
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

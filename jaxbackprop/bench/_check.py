"""`jaxbackprop bench check`: how many wrong rules each checker catches, with how many false alarms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from rich.console import Console

from jaxbackprop._errors import CannotRun
from jaxbackprop._imports import import_module, importable_from_here
from jaxbackprop._output import write_json

from ._check_outcomes import Outcome, as_json, figures_of, outcome_of
from ._check_rows import json_rows, rows_of
from ._check_table import line_of, table_of_checkers, table_of_one_entry
from ._checkers import CHECKERS, Case
from ._one_entry import FINDERS, RULES, OneEntry
from ._plot import write_plot
from ._report import CannotBench, refuse_bad_paths

# The labelled rules of this repository's tests, which no wheel holds.
CORPUS = "tests.check.corpus"


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
            outcomes[checker.name].append(outcome_of(partial(checker.check, case)))
        console.print(
            line_of(number, len(cases), case, [outcomes[c.name][-1] for c in present]), soft_wrap=True
        )
    figures = {checker.name: figures_of(cases, outcomes[checker.name]) for checker in present}
    console.print()
    console.print(table_of_checkers(CHECKERS, figures, cases))
    for row in figures.values():
        if shares := row.get("named_by"):
            console.print("first labels from: " + ", ".join(f"{stage} {n}" for stage, n in shares.items()))
    console.print("\ns = uᵀ tanh(Wx), W 512 × 512, one entry of dW wrong (ours: quick effort)")
    found = {name: _one_entry(finder) for name, finder in FINDERS.items() if name in outcomes}
    console.print(table_of_one_entry(CHECKERS, list(RULES), found))
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
                **{name: as_json(column[i]) for name, column in outcomes.items()},
            }
            for i, case in enumerate(cases)
        ],
        "one_entry": {name: {rule: as_json(o) for rule, o in row.items()} for name, row in found.items()},
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


def _one_entry(checker: Callable[[Any], object]) -> dict[str, Outcome]:
    return {name: outcome_of(partial(checker, OneEntry(factor))) for name, factor in RULES.items()}

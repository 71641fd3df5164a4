"""The command: measures, prints a table, writes the figures."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from jaxbackprop._output import print_whole, refuse_unwritable, write_json

from ._measure import DTYPES, measure
from ._result import AccuracyResult

_Row = tuple[str, str, str]


def run_accuracy(
    ops: list[str] | None = None,
    json_path: str | None = None,
    *,
    dense: int = 128,
    console: Console | None = None,
) -> int:
    """Measures, prints a table and returns the exit status: 0, or 1 where a gradient is worse than promised.

    Args:
        ops: names of operators; None for all.
        json_path: file for the same figures, written whole or not at all.
        dense: see `measure`.
        console: where to print; standard output unless told.

    Raises:
        CannotVerify: where an operator is unknown.
        OSError: where json_path cannot be written.
    """
    if json_path is not None:
        refuse_unwritable(json_path)
    console = console or Console()
    with console.status("measuring") as status:
        results = measure(
            ops,
            dense=dense,
            workers=os.cpu_count() or 1,
            progress=lambda name: status.update(f"measuring {name}"),
        )
    console.print(
        "largest/mean error in units in the last place, beside that of autodiff of the plain formula"
    )
    print_whole(console, _table(results))
    for result in results:
        for problem in result.problems:
            said = f"{_called(result)}, {result.of}, {result.dtype}: {problem}"
            said += f", worst at {result.worst}" if result.worst else ""
            console.print(said, markup=False, highlight=False)
    gradients = {_row(result) for result in results if result.of != "value"}
    worse = {_row(result) for result in results if not result.ok}
    count = len({result.operator for result in results})
    if json_path is not None:
        figures = {
            "operators": count,
            "gradients": len(gradients),
            "worse": len(worse),
            "results": [dataclasses.asdict(result) | {"ok": result.ok} for result in results],
        }
        write_json(json_path, figures)
    console.print(
        f"measured {count} operators, {len(gradients)} gradients: {len(worse)} worse",
        markup=False,
        highlight=False,
    )
    return 1 if worse else 0


def _row(result: AccuracyResult) -> _Row:
    return result.operator, result.way, result.of


def _called(result: AccuracyResult) -> str:
    return result.operator + (f"({result.way})" if result.way else "")


def _table(results: list[AccuracyResult]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("\noperator", no_wrap=True)
    table.add_column("\nof", no_wrap=True)
    for name in DTYPES:
        table.add_column(f"{name}\nours", justify="right", no_wrap=True)
        table.add_column("\nautodiff", justify="right", no_wrap=True)
    table.add_column("worst x\nin float32", justify="right", no_wrap=True)
    table.add_column("")
    previous = None
    for row in dict.fromkeys(map(_row, results)):
        here = [result for result in results if _row(result) == row]
        called = _called(here[0])
        by_dtype = {result.dtype: result for result in here}
        table.add_row(
            called if called != previous else "",
            here[0].of,
            *(figure for name in DTYPES for figure in _figures(by_dtype.get(name))),
            _worst_x(here),
            _verdict(here),
        )
        previous = called
    return table


def _figures(result: AccuracyResult | None) -> Iterable[str]:
    if result is None or not result.entries:
        return "-", "-"
    return (
        f"{_short(result.largest)}/{_short(result.mean)}",
        f"{_short(result.autodiff_largest)}/{_short(result.autodiff_mean)}",
    )


def _short(error: float) -> str:
    """Two digits: 0.31, 4.2, 17, 2e7."""
    if not math.isfinite(error):
        return str(error)
    if 0 < error < 0.005:
        return "0.00"
    if error >= 99.5:
        mantissa, exponent = f"{error:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return (
        f"{error:.0f}"
        if error == 0 or error >= 9.95
        else f"{error:.1f}"
        if error >= 0.995
        else f"{error:.2f}"
    )


def _worst_x(here: list[AccuracyResult]) -> str:
    worst = here[0].worst if here[0].dtype == DTYPES[0] else ""
    return f"{float(worst.removeprefix('x = ')):.4g}" if worst.startswith("x = ") else ""


def _verdict(here: list[AccuracyResult]) -> str:
    if not all(result.ok for result in here):
        return "[bold red]WORSE[/]"
    return "" if here[0].of == "value" else "[green]ok[/]"

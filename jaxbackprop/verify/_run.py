"""The command: verifies, prints a table, writes the figures."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from jaxbackprop._output import print_whole, refuse_unwritable, write_json

from ._operators import verify
from ._result import GradientResult


def run(
    ops: list[str] | None = None,
    reference: str | None = None,
    json_path: str | None = None,
    *,
    effort: str = "quick",
    console: Console | None = None,
) -> int:
    """Verifies, prints a table and returns the command's exit status: 0, or 1 where a gradient is wrong.

    Args:
        ops: names of operators; None for all.
        reference: see `verify`.
        json_path: file for the same figures, written whole or not at all.
        effort: see `verify`.
        console: where to print; standard output unless told.

    Raises:
        CannotVerify: where `verify` raises it.
        OSError: where json_path cannot be written.
    """
    return _reported(
        lambda: verify(ops, reference, effort=effort, workers=os.cpu_count() or 1),
        "operators",
        json_path,
        console or Console(),
    )


def run_graph(
    rules: list[str] | None = None,
    json_path: str | None = None,
    *,
    effort: str = "quick",
    console: Console | None = None,
) -> int:
    """As `run`, for the rules of the graph: the local gradients of JAX's primitives.

    Args:
        rules: names of primitives; None for all that have a rule.
        json_path: see `run`.
        effort: see `verify`.
        console: see `run`.

    Raises:
        CannotVerify: where a primitive has no rule.
        OSError: where json_path cannot be written.
    """
    from ._graph import verify_rules

    return _reported(
        lambda: verify_rules(rules, effort=effort, workers=os.cpu_count() or 1),
        "rules",
        json_path,
        console or Console(),
    )


def _reported(
    measure: Callable[[], list[GradientResult]], what: str, json_path: str | None, console: Console
) -> int:
    if json_path is not None:
        refuse_unwritable(json_path)
    results = measure()
    print_whole(console, _table(results))
    for result in results:
        for problem in result.problems:
            console.print(f"{result.operator}, {result.argument}: {problem}", markup=False, highlight=False)
    wrong = sum(not result.ok for result in results)
    count = len({result.operator for result in results})
    if json_path is not None:
        write_json(json_path, _figures(results, what, count, wrong))
    console.print(
        f"verified {count} {what}, {len(results)} gradients: {wrong} wrong", markup=False, highlight=False
    )
    return 1 if wrong else 0


def _table(results: list[GradientResult]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("\noperator", no_wrap=True)
    table.add_column("\nargument", no_wrap=True)
    for name in (
        "float64\nulp",
        "float32\nulp",
        "differences\n± their error",
        "\nreference",
        "jit\nulp",
        "vmap\nulp",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("kept bytes\nours/autodiff", justify="right", no_wrap=True)
    table.add_column("")
    previous = None
    for result in results:
        first = result.operator != previous
        table.add_row(
            result.operator if first else "",
            result.argument,
            f"{result.float64_ulp:.1f}",
            f"{result.float32_ulp:.1f}",
            f"{result.differences:.0e} ± {result.differences_error:.0e}",
            "-" if result.reference is None else f"{result.reference:.0e}",
            f"{result.jit_ulp:.1f}",
            f"{result.vmap_ulp:.1f}",
            _kept(result) if first else "",
            "[green]right[/]" if result.ok else "[bold red]WRONG[/]",
        )
        previous = result.operator
    return table


def _kept(result: GradientResult) -> str:
    more = "more " if result.residual_bytes > result.autodiff_bytes else ""
    return f"{more}{result.residual_bytes}/{result.autodiff_bytes}"


def _figures(results: list[GradientResult], what: str, count: int, wrong: int) -> dict[str, Any]:
    return {
        what: count,
        "gradients": len(results),
        "wrong": wrong,
        "results": [dataclasses.asdict(result) | {"ok": result.ok} for result in results],
    }

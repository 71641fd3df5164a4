"""Rows as a table, and figures as files: whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from jaxbackprop._errors import CannotRun
from jaxbackprop._output import refuse_files

from ._measure import Row

SUFFIXES = (".png", ".svg", ".pdf")


class CannotBench(CannotRun, ValueError):
    """What was asked for cannot be measured or written."""


def refuse_bad_paths(json_path: str | None, plot_path: str | None) -> None:
    """Looks at where figures are to be written, before anything is measured.

    Raises:
        CannotBench: the plot's suffix is not one of `SUFFIXES`.
        OSError: a file cannot be written there, or both are the same.
    """
    if plot_path is not None:
        if Path(plot_path).suffix.lower() not in SUFFIXES:
            raise CannotBench(f"--plot {plot_path}: the name must end in {', '.join(SUFFIXES)}")
    files = (("--json", json_path), ("--plot", plot_path))
    refuse_files(files)
    for flag, path in files:
        if path is None:
            continue
        try:
            with tempfile.TemporaryFile(dir=Path(path).absolute().parent):
                pass
        except OSError as error:
            raise type(error)(f"{flag} {path}: {error.strerror or error}") from None


def table_of(rows: Sequence[Row]) -> Table:
    """A line a row: ours, the peer, their ratio with its spread, the bar and the share of the bound."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("\ncase", no_wrap=True)
    table.add_column("\npeer", no_wrap=True)
    for name in ("\nours", "\nthe peer", "peer / ours\nmedian (least to largest)"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("\nbar", no_wrap=True)
    table.add_column("of the\nbound", justify="right", no_wrap=True)
    previous = None
    for row in rows:
        table.add_row(
            row.case if row.case != previous else "",
            row.peer,
            quantity(row.ours, row.unit),
            quantity(row.other, row.unit),
            spread(row) + ("  busy" if row.disturbed else ""),
            _bar(row),
            "-" if row.share is None else f"{row.share:.0%}",
        )
        previous = row.case
    return table


def spread(row: Row) -> str:
    """The ratio, with its spread where it has one."""
    least, median, largest = map(_number, row.ratio)
    return f"{median} ×" if row.unit == "bytes" else f"{median} × ({least} to {largest})"


def quantity(value: float, unit: str) -> str:
    """Milliseconds or bytes with three digits that count."""
    if unit == "ms":
        return f"{_number(value)} ms"
    for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= size:
            return f"{_number(value / size)} {name}"
    return f"{value:.0f} bytes"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1e-3 or not value else "0.00"


def _bar(row: Row) -> Text:
    if row.met is None:
        return Text()
    return Text(f"≥ {row.bar:g} ").append(*(("met", "green") if row.met else ("missed", "bold red")))


def summary(rows: Sequence[Row]) -> str:
    """How many bars are met, and which are not."""
    barred = [row for row in rows if row.bar is not None]
    if not barred:
        return "no bar applies"
    missed = [f"{row.benchmark}, {row.case}, {row.peer}" for row in barred if not row.met]
    said = f"{len(barred) - len(missed)} of {len(barred)} bars met"
    return said + (f"; missed: {'; '.join(missed)}" if missed else "")

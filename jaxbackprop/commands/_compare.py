"""`jaxbackprop compare`."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxbackprop._output import print_whole, refuse_files, write_json, write_whole
from jaxbackprop.train import flag

from ._options import Commands, add_command, add_json
from ._output import make_console, refuse_no_picture, warn

if TYPE_CHECKING:
    from rich.table import Table

    from jaxbackprop.train import Compared

_WIDTH = 40


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "hold training runs beside one another, be they at their end or not"
    parser = add_command(commands, "compare", text, run)
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders, also those of --seeds")
    parser.add_argument("--plot", metavar="FILE", help="write losses and development scores as a picture")
    add_json(parser, "all figures and the settings that differ")


def run(arguments: argparse.Namespace) -> int:
    """Prints the runs, their figures and the settings in which they differ."""
    refuse_files([("--plot", arguments.plot), ("--json", arguments.json)])
    refuse_no_picture(arguments.plot)

    from jaxbackprop.train import differing, draw_comparison, not_comparable, read_compared

    runs = [read_compared(path) for path in arguments.runs]
    settings = differing(runs)
    for reason in not_comparable(runs):
        warn(f"scores do not compare: {reason}")
    console = make_console()
    for number, each in enumerate(runs, start=1):
        console.print(f"{number:<3}{each.path}", soft_wrap=True)
        for line in textwrap.wrap(each.standing, _WIDTH - 3, break_on_hyphens=False):
            console.print(f"   {line}", soft_wrap=True)
    console.print()
    print_whole(console, _table(runs, ruled=console.is_terminal), highlight=True)
    for line in _differences(settings):
        console.print(line, soft_wrap=True)
    if arguments.plot is not None:
        write_whole(arguments.plot, draw_comparison(runs).savefig, "--plot")
    if arguments.json is not None:
        figures = {"runs": [each.to_dict() for each in runs], "settings_that_differ": settings}
        write_json(arguments.json, figures)
    return 0


def _table(runs: Sequence[Compared], *, ruled: bool) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from jaxbackprop.train import shown_score

    name = shown_score(each.score for each in runs)
    # A rule's own columns part the figures; padding, too, would take more than 40.
    table = Table(box=SIMPLE_HEAD, padding=0) if ruled else Table(box=None, pad_edge=False)
    for at, title in enumerate(("run", "epoch", f"dev {name}", f"test {name}", "steps/s")):
        table.add_column(title.strip(), justify="right" if at else "left", no_wrap=True)
    for number, each in enumerate(runs, start=1):
        table.add_row(str(number), *_cells(each.figures))
        if each.deviations:
            table.add_row(" +/-", *_cells({"best_epoch": None, **each.deviations}))
    return table


def _cells(figures: Mapping[str, float | None]) -> Iterator[str]:
    for name in ("best_epoch", "dev", "test", "steps_per_second"):
        figure = figures[name]
        if figure is None:
            yield "-"
        else:
            yield f"{figure:.4f}" if name in ("dev", "test") else f"{figure:,.0f}"


def _differences(settings: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Each setting, and beneath it each value with the runs that have it."""
    if settings:
        yield ""
        yield "settings that differ"
    for name, values in settings.items():
        yield f"  {flag(name)}"
        shown = [_shown(value) for value in values]
        numbers = {value: _ranges([at for at, own in enumerate(shown, 1) if own == value]) for value in shown}
        room = max(map(len, numbers.values()))
        for value, those in numbers.items():
            yield f"    {those:<{room}}  {value}"


def _ranges(numbers: Sequence[int]) -> str:
    """1, 2, 3 and 5 as 1-3, 5."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][-1] == number - 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(str(each[0]) if len(each) == 1 else f"{each[0]}-{each[-1]}" for each in found)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value).lower() if isinstance(value, bool) else str(value)

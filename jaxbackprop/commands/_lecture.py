"""`jaxbackprop lecture`."""

from __future__ import annotations

import argparse
import textwrap
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxbackprop._output import refuse_files, write_json, write_text

from ._bar import JobBar
from ._options import Commands, add_command, add_json
from ._output import make_console, warn

if TYPE_CHECKING:
    from rich.console import Console

    from jaxbackprop.lecture import Claim, Effort, Result

# The column of verdicts.
_VERDICT = 21
_COLOURS = {"holds": "green", "holds in part": "yellow", "does not hold": "red"}


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "measure each claim of the lecture on this machine, and say whether it holds"
    parser = add_command(commands, "lecture", text, run)
    parser.add_argument("--unit", type=int, choices=(1, 2, 3), help="of the lecture (default: all)")
    parser.add_argument(
        "--quick", action="store_true", help="fewer seeds, sentences and epochs: two minutes, not twenty"
    )
    parser.add_argument(
        "--again", action="store_true", help="measure also what has been measured with these settings before"
    )
    parser.add_argument("--markdown", metavar="FILE", help="write the table to FILE")
    add_json(parser, "all figures and verdicts")


def run(arguments: argparse.Namespace) -> int:
    """Prints every claim with its figure and verdict; those that do not hold are no errors."""
    refuse_files((("--markdown", arguments.markdown), ("--json", arguments.json)))

    from jaxbackprop.lecture import CLAIMS, FULL, QUICK, to_dict, to_markdown
    from jaxbackprop.train import use_compilation_cache

    use_compilation_cache(warn)
    claims = [claim for claim in CLAIMS if arguments.unit in (None, claim.unit)]
    effort = QUICK if arguments.quick else FULL
    results = _show(claims, effort, again=arguments.again, console=make_console())
    if arguments.markdown is not None:
        write_text(arguments.markdown, to_markdown(results, effort), "--markdown")
    if arguments.json is not None:
        write_json(arguments.json, to_dict(results, effort))
    return 0


def _show(claims: Sequence[Claim], effort: Effort, *, again: bool, console: Console) -> list[Result]:
    from jaxbackprop.lecture import measure, summary

    results: list[Result] = []
    began = time.perf_counter()
    with JobBar(console) as bar:
        bar.begin(len(claims))

        def say(claim: Claim, part: str) -> None:
            bar.show(claim.name + (part and f": {part}"))

        for result in measure(claims, effort, again=again, say=say, warn=warn):
            if not results or results[-1].claim.unit != result.claim.unit:
                _print_unit(result.claim.unit, console)
            _print(result, console)
            results.append(result)
            bar.done()
    kept = sum(result.seconds is None and result.figures is not None for result in results)
    console.print()
    console.print(summary(results))
    took = f"{effort.name}, {time.perf_counter() - began:.0f} s"
    console.print(took + (f"; {kept} of them measured before" if kept else ""))
    return results


def _print_unit(unit: int, console: Console) -> None:
    from jaxbackprop.lecture import UNITS

    console.print()
    console.print(f"Unit {unit} | {UNITS[unit]}", style="bold")


def _print(result: Result, console: Console) -> None:
    from rich.text import Text

    claim, verdict = result.claim, result.verdict
    said = verdict.outcome.value
    parts = (claim.statement, verdict.figure, verdict.why, claim.measured_by)
    styles = ("", "", "", "dim")
    console.print()
    for part, style in zip(parts, styles, strict=True):
        for line in textwrap.wrap(part, max(console.width - _VERDICT, 20), break_on_hyphens=False):
            console.print(Text(said.ljust(_VERDICT), _COLOURS.get(said, "")) + Text(line, style))
            said = ""

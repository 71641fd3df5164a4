"""`jaxbackprop verify`."""

from __future__ import annotations

import argparse

from jaxbackprop._errors import CannotRun

from ._options import Commands, add_command, add_effort, add_json


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "check every operator's gradient against independent opinions"
    parser = add_command(commands, "verify", text, run)
    parser.add_argument(
        "--op", action="extend", nargs="+", metavar="NAME", help="check these operators only; repeatable"
    )
    parser.add_argument("--reference", metavar="MODULE", help="compare with the derivations in MODULE too")
    add_effort(
        parser, "thorough: every way to call an operator, every dtype, kinks and tails (default: quick)"
    )
    parser.add_argument(
        "--accuracy",
        nargs="*",
        metavar="NAME",
        help="measure instead: errors in units in the last place against a truth of fifty digits, beside "
        "autodiff's, in every dtype (of these operators, or all)",
    )
    parser.add_argument(
        "--graph",
        nargs="*",
        metavar="NAME",
        help="verify the graph's local gradients of JAX's primitives instead (of these primitives, or all)",
    )
    add_json(parser, "the figures")


def run(arguments: argparse.Namespace) -> int:
    """Verifies or measures: 0, or 1 where a gradient is wrong."""
    if arguments.accuracy is not None:
        for name in ("--effort", "--reference"):
            if getattr(arguments, name[2:]) is not None:
                raise CannotRun(f"--accuracy measures and takes no {name}")
    if arguments.graph is not None:
        for name in ("--op", "--reference", "--accuracy"):
            if getattr(arguments, name[2:]) is not None:
                raise CannotRun(f"--graph verifies rules of primitives and takes no {name}")

    from jaxbackprop import verify

    effort = arguments.effort or "quick"
    if arguments.graph is not None:
        return verify.run_graph(arguments.graph or None, arguments.json, effort=effort)
    if arguments.accuracy is not None:
        return verify.run_accuracy([*arguments.accuracy, *(arguments.op or ())] or None, arguments.json)
    return verify.run(arguments.op, arguments.reference, arguments.json, effort=effort)

"""`jaxbackprop check`."""

from __future__ import annotations

import argparse

from ._options import (
    ARGUMENTS_HELP,
    Commands,
    add_arg,
    add_command,
    add_effort,
    add_json,
    add_seed,
    examples_help,
    refuse_negative_seed,
)
from ._output import make_console

TARGET = (
    "package.module:op, where op is a function with a hand-written rule (Class.method too), or an f with its "
    "f_vjp(arguments, dy) beside it; or package.module: every such function there, and in a package's modules"
)
EXAMPLES = (
    "jaxbackprop check my_package.losses:cross_entropy --arg 'f32[4,5]' --arg 'i32[4]<5'",
    "jaxbackprop check my_package.layers:dropout --arg 'f32[3,8]' --arg key --arg 0.1 --json report.json",
    "jaxbackprop check my_package.layers:pool --arg 'bf16[2,6]' --arg axis=1 --oracle my_package.plain:pool",
    "jaxbackprop check my_package",
)
EPILOG = f"""\
{ARGUMENTS_HELP}

Without --arg a function gets its arguments from its module's CHECK_ARGUMENTS, a dict from names
to lists of tuples, one tuple a call, of arrays, settings and texts such as 'f32[4,5]'; or else
from its annotations, such as Float[Array, 'batch in']. The current directory can be imported from.

exit status: 0 right, 1 wrong, 2 cannot be checked

{examples_help(EXAMPLES)}"""


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    parser = add_command(commands, "check", "check a hand-written VJP, or all of a module's", run, EPILOG)
    parser.add_argument("target", metavar="TARGET", help=TARGET)
    add_arg(parser)
    parser.add_argument("--oracle", metavar="MODULE:NAME", help="the same function without its rule")
    parser.add_argument(
        "--nondiff",
        type=int,
        action="append",
        metavar="N",
        help="the argument at position N, from 0, has no gradient by design; may be given again",
    )
    add_effort(parser, "how hard to look (default: %(default)s)", "thorough")
    parser.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        help="for each call: after so long nothing more is begun, and the report says what was left out",
    )
    add_seed(parser)
    add_json(parser, "the reports")


def run(arguments: argparse.Namespace) -> int:
    """Checks: 0, or 1 where a rule is wrong."""
    refuse_negative_seed(arguments)

    from ._check_target import check_target

    return check_target(
        arguments.target,
        arguments.arg,
        oracle=arguments.oracle,
        nondiff=arguments.nondiff,
        json_path=arguments.json,
        effort=arguments.effort,
        budget=arguments.budget,
        seed=arguments.seed,
        console=make_console(),
    )

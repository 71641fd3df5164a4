"""`jaxbackprop doctor`."""

from __future__ import annotations

import argparse

from ._options import (
    ARGUMENTS_HELP,
    WITHOUT_ARGUMENTS_HELP,
    Commands,
    add_arg,
    add_command,
    add_json,
    add_seed,
    examples_help,
    refuse_negative_seed,
)
from ._output import make_console, warn

_TARGET = (
    "package.module:loss, any function of JAX arrays (Class.method too); or a run folder that "
    "`jaxbackprop train` or `finetune` made"
)
_EXAMPLES = (
    "jaxbackprop doctor my_package.models:loss --arg \"{'W': f32[3,4]}\" --arg 'f32[32,3]'",
    "jaxbackprop doctor my_package.models:loss --plot health.png --json health.json",
    "jaxbackprop doctor my_package.models:loss --html health.html",
    "jaxbackprop doctor runs/20250101-120000",
    "jaxbackprop doctor runs/20250101-120000 --data dev.conll",
)
_EPILOG = f"""\
Prints what is wrong, most serious first, each with the node, the figure and a remedy; then what was
measured of every layer and activation: norms of values and gradients, saturated and dead units.
The first argument that is a dict or a list holds the parameters; where none is, all are.

{ARGUMENTS_HELP}

{WITHOUT_ARGUMENTS_HELP}
A run is examined with the loss of its training, on sentences of --data, or of its training data.

exit status: 0 healthy, 1 findings, 2 cannot be examined

{examples_help(_EXAMPLES)}"""


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "say where a model's gradient vanishes, explodes, dies or turns nan"
    parser = add_command(commands, "doctor", text, run, _EPILOG)
    parser.add_argument("target", metavar="TARGET", help=_TARGET)
    add_arg(parser)
    parser.add_argument("--data", metavar="FILE", help="tagged, or labelled, sentences to examine a run on")
    parser.add_argument("--plot", metavar="FILE", help="write a picture to FILE")
    parser.add_argument(
        "--html", metavar="FILE", help="write the graph to FILE, a page with the findings at their nodes"
    )
    add_json(parser, "the findings and all figures")
    add_seed(parser)


def run(arguments: argparse.Namespace) -> int:
    """Examines: 0, or 1 where there is a finding."""
    refuse_negative_seed(arguments)

    from ._doctor_target import examine_target

    return examine_target(
        arguments.target,
        arguments.arg,
        data=arguments.data,
        plot=arguments.plot,
        html=arguments.html,
        json_path=arguments.json,
        seed=arguments.seed,
        console=make_console(),
        warn=warn,
    )

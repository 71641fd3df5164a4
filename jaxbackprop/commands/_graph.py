"""`jaxbackprop graph`."""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxbackprop._errors import CannotRun

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
from ._output import make_console

_EXAMPLES = (
    "jaxbackprop graph my_package.losses:loss --arg 'f32[4,5]' --arg 'i32[4]<5'",
    "jaxbackprop graph my_package.gates:f --arg 1.0 --arg 2.0 --arg 0.0 --html f.html",
    "jaxbackprop graph my_package.models:loss --arg \"{'W': f32[3,4]}\" --arg 'f32[2,4]' --json loss.json",
)
_EPILOG = f"""\
Without --html, --svg, --dot or --json: a table of the nodes in topological order, with the value
and the gradient of each, and what both passes cost.

{ARGUMENTS_HELP}
  Arrays, keys and numbers with a point are inputs of the graph; other settings are fixed.

{WITHOUT_ARGUMENTS_HELP}

exit status: 0; 2 where there is no graph, or not all of it: where the function raised an error the
graph ends there, where a primitive has no rule there are no gradients, and what is known is shown
and written all the same

{examples_help(_EXAMPLES)}"""


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "show the computation graph of a function, forward and backward"
    parser = add_command(commands, "graph", text, run, _EPILOG)
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="package.module:f, any function of JAX arrays (Class.method too)",
    )
    add_arg(parser)
    parser.add_argument("--html", metavar="FILE", help="write a page that steps through it to FILE")
    parser.add_argument("--svg", metavar="FILE", help="write a picture to FILE")
    parser.add_argument("--dot", metavar="FILE", help="write it in Graphviz's language to FILE")
    add_json(parser, "nodes, edges, values and gradients")
    add_seed(parser)
    parser.add_argument(
        "--examples", metavar="DIR", help="instead write three example pages, of the lecture's networks"
    )


def run(arguments: argparse.Namespace) -> int:
    """Shows the graph of a function, or writes the example pages."""
    refuse_negative_seed(arguments)
    if arguments.examples is not None:
        return _write_examples(arguments)
    if arguments.target is None:
        raise CannotRun("the following arguments are required: TARGET")
    if Path(arguments.target).is_dir():
        shown = f"jaxbackprop doctor {arguments.target} --html FILE"
        raise CannotRun(f"{arguments.target} is a folder, and no function: for the graph of a run, {shown}")

    from ._graph_passes import show_graph

    show_graph(
        arguments.target,
        arguments.arg,
        html=arguments.html,
        svg=arguments.svg,
        dot=arguments.dot,
        json_path=arguments.json,
        seed=arguments.seed,
        console=make_console(),
    )
    return 0


def _write_examples(arguments: argparse.Namespace) -> int:
    for name in ("target", "arg", "html", "svg", "dot", "json"):
        if getattr(arguments, name) is not None:
            said = "TARGET" if name == "target" else f"--{name}"
            raise CannotRun(f"--examples writes pages of its own and takes no {said}")

    from ._graph_examples import write_examples

    write_examples(arguments.examples, make_console())
    return 0

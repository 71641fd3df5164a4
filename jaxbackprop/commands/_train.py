"""`jaxbackprop train`."""

from __future__ import annotations

import argparse

from jaxbackprop._errors import CannotRun
from jaxbackprop.train import encodes

from ._options import Commands, add_command
from ._output import make_console, warn
from ._settings import add_settings, config_of


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    parser = add_command(commands, "train", "train the window classifier for named entities or tags", run)
    parser.add_argument(
        "--out", metavar="DIR", help="the run folder to make; it must not exist (default: runs/<time>)"
    )
    parser.add_argument(
        "--graph", metavar="FILE", help="before training, write the loss's graph at the first batch, a page"
    )
    parser.add_argument(
        "--no-compilation-cache",
        action="store_true",
        help="compile everything anew: neither read nor fill the cache of compiled programs in the user's "
        "cache folder (likewise where JAXBACKPROP_NO_COMPILATION_CACHE is set)",
    )
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Trains, and writes the run folder."""
    config = config_of(arguments)
    if arguments.out is not None and not encodes(arguments.out):
        raise CannotRun("--out is not UTF-8")

    from jaxbackprop.ner import train
    from jaxbackprop.train import use_compilation_cache

    if not arguments.no_compilation_cache:
        use_compilation_cache(warn)
    console, at_start = make_console(), None
    if arguments.graph is not None:
        from ._train_loss_page import page_of_loss

        at_start = page_of_loss(arguments.graph, console)
    train(config, arguments.out, console, at_start, warn)
    return 0

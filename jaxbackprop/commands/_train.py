"""`jaxbackprop train`."""

from __future__ import annotations

import argparse

from jaxbackprop._errors import CannotRun
from jaxbackprop.train import encodes, refuse_missing_tensorboard, seeds_of

from ._hosts import add_hosts, joined_hosts, look_at_model
from ._options import Commands, add_command
from ._settings import add_settings, config_of, given


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    parser = add_command(
        commands, "train", "train a tagger for named entities: windows of words, or a BERT", run
    )
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
    parser.add_argument(
        "--resume", metavar="RUN", help="go on with a run that was stopped, to the bits it would have come to"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="one run after another with N seeds from --seed on, side by side in DIR, and their mean scores",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="settings from a file of TOML (batch_size = 64), or those of a run folder; flags win over them",
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="also write each epoch's figures to DIR/tensorboard (pip install 'jaxbackprop[tensorboard]')",
    )
    add_hosts(parser)
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Trains, and keeps the run folder."""
    if arguments.resume is not None:
        for other in ("out", "graph", "config", "seeds"):
            if getattr(arguments, other) is not None:
                raise CannotRun(f"--{other} cannot be combined with --resume")
    else:
        config = config_of(arguments, arguments.config)
        if arguments.seeds is not None:
            seeds_of(config, arguments.seeds)
    if arguments.tensorboard:
        refuse_missing_tensorboard()
    if arguments.out is not None and not encodes(arguments.out):
        raise CannotRun("--out is not UTF-8")
    if arguments.resume is None and config.model == "bert":
        look_at_model(arguments, config.encoder)

    with joined_hosts(arguments) as (hosts, reporting):
        from jaxbackprop.ner import resume, train, train_seeds

        at_start = None
        if arguments.graph is not None and hosts.leads:
            from ._train_loss_page import page_of_loss

            at_start = page_of_loss(arguments.graph, reporting.console)
        if arguments.resume is not None:
            resume(arguments.resume, given(arguments), reporting)
        elif arguments.seeds is not None:
            train_seeds(config, arguments.seeds, arguments.out, reporting, at_start)
        else:
            train(config, arguments.out, reporting, at_start)
    return 0

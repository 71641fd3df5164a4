"""`jaxbackprop finetune`."""

from __future__ import annotations

import argparse
from dataclasses import fields

from jaxbackprop._errors import CannotRun
from jaxbackprop.finetune import SHARED, FinetuneConfig, Settings
from jaxbackprop.train import FINETUNING, encodes, refuse_missing_tensorboard, seeds_of

from ._hosts import add_hosts, joined_hosts
from ._options import Commands, add_command
from ._settings import add_settings, given


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "fine-tune a BERT as a classifier of sentences, or of pairs of them"
    parser = add_command(commands, "finetune", text, run)
    parser.add_argument(
        "--out", metavar="DIR", help="the run folder to make; it must not exist (default: runs/<time>)"
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
        "--tensorboard",
        action="store_true",
        help="also write each epoch's figures to DIR/tensorboard (pip install 'jaxbackprop[tensorboard]')",
    )
    parser.add_argument(
        "--no-compilation-cache",
        action="store_true",
        help="compile everything anew; see jaxbackprop train --help",
    )
    add_hosts(parser)
    add_settings(parser, defaults=False, of=FinetuneConfig)
    add_settings(
        parser.add_argument_group("training, as in jaxbackprop train"),
        SHARED,
        defaults=False,
        shown=FINETUNING,
    )


def run(arguments: argparse.Namespace) -> int:
    """Fine-tunes, and keeps the run folder."""
    own = given(arguments, [one.name for one in fields(FinetuneConfig)])
    shared = given(arguments, SHARED)
    if arguments.resume is None:
        try:
            settings = Settings.of(own, shared)
        except ValueError as error:
            raise CannotRun(str(error)) from None
        if arguments.seeds is not None:
            seeds_of(settings.training, arguments.seeds)
    else:
        for other in ("out", "seeds"):
            if getattr(arguments, other) is not None:
                raise CannotRun(f"--{other} cannot be combined with --resume")
    if arguments.tensorboard:
        refuse_missing_tensorboard()
    if arguments.out is not None and not encodes(arguments.out):
        raise CannotRun("--out is not UTF-8")

    with joined_hosts(arguments) as (_, reporting):
        from jaxbackprop.finetune import finetune, finetune_seeds, resume_finetune

        if arguments.resume is not None:
            resume_finetune(arguments.resume, own, shared, reporting)
        elif arguments.seeds is not None:
            finetune_seeds(settings, arguments.seeds, arguments.out, reporting)
        else:
            finetune(settings, arguments.out, reporting)
    return 0

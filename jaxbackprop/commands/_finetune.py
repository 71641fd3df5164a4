"""`jaxbackprop finetune`."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from jaxbackprop._errors import CannotRun
from jaxbackprop.finetune import SHARED, FinetuneConfig, Settings, read_finetune_settings
from jaxbackprop.train import FINETUNING, encodes, refuse_missing_tensorboard, seeds_of

from ._hosts import add_hosts, joined_hosts, look_at_model
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
        "--config",
        metavar="FILE",
        help="settings from a file of TOML (max_length = 48), or those of a run folder; flags win over them",
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
        settings = _settings(own | shared, arguments.config)
        if arguments.seeds is not None:
            seeds_of(settings.training, arguments.seeds)
    else:
        for other in ("out", "config", "seeds"):
            if getattr(arguments, other) is not None:
                raise CannotRun(f"--{other} cannot be combined with --resume")
    if arguments.tensorboard:
        refuse_missing_tensorboard()
    if arguments.out is not None and not encodes(arguments.out):
        raise CannotRun("--out is not UTF-8")
    if arguments.resume is None:
        look_at_model(arguments, settings.own.model)

    with joined_hosts(arguments) as (_, reporting):
        from jaxbackprop.finetune import finetune, finetune_seeds, resume_finetune

        if arguments.resume is not None:
            resume_finetune(arguments.resume, own, shared, reporting)
        elif arguments.seeds is not None:
            finetune_seeds(settings, arguments.seeds, arguments.out, reporting)
        else:
            finetune(settings, arguments.out, reporting)
    return 0


def _settings(said: dict[str, Any], file: str | None) -> Settings:
    """The settings that the flags say; the others are those of a file, or else their defaults."""
    in_file = {} if file is None else read_finetune_settings(file)
    try:
        return Settings.of_all(**in_file | said)
    except ValueError as error:
        whence = "" if file is None else f", with the settings of {file}"
        raise CannotRun(f"{error}{whence}") from None

"""`jaxbackprop schedules`."""

from __future__ import annotations

import argparse

from jaxbackprop._errors import CannotRun
from jaxbackprop._output import print_whole, refuse_files, write_whole
from jaxbackprop.train import CYCLIC_MODES, SCHEDULES, Config

from ._options import Commands, add_command, examples_help
from ._output import make_console, refuse_no_picture
from ._settings import add_settings, given

_SETTINGS = (
    *("optimizer", "momentum", "lr", "warmup_epochs", "min_lr", "base_lr", "cycle_epochs", "gamma"),
    *("base_momentum", "halve_every", "decay", "plateau_factor", "plateau_patience", "plateau_cooldown"),
    "epochs",
)
# Of `jaxbackprop train` on its own corpus.
_STEPS_PER_EPOCH = 254
_EXAMPLES = (
    "jaxbackprop schedules --epochs 40 --cycle-epochs 10 --gamma 0.9998 --warmup-epochs 2",
    "jaxbackprop schedules --optimizer nesterov --momentum 0.95 --base-momentum 0.85 --out momentum.png",
)
_EPILOG = f"""\
Every schedule of `jaxbackprop train` with these flags. A plateau depends on the training: it is shown as
if no epoch were better than the first.

{examples_help(_EXAMPLES)}"""


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "draw the learning-rate schedules of `jaxbackprop train`"
    parser = add_command(commands, "schedules", text, run, _EPILOG)
    parser.add_argument(
        "--out", default="schedules.png", metavar="FILE", help="the picture (default: %(default)s)"
    )
    parser.add_argument(
        "--steps-per-epoch",
        type=int,
        default=_STEPS_PER_EPOCH,
        metavar="N",
        help="updates in an epoch (default: %(default)s, those of `jaxbackprop train` on its own corpus)",
    )
    add_settings(parser, _SETTINGS, defaults=False)


def run(arguments: argparse.Namespace) -> int:
    """Draws them, and prints the rates that they begin, peak and end with."""
    configs = _configs(arguments)
    if not 1 <= arguments.steps_per_epoch <= 10**6:
        raise CannotRun(f"--steps-per-epoch must be from 1 to {10**6}, not {arguments.steps_per_epoch}")
    refuse_files([("--out", arguments.out)])
    refuse_no_picture(arguments.out, "--out")

    from rich.table import Table

    from jaxbackprop.train import draw_rates, rate_curve

    curves = [rate_curve(config, arguments.steps_per_epoch) for config in configs]
    write_whole(arguments.out, draw_rates(curves).savefig, "--out")
    console = make_console()
    table = Table(box=None, pad_edge=False)
    table.add_column("schedule", no_wrap=True)
    for name in ("first", "highest", "lowest", "last"):
        table.add_column(name, justify="right", no_wrap=True)
    for curve in curves:
        figures = (curve.rates[0], curve.rates.max(), curve.rates.min(), curve.rates[-1])
        table.add_row(curve.name, *(f"{rate:.3g}" for rate in figures))
    print_whole(console, table)
    console.print(f"wrote {arguments.out}", soft_wrap=True)
    return 0


def _configs(arguments: argparse.Namespace) -> list[Config]:
    """The settings of each schedule.

    Raises:
        CannotRun: where a flag is out of its range, or does not go with another.
    """
    said = given(arguments)
    others = {name: value for name, value in said.items() if name != "base_momentum"}
    try:
        plain = [Config(**others, schedule=name) for name in SCHEDULES if name != "cyclic"]
        return plain + [Config(**said, schedule="cyclic", cyclic_mode=mode) for mode in CYCLIC_MODES]
    except ValueError as error:
        raise CannotRun(str(error)) from None

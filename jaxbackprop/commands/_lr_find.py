"""`jaxbackprop lr-find`."""

from __future__ import annotations

import argparse

from jaxbackprop._errors import CannotRun
from jaxbackprop._output import refuse_files, write_json, write_whole

from ._options import Commands, add_command, add_json, examples_help
from ._output import make_console, refuse_no_picture, warn
from ._settings import add_settings, config_of

# Of data, model and optimizer.
_SETTINGS = (
    *("train", "dev", "columns", "scheme", "task", "vectors", "tune_vectors", "min_count", "word_dim"),
    *("window", "shape_dim", "affix_dim", "hidden", "activation", "init", "batch_norm", "dropout"),
    *("input_dropout", "l2", "optimizer", "momentum", "weight_decay", "clip_norm", "dtype"),
    *("batch_size", "mesh", "seed"),
)
_FEWEST = 20
_EXAMPLES = (
    "jaxbackprop lr-find --plot rates.png",
    "jaxbackprop lr-find --optimizer sgd --activation relu",
    "jaxbackprop lr-find --config settings.toml --steps 1000",
)
_EPILOG = f"""\
Smith's range test: a fresh model is trained while the learning rate grows, and the run ends when the loss
diverges. No run folder is made. The rate grows by the same factor with every update: on Smith's straight
line nearly all updates would fall into the highest power of ten, and here the right one is not known yet.

--base-lr is the rate at which the mean loss has made a tenth of its fall, but at most a quarter of --lr.
--lr is half of the rate at which the mean loss is lowest, and beyond which it grows.

{examples_help(_EXAMPLES)}"""


def add_parser(commands: Commands) -> None:
    """Adds the command and its flags."""
    text = "suggest learning rates for `jaxbackprop train` (Smith's range test)"
    parser = add_command(commands, "lr-find", text, run, _EPILOG)
    parser.add_argument(
        "--lr-from", type=float, default=1e-6, metavar="LR", help="first learning rate (default: %(default)g)"
    )
    parser.add_argument(
        "--lr-to", type=float, default=10.0, metavar="LR", help="last learning rate (default: %(default)g)"
    )
    parser.add_argument(
        "--steps", type=int, default=300, metavar="N", help="updates at most (default: %(default)s)"
    )
    parser.add_argument("--plot", metavar="FILE", help="write a picture of the loss over the rate to FILE")
    add_json(parser, "every rate and loss, and what they suggest,")
    parser.add_argument(
        "--config", metavar="FILE", help="settings from a file of TOML or a run folder, as `train` takes them"
    )
    add_settings(parser, _SETTINGS, defaults=False)


def run(arguments: argparse.Namespace) -> int:
    """Prints the suggestion."""
    _refuse(arguments)
    config = config_of(arguments, arguments.config)

    from jaxbackprop.ner import Reporting, find_learning_rates
    from jaxbackprop.train import draw_range_test, use_compilation_cache

    use_compilation_cache(warn)
    console = make_console()
    low, high = arguments.lr_from, arguments.lr_to
    found = find_learning_rates(config, low, high, arguments.steps, Reporting(console, warn))
    if arguments.plot is not None:
        write_whole(arguments.plot, draw_range_test(found).savefig, "--plot")
    if arguments.json is not None:
        write_json(arguments.json, found.to_dict())
    made = len(found.losses)
    if not made:
        raise CannotRun(
            f"the loss of the first update is no number: nothing is known of learning rate {low:g}"
        )
    last = f"{found.rates[-1]:.2g}"
    console.print(
        f"{made} updates, learning rates from {low:.2g} to {last}"
        + ", where the loss diverged" * found.diverged
    )
    if found.base is None or found.peak is None:
        console.print("the loss did not fall: there is nothing to suggest")
    else:
        console.print(f"suggested: --base-lr {found.base:.2g} --lr {found.peak:.2g}")
        if not found.diverged and found.peak > 0.4 * found.rates[-1]:
            warn(f"the loss still falls at {last}: a larger --lr-to may suggest a larger --lr")
    for path in (arguments.plot, arguments.json):
        if path is not None:
            console.print(f"wrote {path}", soft_wrap=True)
    return 0


def _refuse(arguments: argparse.Namespace) -> None:
    low, high, steps = arguments.lr_from, arguments.lr_to, arguments.steps
    for flag, rate in (("--lr-from", low), ("--lr-to", high)):
        if not 0 < rate <= 1e30:
            raise CannotRun(f"{flag} must be above 0 and at most 1e+30, not {rate:g}")
    if not high > low:
        raise CannotRun(f"--lr-to must be above --lr-from ({low:g}), not {high:g}")
    if not _FEWEST <= steps <= 10**6:
        raise CannotRun(f"--steps must be from {_FEWEST} to {10**6}, not {steps}")
    refuse_files([("--plot", arguments.plot), ("--json", arguments.json)])
    refuse_no_picture(arguments.plot)

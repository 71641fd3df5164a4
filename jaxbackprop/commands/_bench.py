"""`jaxbackprop bench`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from jaxbackprop._errors import CannotRun
from jaxbackprop._output import refuse_unwritable, write_json

from ._options import Commands, add_command, add_effort, add_json, add_seed, refuse_negative_seed
from ._output import make_console
from ._settings import add_settings, config_of

if TYPE_CHECKING:
    from rich.console import Console

    from jaxbackprop.bench import Accuracies, Kills, Scaling, Soak, Streaming, Verdicts

# Those that write rows and growth curves.
_WITH_ROWS = {
    "rows": "training a word table by touched rows beside dense and sparse optimizers, by its length V",
    "head": "linear + softmax cross-entropy over a large vocabulary beside autodiff and torch",
    "rnn": "backpropagation through time beside jax.grad of lax.scan and torch, by the length T",
    "ops": "every operator beside jax.grad of the usual formula: time, temporary and kept memory",
    "train": "a training step of the window classifier beside the same model in plain flax",
    "startup": "from the start of a process to help, and to the first training step",
}

# What is fine-tuned on what.
_TEXTS = {"model": "bert-mini", "data": "vader-movies"}


def add_parser(commands: Commands) -> None:
    """Adds the command, its flags and the measurements, each with its own."""
    text = "measure against peers, side by side (those of the extra bench too)"
    parser = add_command(commands, "bench", text, run)
    _add_files(parser)
    parser.set_defaults(what=None, json=None, plot=None)
    measurements = parser.add_subparsers(
        title="measurements (without one: those from rows to check)", metavar="WHAT", dest="what"
    )
    for name, text in _WITH_ROWS.items():
        _add_files(add_command(measurements, name, text, run))
    _add_check(measurements)
    _add_bert(measurements)
    _add_ner(measurements)
    _add_graph(measurements)
    _add_resume(measurements)
    _add_soak(measurements)
    _add_stream(measurements)
    _add_mesh(measurements)
    _add_wild(measurements)


def run(arguments: argparse.Namespace) -> int:
    """Runs one benchmark that writes rows, or all of them."""
    from jaxbackprop import bench

    names = bench.NAMES if arguments.what is None else (arguments.what,)
    bench.run(names, json_path=arguments.json, plot_path=arguments.plot, console=make_console())
    return 0


def _add_ner(measurements: Commands) -> None:
    text = "entity F1 of the window classifier beside a linear-chain CRF, with an interval"
    parser = add_command(measurements, "ner", text, _run_ner)
    parser.add_argument("--seeds", type=int, default=5, help="runs of the classifier (default: 5)")
    add_settings(parser)


def _run_ner(arguments: argparse.Namespace) -> int:
    _refuse_files(arguments, "json", "plot")
    config = config_of(arguments)

    from jaxbackprop import bench

    bench.ner(config, seeds=arguments.seeds, console=make_console())
    return 0


def _add_check(measurements: Commands) -> None:
    text = "the harness beside other checkers of gradients, on a corpus of right and wrong rules"
    parser = add_command(measurements, "check", text, _run_check)
    parser.add_argument(
        "--corpus",
        default="tests.check.corpus",
        metavar="MODULE",
        help="module with CASES (default: %(default)s: run from a checkout of the repository)",
    )
    parser.add_argument("--only", action="append", default=[], metavar="FAMILY", help="repeatable")
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many cases, spread evenly")
    _add_files(parser)


def _run_check(arguments: argparse.Namespace) -> int:
    from jaxbackprop import bench

    bench.check(
        arguments.corpus,
        only=arguments.only,
        limit=arguments.limit,
        json_path=arguments.json,
        plot_path=arguments.plot,
        console=make_console(),
    )
    return 0


def _add_bert(measurements: Commands) -> None:
    text = "a training step of a BERT of 6 × 384 beside plain flax, and torch with transformers"
    parser = add_command(measurements, "bert", text, _run_bert)
    _add_files(parser)
    accuracy = parser.add_argument_group("what fine-tuning comes to")
    accuracy.add_argument(
        "--accuracy",
        action="store_true",
        help="instead: accuracy by what is trained and on how much, beside logistic regression",
    )
    accuracy.add_argument("--sizes", metavar="N,...", help="training sentences (default: 200,2000,all)")
    accuracy.add_argument("--seeds", type=int, metavar="N", help="runs of each (default: 3)")
    for name, default in _TEXTS.items():
        accuracy.add_argument(
            f"--{name}", metavar="...", help=f"as of jaxbackprop finetune (default: {default})"
        )


def _run_bert(arguments: argparse.Namespace) -> int:
    own = ("sizes", "seeds", *_TEXTS)
    if not arguments.accuracy:
        if given := [name for name in own if getattr(arguments, name) is not None]:
            raise CannotRun(f"--{given[0]} is of bench bert --accuracy")
        return run(arguments)
    _refuse_all_but_json(arguments)

    from jaxbackprop import bench

    console = make_console()
    found = bench.bert_accuracy(
        (arguments.sizes or "200,2000,all").split(","),
        3 if arguments.seeds is None else arguments.seeds,
        lambda line: console.print(line, soft_wrap=True),
        **{name: getattr(arguments, name) or default for name, default in _TEXTS.items()},
        json_path=arguments.json,
    )
    return _told(found, arguments.json, console)


def _add_graph(measurements: Commands) -> None:
    text = "the graph's gradients beside jax.grad's: time, temporary memory, multiplications"
    parser = add_command(measurements, "graph", text, _run_graph)
    parser.add_argument(
        "--only", action="append", default=[], metavar="GROUP", help="a group of functions or one; repeatable"
    )
    add_json(parser, "the figures", argparse.SUPPRESS)


def _run_graph(arguments: argparse.Namespace) -> int:
    _refuse_files(arguments, "plot")

    from jaxbackprop import bench

    bench.graph(only=arguments.only, json_path=arguments.json, console=make_console())
    return 0


def _add_resume(measurements: Commands) -> None:
    text = "a training run killed at random moments and resumed: whether it comes to the same bits"
    parser = add_command(measurements, "resume", text, _run_resume)
    parser.add_argument("--kills", type=int, default=50, help="how often (default: 50)")
    add_seed(parser)
    add_json(parser, "each kill", argparse.SUPPRESS)


def _run_resume(arguments: argparse.Namespace) -> int:
    _refuse_all_but_json(arguments)
    refuse_negative_seed(arguments)

    from jaxbackprop import bench

    console = make_console()
    return _told(bench.resume(arguments.kills, arguments.seed, console.print), arguments.json, console)


def _add_soak(measurements: Commands) -> None:
    text = "a long run of a tiny model: memory that grows, programs that are compiled again"
    parser = add_command(measurements, "soak", text, _run_soak)
    parser.add_argument("--steps", type=int, default=200_000, help="updates (default: %(default)s)")
    add_json(parser, "the figures", argparse.SUPPRESS)


def _run_soak(arguments: argparse.Namespace) -> int:
    _refuse_all_but_json(arguments)

    from jaxbackprop import bench

    console = make_console()
    return _told(bench.soak(arguments.steps, console.print), arguments.json, console)


def _add_stream(measurements: Commands) -> None:
    text = "a corpus in shards, streamed: speed beside data in memory, and the memory that it takes"
    parser = add_command(measurements, "stream", text, _run_stream)
    parser.add_argument(
        "--tokens", type=int, default=10_000_000, help="words; also a tenth of them (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=15, help="turns of 200 steps each (default: 15)")
    add_json(parser, "the figures", argparse.SUPPRESS)


def _run_stream(arguments: argparse.Namespace) -> int:
    _refuse_all_but_json(arguments)

    from jaxbackprop import bench

    console = make_console()
    found = bench.stream(arguments.tokens, arguments.rounds, console.print)
    return _told(found, arguments.json, console)


def _add_mesh(measurements: Commands) -> None:
    text = "a training step on 1 to 8 forced devices, what they tell each other, and how it would scale"
    parser = add_command(measurements, "mesh", text, _run_mesh)
    add_json(parser, "the figures", argparse.SUPPRESS)


def _run_mesh(arguments: argparse.Namespace) -> int:
    _refuse_all_but_json(arguments)

    from jaxbackprop import bench

    console = make_console()
    return _told(bench.mesh(console.print), arguments.json, console)


def _add_wild(measurements: Commands) -> None:
    text = "what the harness says of rules of published libraries, each verdict explained"
    parser = add_command(measurements, "wild", text, _run_wild)
    add_effort(parser, "how hard to look (default: %(default)s)", "quick")
    add_json(parser, "the verdicts", argparse.SUPPRESS)


def _run_wild(arguments: argparse.Namespace) -> int:
    _refuse_all_but_json(arguments)

    from jaxbackprop import bench

    console = make_console()
    found = bench.wild(
        arguments.effort, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)
    )
    return _told(found, arguments.json, console)


def _refuse_all_but_json(arguments: argparse.Namespace) -> None:
    """For a measurement that draws nothing: refuses --plot, and a --json that cannot be written."""
    _refuse_files(arguments, "plot")
    if arguments.json is not None:
        refuse_unwritable(arguments.json)


def _told(
    found: Accuracies | Kills | Scaling | Soak | Streaming | Verdicts, json_path: str | None, console: Console
) -> int:
    """Prints what was found; the exit status is 1 where a promise is not kept."""
    for line in found.lines():
        console.print(line, soft_wrap=True)
    if json_path is not None:
        write_json(json_path, found.to_dict())
    return 0 if found.met else 1


def _add_files(parser: argparse.ArgumentParser) -> None:
    """Where a benchmark writes; the flags may stand before its name or after it."""
    # Without a default of its own, a flag keeps what stands before the name.
    add_json(parser, "the rows", argparse.SUPPRESS)
    parser.add_argument(
        "--plot",
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="draw how times grow (or else the ratios) to FILE: .png, .svg or .pdf",
    )


def _refuse_files(arguments: argparse.Namespace, *kinds: str) -> None:
    for kind in kinds:
        if getattr(arguments, kind) is not None:
            raise CannotRun(f"bench {arguments.what} takes no --{kind}")

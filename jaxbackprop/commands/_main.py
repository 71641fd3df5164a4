"""The command line: parses, then calls an ordinary function.

Every error is one line on standard error and exit status 2. jax and all that needs it are imported by the
command that runs, so that help and bad flags answer at once.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from itertools import islice
from typing import Any, NoReturn

from jaxbackprop._version import __version__
from jaxbackprop.train import Config, encodes, flag

from ._check_help import EPILOG, TARGET
from ._doctor_help import EPILOG as DOCTOR_EPILOG
from ._doctor_help import TARGET as DOCTOR_TARGET
from ._graph_help import EPILOG as GRAPH_EPILOG
from ._graph_help import TARGET as GRAPH_TARGET

_ERROR, _INTERRUPTED, _TERMINATED, _BROKEN_PIPE = 2, 130, 143, 141
_LINES_AT_ONCE = 4096

_Handler = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments after the program's name; None takes those of the process.

    Returns:
        The exit status: 0, the command's own (1 where `verify` finds a wrong gradient, or `doctor` anything),
        2 for any error, 130 or 143 when interrupted or terminated, 141 when the reader of standard output has
        gone.
    """
    # A closed stream is None; what is printed then goes nowhere, and there is nothing to read.
    sys.stdin = sys.stdin or open(os.devnull)
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a letter shows its number.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        arguments = _parser().parse_args(argv)
        with _terminable():
            status: int = arguments.handler(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Python flushes standard output once more at exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        print("jaxbackprop: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except _UsageError as error:
        return _fail(str(error))
    except Exception as error:
        said = _said(error)
        if said is None:
            raise
        return _fail(said)


class _UsageError(Exception):
    """What the user asked for cannot be done."""


class _Parser(argparse.ArgumentParser):
    """argparse, but an error is one line."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


def _fail(message: str) -> int:
    print("jaxbackprop: error: " + " ".join(message.split()), file=sys.stderr)
    return _ERROR


def _said(error: Exception) -> str | None:
    """What to tell the user where an error is about the input; None for a fault of the program."""
    from jaxbackprop.data import DataError, MissingExtra
    from jaxbackprop.train import RunError

    if isinstance(error, DataError | MissingExtra | RunError | FloatingPointError):
        return str(error)
    if isinstance(error, OSError):
        said = error.strerror or str(error)
        return said if error.filename is None else f"{error.filename}: {said}"
    return None


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM unwinds the stack, as Ctrl-C does, so that what was begun is tidied up."""

    def stop(number: int, frame: Any) -> NoReturn:
        raise SystemExit(_TERMINATED)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="jaxbackprop",
        description="Hand-derived gradients that you can trust, and train with, on JAX.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"jaxbackprop {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")

    def command(
        name: str, handler: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(handler=handler)
        return added

    verify = command("verify", _verify, "check every operator's gradient against independent opinions")
    verify.add_argument(
        "--op", action="extend", nargs="+", metavar="NAME", help="check these operators only; repeatable"
    )
    verify.add_argument("--reference", metavar="MODULE", help="compare with the derivations in MODULE too")
    verify.add_argument(
        "--effort",
        choices=("quick", "thorough"),
        help="thorough: every way to call an operator, every dtype, kinks and tails (default: quick)",
    )
    verify.add_argument(
        "--accuracy",
        nargs="*",
        metavar="NAME",
        help="measure instead: errors in units in the last place against a truth of fifty digits, beside "
        "autodiff's, in every dtype (of these operators, or all)",
    )
    verify.add_argument(
        "--graph",
        nargs="*",
        metavar="NAME",
        help="verify the graph's local gradients of JAX's primitives instead (of these primitives, or all)",
    )
    verify.add_argument("--json", metavar="FILE", help="write the figures to FILE")

    check = command("check", _check, "check a hand-written VJP, or all of a module's")
    check.formatter_class = argparse.RawDescriptionHelpFormatter
    check.epilog = EPILOG
    check.add_argument("target", metavar="TARGET", help=TARGET)
    check.add_argument("--arg", action="append", metavar="TEXT", help="an argument, such as 'f32[4,5]'")
    check.add_argument("--oracle", metavar="MODULE:NAME", help="the same function without its rule")
    check.add_argument(
        "--effort",
        choices=("quick", "thorough"),
        default="thorough",
        help="how hard to look (default: %(default)s)",
    )
    check.add_argument("--seed", type=int, default=0, help="of all draws (default: %(default)s)")
    check.add_argument("--json", metavar="FILE", help="write the reports to FILE")

    graph = command("graph", _graph, "show the computation graph of a function, forward and backward")
    graph.formatter_class = argparse.RawDescriptionHelpFormatter
    graph.epilog = GRAPH_EPILOG
    graph.add_argument("target", metavar="TARGET", nargs="?", help=GRAPH_TARGET)
    graph.add_argument("--arg", action="append", metavar="TEXT", help="an argument, such as 'f32[4,5]'")
    graph.add_argument("--html", metavar="FILE", help="write a page that steps through it to FILE")
    graph.add_argument("--svg", metavar="FILE", help="write a picture to FILE")
    graph.add_argument("--dot", metavar="FILE", help="write it in Graphviz's language to FILE")
    graph.add_argument("--json", metavar="FILE", help="write nodes, edges, values and gradients to FILE")
    graph.add_argument("--seed", type=int, default=0, help="of all draws (default: %(default)s)")
    graph.add_argument(
        "--examples", metavar="DIR", help="instead write three example pages, of the lecture's networks"
    )

    doctor = command("doctor", _doctor, "say where a model's gradient vanishes, explodes, dies or turns nan")
    doctor.formatter_class = argparse.RawDescriptionHelpFormatter
    doctor.epilog = DOCTOR_EPILOG
    doctor.add_argument("target", metavar="TARGET", help=DOCTOR_TARGET)
    doctor.add_argument("--arg", action="append", metavar="TEXT", help="an argument, such as 'f32[4,5]'")
    doctor.add_argument("--data", metavar="FILE", help="tagged sentences to examine a run on")
    doctor.add_argument("--plot", metavar="FILE", help="write a picture to FILE")
    doctor.add_argument(
        "--html", metavar="FILE", help="write the graph to FILE, a page with the findings at their nodes"
    )
    doctor.add_argument("--json", metavar="FILE", help="write the findings and all figures to FILE")
    doctor.add_argument("--seed", type=int, default=0, help="of all draws (default: %(default)s)")

    train = command("train", _train, "train the window classifier for named entities")
    train.add_argument(
        "--out", metavar="DIR", help="the run folder to make; it must not exist (default: runs/<time>)"
    )
    train.add_argument(
        "--graph", metavar="FILE", help="before training, write the loss's graph at the first batch, a page"
    )
    train.add_argument(
        "--no-compilation-cache",
        action="store_true",
        help="compile everything anew: neither read nor fill the cache of compiled programs in the user's "
        "cache folder (likewise where JAXBACKPROP_NO_COMPILATION_CACHE is set)",
    )
    _add_settings(train)

    evaluate = command("evaluate", _evaluate, "score a trained model on a file of tagged sentences")
    evaluate.add_argument("run", metavar="RUN", help="a run folder")
    evaluate.add_argument("file", metavar="FILE", help="tagged sentences, CoNLL style")

    predict = command("predict", _predict, "mark the entities in text, one sentence a line")
    predict.add_argument("run", metavar="RUN", help="a run folder")
    predict.add_argument("--text", help="the sentence (default: one a line from standard input)")
    predict.add_argument("--json", action="store_true", help="print one JSON object a line")
    predict.add_argument(
        "--pretokenized", action="store_true", help="words are what white space separates: split nothing off"
    )

    bench = command("bench", _bench, "measure against peers, side by side (those of the extra bench too)")
    _add_files(bench)
    bench.set_defaults(what=None, json=None, plot=None)
    measured = bench.add_subparsers(title="measurements (without one: all but ner and graph)", metavar="WHAT")

    def measurement(name: str, text: str) -> argparse.ArgumentParser:
        added = measured.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(what=name)
        return added

    for name, text in _BENCHMARKS.items():
        _add_files(measurement(name, text))
    ner = measurement("ner", "entity F1 of the window classifier beside a linear-chain CRF, with an interval")
    ner.set_defaults(handler=_bench_ner)
    ner.add_argument("--seeds", type=int, default=5, help="runs of the classifier (default: 5)")
    _add_settings(ner)
    checkers = measurement(
        "check", "the harness beside other checkers of gradients, on a corpus of right and wrong rules"
    )
    checkers.set_defaults(handler=_bench_check)
    checkers.add_argument(
        "--corpus",
        default="tests.check.corpus",
        metavar="MODULE",
        help="module with CASES (default: %(default)s, of the repository)",
    )
    checkers.add_argument("--only", action="append", default=[], metavar="FAMILY", help="repeatable")
    checkers.add_argument("--limit", type=int, metavar="N", help="at most so many cases, spread evenly")
    _add_files(checkers)
    gradients = measurement(
        "graph", "the graph's gradients beside jax.grad's: time, temporary memory, multiplications"
    )
    gradients.set_defaults(handler=_bench_graph)
    gradients.add_argument(
        "--only", action="append", default=[], metavar="GROUP", help="a group of functions or one; repeatable"
    )
    gradients.add_argument(
        "--json", default=argparse.SUPPRESS, metavar="FILE", help="write the figures to FILE"
    )
    return parser


_BENCHMARKS = {
    "rows": "training a word table by touched rows beside dense and sparse optimizers, by its length V",
    "head": "linear + softmax cross-entropy over a large vocabulary beside autodiff and torch",
    "rnn": "backpropagation through time beside jax.grad of lax.scan and torch, by the length T",
    "ops": "every operator beside jax.grad of the usual formula: time, temporary and kept memory",
    "train": "a training step of the window classifier beside the same model in plain flax",
    "startup": "from the start of a process to help, and to the first training step",
}


def _add_files(parser: argparse.ArgumentParser) -> None:
    """Where a benchmark writes; the flags may stand before its name or after it."""
    kept = argparse.SUPPRESS  # what stands before the name
    parser.add_argument("--json", default=kept, metavar="FILE", help="write the rows to FILE")
    parser.add_argument(
        "--plot",
        default=kept,
        metavar="FILE",
        help="draw how times grow (or else the ratios) to FILE: .png, .svg or .pdf",
    )


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """One flag for each field of Config."""
    for setting in fields(Config):
        meta = setting.metadata
        text = meta["help"]
        if meta["kind"] is bool:
            group = parser.add_mutually_exclusive_group()
            off = "--freeze-" + setting.name.removeprefix("tune_").replace("_", "-")
            said = "default" if setting.default else f"default: {off}"
            group.add_argument(
                flag(setting.name),
                dest=setting.name,
                action="store_true",
                default=setting.default,
                help=f"{text} ({said})",
            )
            group.add_argument(off, dest=setting.name, action="store_false", default=setting.default)
            continue
        if setting.default is not None:
            text += f" (default: {setting.default})"
        parser.add_argument(
            flag(setting.name),
            type=meta["kind"],
            default=setting.default,
            choices=meta["choices"],
            metavar=meta["metavar"] or (None if meta["choices"] else setting.name.rsplit("_", 1)[-1].upper()),
            help=text.replace("%", "%%"),
        )


def _verify(arguments: argparse.Namespace) -> int:
    if arguments.accuracy is not None:
        for name, value in (("--effort", arguments.effort), ("--reference", arguments.reference)):
            if value is not None:
                raise _UsageError(f"--accuracy measures and takes no {name}")
    if arguments.graph is not None:
        for name in ("--op", "--reference", "--accuracy"):
            if getattr(arguments, name[2:]) is not None:
                raise _UsageError(f"--graph verifies rules of primitives and takes no {name}")

    from jaxbackprop.verify import CannotVerify, run, run_accuracy, run_graph

    try:
        if arguments.graph is not None:
            return run_graph(arguments.graph or None, arguments.json, effort=arguments.effort or "quick")
        if arguments.accuracy is not None:
            return run_accuracy([*arguments.accuracy, *(arguments.op or ())] or None, arguments.json)
        return run(arguments.op, arguments.reference, arguments.json, effort=arguments.effort or "quick")
    except CannotVerify as error:
        raise _UsageError(str(error)) from None


def _refuse_negative_seed(arguments: argparse.Namespace) -> None:
    if arguments.seed < 0:
        raise _UsageError(f"--seed must be at least 0, not {arguments.seed}")


def _check(arguments: argparse.Namespace) -> int:
    _refuse_negative_seed(arguments)

    from jaxbackprop.check import CannotCheck
    from jaxbackprop.train import make_console

    from ._check import run

    try:
        return run(
            arguments.target,
            arguments.arg,
            oracle=arguments.oracle,
            json_path=arguments.json,
            effort=arguments.effort,
            seed=arguments.seed,
            console=make_console(),
        )
    except CannotCheck as error:
        raise _UsageError(str(error)) from None


def _graph(arguments: argparse.Namespace) -> int:
    _refuse_negative_seed(arguments)
    if arguments.examples is not None:
        return _graph_examples(arguments)
    if arguments.target is None:
        raise _UsageError("the following arguments are required: TARGET")

    from jaxbackprop.train import make_console

    from ._graph import CannotGraph, run

    try:
        return run(
            arguments.target,
            arguments.arg,
            html=arguments.html,
            svg=arguments.svg,
            dot=arguments.dot,
            json_path=arguments.json,
            seed=arguments.seed,
            console=make_console(),
        )
    except CannotGraph as error:
        raise _UsageError(str(error)) from None


def _graph_examples(arguments: argparse.Namespace) -> int:
    for name in ("target", "arg", "html", "svg", "dot", "json"):
        if getattr(arguments, name) is not None:
            said = "TARGET" if name == "target" else f"--{name}"
            raise _UsageError(f"--examples writes pages of its own and takes no {said}")

    from jaxbackprop.train import make_console

    from ._graph_examples import write_examples

    write_examples(arguments.examples, make_console())
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    _refuse_negative_seed(arguments)

    from jaxbackprop.train import make_console

    from ._doctor import CannotExamine, run

    try:
        return run(
            arguments.target,
            arguments.arg,
            data=arguments.data,
            plot=arguments.plot,
            html=arguments.html,
            json_path=arguments.json,
            seed=arguments.seed,
            console=make_console(),
            warn=_warn,
        )
    except CannotExamine as error:
        raise _UsageError(str(error)) from None


def _config(arguments: argparse.Namespace) -> Config:
    try:
        return Config(**{setting.name: getattr(arguments, setting.name) for setting in fields(Config)})
    except ValueError as error:
        raise _UsageError(str(error)) from None


def _train(arguments: argparse.Namespace) -> int:
    config = _config(arguments)
    if arguments.out is not None and not encodes(arguments.out):
        raise _UsageError("--out is not UTF-8")

    from jaxbackprop.ner import train
    from jaxbackprop.train import make_console, use_compilation_cache

    if not arguments.no_compilation_cache:
        use_compilation_cache(_warn)
    console, at_start = make_console(), None
    if arguments.graph is not None:
        from ._loss_page import page_of_loss

        at_start = page_of_loss(arguments.graph, console)
    train(config, arguments.out, console, at_start)
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from jaxbackprop.data import read_conll
    from jaxbackprop.ner import load_tagger
    from jaxbackprop.train import make_console, print_scores

    sentences = read_conll(arguments.file)
    print_scores(make_console(), load_tagger(arguments.run, _warn).evaluate(sentences))
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    from jaxbackprop.ner import load_tagger, marked, tokenize
    from jaxbackprop.train import entities

    if arguments.text is not None:
        if not arguments.text.strip():
            raise _UsageError("--text is empty")
        if not encodes(arguments.text):
            raise _UsageError("--text is not UTF-8")
    tagger = load_tagger(arguments.run, _warn)
    lines = iter(arguments.text.split("\n")) if arguments.text is not None else _standard_input()
    any_word = False
    # Somebody who types waits for each answer.
    at_once = 1 if sys.stdin.isatty() else _LINES_AT_ONCE
    while batch := list(islice(lines, at_once)):
        sentences = [line.split() if arguments.pretokenized else tokenize(line) for line in batch]
        any_word = any_word or any(sentences)
        for words, tags in zip(sentences, tagger.tag(sentences), strict=True):
            found = entities(tags)
            if arguments.json:
                print(_as_json(words, tags, found))
            else:
                print(marked(words, found))
    if not any_word:
        raise _UsageError("standard input holds no word")
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    from jaxbackprop.bench import NAMES, CannotBench, run
    from jaxbackprop.train import make_console

    names = NAMES if arguments.what is None else (arguments.what,)
    try:
        run(names, json_path=arguments.json, plot_path=arguments.plot, console=make_console())
    except CannotBench as error:
        raise _UsageError(str(error)) from None
    return 0


def _bench_ner(arguments: argparse.Namespace) -> int:
    _refuse_files(arguments, "json", "plot")
    config = _config(arguments)

    from jaxbackprop.bench import ner
    from jaxbackprop.train import make_console

    try:
        ner(config, seeds=arguments.seeds, console=make_console())
    except (ValueError, ImportError) as error:
        raise _UsageError(str(error)) from None
    return 0


def _refuse_files(arguments: argparse.Namespace, *kinds: str) -> None:
    for kind in kinds:
        if getattr(arguments, kind) is not None:
            raise _UsageError(f"bench {arguments.what} takes no --{kind}")


def _bench_check(arguments: argparse.Namespace) -> int:
    from jaxbackprop.bench import check
    from jaxbackprop.train import make_console

    try:
        check(
            arguments.corpus,
            only=arguments.only,
            limit=arguments.limit,
            json_path=arguments.json,
            plot_path=arguments.plot,
            console=make_console(),
        )
    except ValueError as error:
        raise _UsageError(str(error)) from None
    return 0


def _bench_graph(arguments: argparse.Namespace) -> int:
    _refuse_files(arguments, "plot")

    from jaxbackprop.bench import graph
    from jaxbackprop.train import make_console

    try:
        graph(only=arguments.only, json_path=arguments.json, console=make_console())
    except ValueError as error:
        raise _UsageError(str(error)) from None
    return 0


def _as_json(words: Sequence[str], tags: Sequence[str], found: Sequence[tuple[str, int, int]]) -> str:
    spans = [
        {"type": kind, "start": begin, "end": end, "text": " ".join(words[begin:end])}
        for kind, begin, end in found
    ]
    return json.dumps({"words": list(words), "tags": list(tags), "entities": spans}, ensure_ascii=False)


def _standard_input() -> Iterator[str]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        # Under some locales Python would let any byte through.
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    try:
        for line in sys.stdin:
            yield line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise _UsageError(f"standard input is not UTF-8: {error.reason}") from None


def _warn(message: str) -> None:
    print("jaxbackprop: warning: " + " ".join(message.split()), file=sys.stderr)

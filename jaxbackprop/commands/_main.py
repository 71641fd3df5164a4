"""The command line: parses, then calls the command.

Every error is one line on standard error and exit status 2. jax and all that needs it are imported by the
command that runs, so that help and bad flags answer at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from jaxbackprop._errors import CannotRun
from jaxbackprop._signals import run_stoppable
from jaxbackprop._version import __version__
from jaxbackprop.train import exit_joined

from . import (
    _advise,
    _assets,
    _bench,
    _check,
    _compare,
    _data,
    _doctor,
    _evaluate,
    _finetune,
    _graph,
    _lecture,
    _lr_find,
    _pitfall,
    _predict,
    _schedules,
    _train,
    _verify,
)
from ._devices import refuse_missing_device

# In the order in which help lists them.
_COMMANDS = (
    _verify,
    _check,
    _graph,
    _doctor,
    _data,
    _assets,
    _schedules,
    _lr_find,
    _advise,
    _train,
    _finetune,
    _compare,
    _evaluate,
    _predict,
    _bench,
    _lecture,
    _pitfall,
)
_ERROR, _BROKEN_PIPE = 2, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments after the program's name; None takes those of the process.

    Returns:
        The exit status: 0, the command's own (1 where `verify` or `check` finds a wrong gradient, or `doctor`
        anything), 2 for any error, 128 and the number of the signal that ended it (130 for Ctrl-C), 141 when
        the reader of standard output has gone.
    """
    status = run_stoppable(lambda: _main(argv))
    exit_joined(status)
    return status


def _main(argv: Sequence[str] | None) -> int:
    # A closed stream is None; what is printed then goes nowhere, and there is nothing to read.
    sys.stdin = sys.stdin or open(os.devnull)
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a letter shows its number.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        arguments = _parser().parse_args(argv)
        # Those that train may have to join other processes before they ask jax for anything.
        if not hasattr(arguments, "coordinator"):
            refuse_missing_device()
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Python flushes standard output once more at exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    # A loss that diverges, and what jax finds where it is asked to look out for nan.
    except (CannotRun, FloatingPointError) as error:
        return _fail(str(error))
    except OSError as error:
        said = error.strerror or str(error)
        return _fail(said if error.filename is None else f"{error.filename}: {said}")


class _Parser(argparse.ArgumentParser):
    """argparse, but an error is one line."""

    def error(self, message: str) -> NoReturn:
        raise CannotRun(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="jaxbackprop",
        description="Hand-derived gradients that you can trust, and train with, on JAX.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"jaxbackprop {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def _fail(message: str) -> int:
    print("jaxbackprop: error: " + " ".join(message.split()), file=sys.stderr)
    return _ERROR

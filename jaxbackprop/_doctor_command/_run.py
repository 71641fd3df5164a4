"""The command: examines a function or a trained run, prints, writes the picture and the figures."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from jaxbackprop._check_command._calls import draw, read_call
from jaxbackprop._check_command._targets import importable_from_here, resolve
from jaxbackprop._graph_command._trace import trace_call
from jaxbackprop._json_file import refuse_unwritable, write_json
from jaxbackprop.check import CannotCheck
from jaxbackprop.graph._health import Report
from jaxbackprop.graph._health._health import examine
from jaxbackprop.graph._names import error_text

from ._trained import examine_run

_PICTURES = (".png", ".svg", ".pdf")


class CannotExamine(Exception):
    """There is nothing to examine, or it cannot be; the message says why."""


def run(
    target: str,
    texts: Sequence[str] | None = None,
    *,
    data: str | None = None,
    plot: str | None = None,
    json_path: str | None = None,
    seed: int = 0,
    console: Console,
    warn: Callable[[str], None],
) -> int:
    """Examines, prints, and returns the command's exit status: 0, or 1 where there is a finding.

    Args:
        target: "package.module:function", or a run folder.
        texts: arguments of a function, each as `check` reads it; None to ask CHECK_ARGUMENTS or the
            annotations.
        data: for a run: a file of tagged sentences; None takes its training data.
        plot: file for the picture, written whole or not at all.
        json_path: file for the figures, likewise.
        seed: of the draws.
        console: where to print.
        warn: told, in one line, what is amiss with a run but does not keep it from being examined.

    Raises:
        CannotExamine: where target is no such function or run, or it cannot be examined.
        RunError: where a run folder is damaged.
        DataError: where data is not what it should be.
        OSError: where a file cannot be read or written.
    """
    _refuse(plot, json_path)
    if _is_run(target):
        if texts is not None:
            raise CannotExamine(f"--arg is for a function; {target} is a run")
        report = examine_run(target, data, seed, warn)
    else:
        if data is not None:
            raise CannotExamine(f"--data is for a run; {target} is a function")
        report = _examine_function(target, texts, seed)
    # The picture is made before a figure is written: where one cannot be made, neither is there.
    if plot is not None:
        _write_picture(report, plot)
    if json_path is not None:
        write_json(json_path, report.to_dict())
    # In a pipe as lines of text: rendered, they would be filled up to a width that a pipe does not have.
    console.print(report if console.is_terminal else str(report), soft_wrap=True, markup=False)
    for flag_path in (plot, json_path):
        if flag_path is not None:
            console.print(f"wrote {flag_path}", soft_wrap=True, markup=False)
    return 0 if report.healthy else 1


def _is_run(target: str) -> bool:
    return ":" not in target or Path(target).is_dir()


def _refuse(plot: str | None, json_path: str | None) -> None:
    if plot is not None:
        refuse_unwritable(plot, "--plot")
        if Path(plot).suffix.lower() not in _PICTURES:
            raise CannotExamine(f"--plot {plot}: its name must end in {', '.join(_PICTURES)}")
    if json_path is not None:
        refuse_unwritable(json_path)
    if plot is not None and json_path is not None and os.path.realpath(plot) == os.path.realpath(json_path):
        raise CannotExamine(f"--plot and --json name the same file, {plot}")


def _examine_function(target: str, texts: Sequence[str] | None, seed: int) -> Report:
    try:
        call = None if texts is None else read_call(texts)
        with importable_from_here():
            found = resolve(target, call)
            wide = any(argument.wide for argument in found.calls[0])
            with jax.enable_x64(True) if wide else contextlib.nullcontext():
                args, kwargs = draw(found.calls[0], seed=seed)
                return _examined(found.function, target, args, kwargs)
    except CannotCheck as error:
        raise CannotExamine(str(error)) from None


def _examined(f: Callable[..., Any], target: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Report:
    try:
        graph = trace_call(f, args, kwargs)
    # JAX raises errors of many kinds where a function is none of arrays.
    except Exception as error:
        raise CannotExamine(f"{target} cannot be traced: {error_text(error)}") from None
    if graph.error is not None:
        raise CannotExamine(f"{target} failed while it was traced: {error_text(graph.error)}")
    try:
        return examine(graph, None, None, None)
    # It may call back to its author's code, and a rule may be its author's too.
    except Exception as error:
        raise CannotExamine(f"{target} cannot be examined: {error_text(error)}") from None


def _write_picture(report: Report, path: str) -> None:
    try:
        report.plot(path)
    except OSError as error:
        raise type(error)(f"--plot {path}: {error.strerror or error}") from None

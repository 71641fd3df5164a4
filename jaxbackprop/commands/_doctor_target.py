"""A function or a trained run, examined: what is printed; the picture, the page and the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxbackprop._errors import CannotRun
from jaxbackprop._output import refuse_files, write_json, write_text, write_whole
from jaxbackprop.doctor import Report, examine
from jaxbackprop.graph.render import error_text, page

from ._doctor_run import examine_run
from ._output import refuse_no_picture
from ._traced_call import drawn_call, trace_call


def examine_target(
    target: str,
    texts: Sequence[str] | None = None,
    *,
    data: str | None = None,
    plot: str | None = None,
    html: str | None = None,
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
        html: file for the page of the graph, its nodes marked by the findings, likewise.
        json_path: file for the figures, likewise.
        seed: of the draws.
        console: where to print.
        warn: told, in one line, what is amiss with a run but does not keep it from being examined.

    Raises:
        CannotRun: where target is no such function or run, or it cannot be examined.
        RunError: where a run folder is damaged.
        DataError: where data is not what it should be.
        OSError: where a file cannot be read or written.
    """
    refuse_files([("--plot", plot), ("--html", html), ("--json", json_path)])
    refuse_no_picture(plot)
    if _is_run(target):
        if texts is not None:
            raise CannotRun(f"--arg is for a function; {target} is a run")
        report = examine_run(target, data, seed, warn)
        text = None if html is None else _page(report)
    else:
        if data is not None:
            raise CannotRun(f"--data is for a run; {target} is a function")
        report, text = _examine_function(target, texts, seed, shown=html is not None)
    # Page and picture are made before a figure is written: where one cannot be made, none is there.
    if plot is not None:
        write_whole(plot, report.plot().savefig, "--plot")
    if html is not None and text is not None:
        write_text(html, text, "--html")
    if json_path is not None:
        write_json(json_path, report.to_dict())
    # In a pipe as lines of text: rendered, they would be filled up to a width that a pipe does not have.
    console.print(report if console.is_terminal else str(report), soft_wrap=True, markup=False)
    for flag_path in (plot, html, json_path):
        if flag_path is not None:
            console.print(f"wrote {flag_path}", soft_wrap=True, markup=False)
    return 0 if report.healthy else 1


def _is_run(target: str) -> bool:
    return ":" not in target or Path(target).is_dir()


def _examine_function(
    target: str, texts: Sequence[str] | None, seed: int, *, shown: bool
) -> tuple[Report, str | None]:
    """The report, and the page where it is to be shown."""
    with drawn_call(target, texts, seed) as (function, args, kwargs):
        report = _examined(function, target, args, kwargs)
        return report, _page(report) if shown else None


def _examined(f: Callable[..., Any], target: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Report:
    try:
        graph = trace_call(f, args, kwargs)
    # JAX raises errors of many kinds where a function is none of arrays.
    except Exception as error:
        raise CannotRun(f"{target} cannot be traced: {error_text(error)}") from None
    if graph.error is not None:
        raise CannotRun(f"{target} failed while it was traced: {error_text(graph.error)}")
    try:
        return examine(graph)
    # It may call back to its author's code, and a rule may be its author's too.
    except Exception as error:
        raise CannotRun(f"{target} cannot be examined: {error_text(error)}") from None


def _page(report: Report) -> str:
    try:
        return page(report.graph, health=report)
    # The pass is walked once more, and may call back to its author's code.
    except Exception as error:
        raise CannotRun(f"--html: there is no page of {report.name}: {error_text(error)}") from None

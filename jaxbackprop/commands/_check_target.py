"""One function checked, or all of a module: what is printed, and the figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from jaxbackprop._errors import CannotRun
from jaxbackprop._imports import importable_from_here
from jaxbackprop._output import refuse_unwritable, write_json
from jaxbackprop.check import Report

from ._check_call import Checked, check_call
from .targets import Skipped, Target, discover, read_call, resolve, resolve_function


def check_target(
    target: str,
    texts: Sequence[str] | None = None,
    *,
    oracle: str | None = None,
    nondiff: Sequence[int] | None = None,
    json_path: str | None = None,
    effort: str = "thorough",
    budget: float | None = None,
    seed: int = 0,
    console: Console,
) -> int:
    """Checks, prints, and returns the command's exit status: 0, or 1 where a rule is wrong.

    Args:
        target: "package.module:function" or "package.module".
        texts: arguments, each as `parse_argument` reads it; None to ask CHECK_ARGUMENTS or the annotations.
        oracle: "package.module:function": the function without its rule.
        nondiff: positions of arguments without a gradient by design.
        json_path: file for the reports, written whole or not at all.
        effort: "quick" or "thorough".
        budget: seconds for each call; None for as long as it takes.
        seed: of the draws.
        console: where to print.

    Raises:
        CannotRun: where nothing can be checked, or not what was asked for by name.
        OSError: where json_path cannot be written.
    """
    if json_path is not None:
        refuse_unwritable(json_path)
    for flag, given in (("--arg", texts), ("--oracle", oracle), ("--nondiff", nondiff)):
        if ":" not in target and given is not None:
            raise CannotRun(f"{flag} is for one function: {target}:NAME")
    if budget is not None and not budget > 0:
        raise CannotRun(f"--budget must be a number of seconds above 0, not {budget:g}")
    call = None if texts is None else read_call(texts)
    how = {"effort": effort, "budget": budget, "seed": seed, "nondiff": tuple(nondiff or ())}
    skipped: list[Skipped] = []
    with importable_from_here():
        if ":" in target:
            one = resolve(target, call)
            plain = None if oracle is None else resolve_function(oracle)
            results = _check_one(one, plain, how, console)
        else:
            results, skipped = _check_all(target, how, console)
    if json_path is not None:
        write_json(json_path, _figures(target, how, results, skipped))
    if any(result.wrong for result in results):
        return 1
    for result in results:
        if result.report is None:
            raise CannotRun(f"{result.target.name} on {result.arguments}: {result.reason}")
    if not results:
        raise CannotRun(_nothing(target, skipped))
    return 0


def _check_one(
    target: Target, oracle: Callable[..., Any] | None, how: Mapping[str, Any], console: Console
) -> list[Checked]:
    results = [check_call(target, call, oracle, how) for call in target.calls]
    for result in results:
        if result.report is not None:
            if len(results) > 1:
                console.print(f"on {result.arguments}")
            _print_report(result.report, console)
    return results


def _check_all(module: str, how: Mapping[str, Any], console: Console) -> tuple[list[Checked], list[Skipped]]:
    targets, skipped = discover(module)
    skipped += [Skipped(target.name, target.reason) for target in targets if not target.calls]
    targets = [target for target in targets if target.calls]
    width = max((len(target.name) for target in targets), default=0)
    results: list[Checked] = []
    for target in targets:
        calls = [check_call(target, call, None, how) for call in target.calls]
        if target.told or all(call.report is not None for call in calls):
            results += calls
            _print_line(target, calls, width, console)
        else:
            # What annotations left open was guessed, and the function would not have it.
            skipped.append(Skipped(target.name, f"not for {calls[0].arguments}: {calls[0].reason}"))
    for result in results:
        if result.report is not None and result.wrong:
            console.print(f"\n{result.target.name} on {result.arguments}", style="bold")
            _print_report(result.report, console)
    if skipped:
        console.print("\nskipped")
        for name, reason in skipped:
            console.print(f"  {name}: {' '.join(reason.split())}", soft_wrap=True)
    checked = {result.target.name for result in results if result.report is not None}
    console.print(
        f"\nchecked {_count(len(checked), 'function')}, {_count(len(results), 'call')}: "
        f"{_count_wrong(results)} wrong, {len(skipped)} skipped"
    )
    return results, skipped


def _print_report(report: Report, console: Console) -> None:
    # In a pipe as lines of text: rendered, they would be filled up to a width that a pipe does not have.
    console.print(report if console.is_terminal else str(report), soft_wrap=not console.is_terminal)


def _print_line(target: Target, calls: Sequence[Checked], width: int, console: Console) -> None:
    first_wrong = next((call for call in calls if call.wrong), None)
    if first_wrong is not None:
        verdict = f"[bold red]WRONG[/] {escape(first_wrong.in_short)}"
    elif any(call.report is None for call in calls):
        verdict = "[yellow]cannot be checked[/]"
    else:
        verdict = "[green]right[/]"
    seconds = sum(call.seconds for call in calls)
    console.print(
        f"{target.name:<{width}}  {_count(len(calls), 'call'):>8}  {seconds:6.1f} s  {verdict}",
        markup=True,
        soft_wrap=True,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _count_wrong(results: Sequence[Checked]) -> int:
    """How many functions are wrong on some call."""
    return len({result.target.name for result in results if result.wrong})


def _nothing(target: str, skipped: Sequence[Skipped]) -> str:
    if not skipped:
        return f"{target} holds no custom_vjp or custom_jvp and no f with an f_vjp beside it"
    return f"nothing in {target} could be checked; {skipped[0].name}: {skipped[0].reason}"


def _figures(
    target: str, how: Mapping[str, Any], results: Sequence[Checked], skipped: Sequence[Skipped]
) -> dict[str, Any]:
    return {
        "target": target,
        **how,
        "wrong": _count_wrong(results),
        "results": [result.to_dict() for result in results],
        "skipped": [{"function": name, "reason": reason} for name, reason in skipped],
    }

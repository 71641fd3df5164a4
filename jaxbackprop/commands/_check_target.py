"""One function checked, or all of a module: what is printed, and the figures."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.markup import escape

from jaxbackprop._errors import CannotRun
from jaxbackprop._imports import importable_from_here
from jaxbackprop._output import refuse_unwritable, write_json
from jaxbackprop._specs import describe, map_leaves
from jaxbackprop.check import CannotCheck, Report, check_pair, check_vjp

from .targets import Call, Target, discover, draw, read_call, resolve, resolve_function


@dataclasses.dataclass(frozen=True)
class Checked:
    """One call of a function, judged.

    Attributes:
        name: "package.module:function".
        arguments: what it was called with, as text.
        seconds: how long that took.
        report: the verdict; None where it could not be checked.
        reason: why it could not.
    """

    name: str
    arguments: str
    seconds: float
    report: Report | None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "function": self.name,
            "arguments": self.arguments,
            "ok": None if self.report is None else self.report.ok,
            "reason": self.reason or None,
            "seconds": round(self.seconds, 3),
            "report": None if self.report is None else self.report.to_dict(),
        }


def check_target(
    target: str,
    texts: Sequence[str] | None = None,
    *,
    oracle: str | None = None,
    json_path: str | None = None,
    effort: str = "thorough",
    seed: int = 0,
    console: Console,
) -> int:
    """Checks, prints, and returns the command's exit status: 0, or 1 where a rule is wrong.

    Args:
        target: "package.module:function" or "package.module".
        texts: arguments, each as `parse_argument` reads it; None to ask CHECK_ARGUMENTS or the annotations.
        oracle: "package.module:function": the function without its rule.
        json_path: file for the reports, written whole or not at all.
        effort: "quick" or "thorough".
        seed: of the draws.
        console: where to print.

    Raises:
        CannotRun: where nothing can be checked, or not what was asked for by name.
        OSError: where json_path cannot be written.
    """
    if json_path is not None:
        refuse_unwritable(json_path)
    if ":" not in target and (texts is not None or oracle is not None):
        flag = "--arg" if texts is not None else "--oracle"
        raise CannotRun(f"{flag} is for one function: {target}:NAME")
    call = None if texts is None else read_call(texts)
    with importable_from_here():
        if ":" in target:
            one = resolve(target, call)
            plain = None if oracle is None else resolve_function(oracle)
            results = _check_one(one, plain, effort, seed, console)
            left_out: list[tuple[str, str]] = []
        else:
            results, left_out = _check_all(target, effort, seed, console)
    if json_path is not None:
        write_json(json_path, _figures(target, effort, seed, results, left_out))
    unchecked = [result for result in results if result.report is None]
    if any(result.report is not None and not result.report.ok for result in results):
        return 1
    if unchecked:
        raise CannotRun(f"{unchecked[0].name} on {unchecked[0].arguments}: {unchecked[0].reason}")
    if not results:
        raise CannotRun(_nothing(target, left_out))
    return 0


def _check_one(
    target: Target, oracle: Callable[..., Any] | None, effort: str, seed: int, console: Console
) -> list[Checked]:
    results = [judge(target, call, oracle, effort, seed) for call in target.calls]
    for result in results:
        if result.report is not None:
            if len(results) > 1:
                console.print(f"on {result.arguments}")
            _print_report(result.report, console)
    return results


def _check_all(
    module: str, effort: str, seed: int, console: Console
) -> tuple[list[Checked], list[tuple[str, str]]]:
    targets, left_out = discover(module)
    left_out += [(target.name, target.reason) for target in targets if not target.calls]
    targets = [target for target in targets if target.calls]
    width = max((len(target.name) for target in targets), default=0)
    results: list[Checked] = []
    for target in targets:
        calls = [judge(target, call, None, effort, seed) for call in target.calls]
        if target.told or all(call.report is not None for call in calls):
            results += calls
            _print_line(target, calls, width, console)
        else:
            # What annotations left open was guessed, and the function would not have it.
            left_out.append((target.name, f"not for {calls[0].arguments}: {calls[0].reason}"))
    for result in results:
        if result.report is not None and not result.report.ok:
            console.print(f"\n{result.name} on {result.arguments}", style="bold")
            _print_report(result.report, console)
    if left_out:
        console.print("\nskipped")
        for name, reason in left_out:
            console.print(f"  {name}: {' '.join(reason.split())}", soft_wrap=True)
    wrong = {result.name for result in results if result.report is not None and not result.report.ok}
    checked = {result.name for result in results if result.report is not None}
    console.print(
        f"\nchecked {_count(len(checked), 'function')}, {_count(len(results), 'call')}: "
        f"{len(wrong)} wrong, {len(left_out)} skipped"
    )
    return results, left_out


def judge(target: Target, call: Call, oracle: Callable[..., Any] | None, effort: str, seed: int) -> Checked:
    """Draws the arguments of a call and checks the function on them."""
    wide = any(argument.wide for argument in call)
    began = time.perf_counter()
    report, reason = None, ""
    with jax.enable_x64(True) if wide else contextlib.nullcontext():
        args, kwargs = draw(call, seed=seed)
        arguments = ", ".join(
            (f"{a.name}=" if a.name else "") + describe(value)
            for a, value in zip(call, (*args, *kwargs.values()), strict=True)
        )
        options: dict[str, Any] = {"oracle": oracle, "kwargs": kwargs or None, "effort": effort, "seed": seed}
        domains = tuple(argument.domain for argument in call if argument.name is None)
        options["domains"] = domains if any(domain is not None for domain in domains) else None
        try:
            if target.rule is None:
                report = check_vjp(target.function, *_to_jax(args), **options)
            else:
                if _is_of_jax(target.function, args, kwargs):
                    args = _to_jax(args)
                report = check_pair(target.function, target.rule, *args, **options)
        except CannotCheck as error:
            reason = str(error)
        # A fault here must neither pass for a verdict nor keep the other functions from theirs.
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"the check failed: {type(error).__name__}: {error} ({at.filename}:{at.lineno})"
    return Checked(target.name, arguments, time.perf_counter() - began, report, reason)


def _to_jax(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(map_leaves(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, args))


def _is_of_jax(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a function of arrays answers jax arrays: NumPy's functions want NumPy's arrays."""
    try:
        return any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(function(*args, **kwargs)))
    # What it raises, the harness will meet again and tell.
    except Exception:
        return False


def _print_report(report: Report, console: Console) -> None:
    # In a pipe as lines of text: rendered, they would be filled up to a width that a pipe does not have.
    console.print(report if console.is_terminal else str(report), soft_wrap=not console.is_terminal)


def _print_line(target: Target, calls: Sequence[Checked], width: int, console: Console) -> None:
    reports = [call.report for call in calls if call.report is not None]
    wrong = [report for report in reports if not report.ok]
    if wrong:
        verdict = f"[bold red]WRONG[/] {escape(_in_short(target, wrong[0]))}"
    elif len(reports) < len(calls):
        verdict = "[yellow]cannot be checked[/]"
    else:
        verdict = "[green]right[/]"
    seconds = sum(call.seconds for call in calls)
    console.print(
        f"{target.name:<{width}}  {_count(len(calls), 'call'):>8}  {seconds:6.1f} s  {verdict}",
        markup=True,
        soft_wrap=True,
    )


def _in_short(target: Target, report: Report) -> str:
    """The most serious finding: which argument, and what the mistake looks like."""
    finding = report.findings[0]
    words = list(finding.mistakes[:1]) or [finding.property]
    if finding.argument is not None:
        with contextlib.suppress(TypeError, ValueError, IndexError):
            names = list(inspect.signature(target.function).parameters)
            words.insert(0, f"in {names[finding.argument]}{finding.path}:")
    return " ".join(words)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _nothing(target: str, left_out: Sequence[tuple[str, str]]) -> str:
    if not left_out:
        return f"{target} holds no custom_vjp function and no f with an f_vjp beside it"
    return f"nothing in {target} could be checked; {left_out[0][0]}: {left_out[0][1]}"


def _figures(
    target: str, effort: str, seed: int, results: Sequence[Checked], left_out: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    return {
        "target": target,
        "effort": effort,
        "seed": seed,
        "wrong": len({r.name for r in results if r.report is not None and not r.report.ok}),
        "results": [result.to_dict() for result in results],
        "skipped": [{"function": name, "reason": reason} for name, reason in left_out],
    }

"""One call of a function, checked."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from jaxbackprop._specs import describe
from jaxbackprop.check import CannotCheck, Report, check_jvp, check_pair, check_vjp

from .targets import Call, Target, as_jax, draw, ruled


@dataclasses.dataclass(frozen=True)
class Checked:
    """What came of checking a function on one call.

    Attributes:
        target: the function.
        arguments: what it was called with, as text.
        seconds: how long that took.
        report: the verdict; None where it could not be checked.
        reason: why it could not.
    """

    target: Target
    arguments: str
    seconds: float
    report: Report | None
    reason: str = ""

    @property
    def wrong(self) -> bool:
        """Whether the rule has been found wrong."""
        return self.report is not None and not self.report.ok

    @property
    def in_short(self) -> str:
        """Of a wrong rule, the most serious finding: which argument, and what the mistake looks like."""
        assert self.report is not None
        finding = self.report.findings[0]
        words = list(finding.mistakes[:1]) or [finding.property]
        if finding.argument is not None:
            with contextlib.suppress(TypeError, ValueError, IndexError):
                names = list(inspect.signature(self.target.function).parameters)
                words.insert(0, f"in {names[finding.argument]}{finding.path}:")
        return " ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "function": self.target.name,
            "arguments": self.arguments,
            "ok": None if self.report is None else self.report.ok,
            "reason": self.reason or None,
            "seconds": round(self.seconds, 3),
            "report": None if self.report is None else self.report.to_dict(),
        }


def check_call(
    target: Target, call: Call, oracle: Callable[..., Any] | None, how: Mapping[str, Any]
) -> Checked:
    """Draws the arguments of a call and checks the function on them, as `how` says: effort, budget, seed."""
    wide = any(argument.wide for argument in call)
    began = time.perf_counter()
    report, reason = None, ""
    with jax.enable_x64(True) if wide else contextlib.nullcontext():
        args, kwargs = draw(call, seed=how["seed"])
        arguments = ", ".join(
            (f"{a.name}=" if a.name else "") + describe(value)
            for a, value in zip(call, (*args, *kwargs.values()), strict=True)
        )
        domains = tuple(argument.domain for argument in call if argument.name is None)
        options: dict[str, Any] = {
            "oracle": oracle,
            "domains": domains if any(domain is not None for domain in domains) else None,
            "kwargs": kwargs or None,
            **how,
        }
        try:
            if target.rule is None:
                # A rule for tangents is asked for them too.
                judge = check_jvp if isinstance(ruled(target.function), jax.custom_jvp) else check_vjp
                report = judge(target.function, *map(as_jax, args), **options)
            else:
                if _is_of_jax(target.function, args, kwargs):
                    args = tuple(map(as_jax, args))
                report = check_pair(target.function, target.rule, *args, **options)
        except CannotCheck as error:
            reason = str(error)
        # A fault here must neither pass for a verdict nor keep the other functions from theirs.
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"the check failed: {type(error).__name__}: {error} ({at.filename}:{at.lineno})"
    return Checked(target, arguments, time.perf_counter() - began, report, reason)


def _is_of_jax(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a function of arrays answers jax arrays: NumPy's functions want NumPy's arrays."""
    try:
        return any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(function(*args, **kwargs)))
    # What it raises, the harness will meet again and tell.
    except Exception:
        return False

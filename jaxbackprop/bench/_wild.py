"""`bench wild`: what the harness says of rules of published libraries, and which verdicts are explained."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax

from jaxbackprop.check import CannotCheck, check_vjp

from ._wild_rules import RIGHT, RULES, WRONG, Wild

CANNOT, ABSENT = "cannot be checked", "not installed"
# What is imported under another name than it is installed by.
_DISTRIBUTIONS = {"ott": "ott-jax"}


@dataclass(frozen=True)
class Verdict:
    """What the harness says of a rule.

    Attributes:
        package: with its version.
        rule: its name.
        said: "right", "WRONG", "cannot be checked" or "not installed".
        why: of a verdict that is not "right", the first finding or the reason; else empty.
        explained: what was found out about it by looking.
        expected: whether it is the verdict that was looked into.
        seconds: how long it took, compilation included.
    """

    package: str
    rule: str
    said: str
    why: str
    explained: str
    expected: bool
    seconds: float

    def lines(self) -> list[str]:
        """What is printed of it."""
        found = [f"{self.package:15s} {self.rule:32s} {self.said:17s} {self.seconds:5.1f} s"]
        found += [f"    says: {self.why}"] if self.why else []
        found += [f"    {self.explained}"] if self.explained and self.expected else []
        return found if self.expected or self.said == ABSENT else [*found, "    not explained"]


@dataclass(frozen=True)
class Verdicts:
    """All of them."""

    verdicts: tuple[Verdict, ...]

    @property
    def met(self) -> bool:
        """Whether each verdict is "right" or explained; what is not installed is left out."""
        return all(one.expected for one in self.verdicts if one.said != ABSENT)

    def lines(self) -> list[str]:
        """What is printed at the end."""
        looked = [one for one in self.verdicts if one.said != ABSENT]
        right = sum(one.said == RIGHT for one in looked)
        explained = sum(one.said != RIGHT and one.expected for one in looked)
        left = len(looked) - right - explained
        found = [f"\n{len(looked)} rules: {right} right, {explained} not and explained, {left} not explained"]
        if len(looked) < len(self.verdicts):
            found.append("what is not installed comes with the extra bench: pip install 'jaxbackprop[bench]'")
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"benchmark": "wild", "rules": [asdict(one) for one in self.verdicts], "met": self.met}


def wild(effort: str, say: Callable[[str], None], rules: Sequence[Wild] = RULES) -> Verdicts:
    """Asks the harness about every rule whose package is installed.

    Args:
        effort: "quick" or "thorough".
        say: told each verdict, line by line.
        rules: which.
    """
    found = []
    for rule in rules:
        found.append(_verdict(rule, effort))
        for line in found[-1].lines():
            say(line)
    return Verdicts(tuple(found))


def _verdict(rule: Wild, effort: str) -> Verdict:
    began = time.perf_counter()
    said, why = ABSENT, ""
    # Some print what passes through them.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        with contextlib.suppress(ImportError):
            ask = rule.load()
            said, why = _said(ask, effort)
    expected = said == rule.expects
    seconds = 0.0 if said == ABSENT else time.perf_counter() - began
    return Verdict(_with_version(rule.package), rule.name, said, why, rule.explained, expected, seconds)


def _said(ask: Any, effort: str) -> tuple[str, str]:
    try:
        # Promotion among dtypes is these libraries' own affair.
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            report = check_vjp(ask.op, *ask.args, **ask.options, effort=effort)
    except CannotCheck as error:
        return CANNOT, str(error)
    return (RIGHT, "") if report.ok else (WRONG, report.findings[0].message)


def _with_version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(_DISTRIBUTIONS.get(package, package))}"
    except importlib.metadata.PackageNotFoundError:
        return package

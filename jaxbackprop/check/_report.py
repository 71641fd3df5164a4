"""What the harness found, and how it says so."""

from __future__ import annotations

import dataclasses
import math
from textwrap import indent
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        property: what does not hold: "structure" (shapes, dtypes, a rule that raises), "jit", "forward",
            "linearity", "transpose", "value", "precision", "vmap", "scan", "checkpoint" or "determinism".
        message: the discrepancy in a sentence.
        argument: position of the argument whose cotangent is wrong; None where it is none in particular.
        path: where inside a pytree argument, such as "['W']".
        mistakes: labels of what it looks like, likeliest first.
        named_by: what named the first of them: "property" (it is what does not hold), "numbers", "rule" (one
            edit of the rule makes it right) or "autodiff" (one edit makes autodiff wrong in the same way).
        index: the worst entry.
            A rule for tangents is asked for that of the result where this entry alone of the arguments has a
            tangent, which is one; `got` and `want` are what the cotangent makes of it.
        got: what the rule answered there.
        want: what is right.
        error: their distance.
        noise: how far rounding might put a right rule off there.
        point: arguments at which it shows: with round numbers, where it shows at such.
        cotangent: what comes in there, with the structure of the results.
        shown_at: what those arguments are, in words, where they are not the caller's.
    """

    property: str
    message: str
    argument: int | None = None
    path: str = ""
    mistakes: tuple[str, ...] = ()
    named_by: str = "property"
    index: tuple[int, ...] | None = None
    got: complex | None = None
    want: complex | None = None
    error: float | None = None
    noise: float | None = None
    point: tuple[Any, ...] | None = None
    cotangent: Any = None
    shown_at: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON holds it: arrays as nested lists, nan, inf and complex numbers as text."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def lines(self) -> list[str]:
        """The finding to be read."""
        said = [f"{self.property}: {self.message}"]
        if self.mistakes:
            said.append(f"  looks like: {', '.join(self.mistakes)}")
        if self.got is not None and self.want is not None:
            at = f" at {list(self.index)}" if self.index else ""
            noise = "" if self.noise is None else f"; rounding explains {self.noise:.1g}"
            said.append(f"  worst entry{at}: got {self.got:.7g}, want {self.want:.7g}{noise}")
        if self.shown_at:
            said.append(f"  at {self.shown_at}")
        return said


@dataclasses.dataclass(frozen=True)
class Report:
    """Whether a hand-written rule is right.

    Attributes:
        name: of the operator.
        findings: what is wrong, most serious first; empty where nothing is.
        notes: what is remarkable but right.
        points: how many points were looked at.
        snippet: a few lines of Python that show the first finding in a fresh interpreter; "" where none does.
    """

    name: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    points: int
    snippet: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def wrong_arguments(self) -> tuple[int, ...]:
        """Positions of the arguments whose cotangents are wrong, in order."""
        return tuple(sorted({f.argument for f in self.findings if f.argument is not None}))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        said = {"name": self.name, "ok": self.ok, "wrong_arguments": list(self.wrong_arguments)}
        findings = [finding.to_dict() for finding in self.findings]
        seen = {"notes": list(self.notes), "points": self.points, "snippet": self.snippet}
        return {**said, "findings": findings, **seen}

    @property
    def _verdict(self) -> str:
        return f"{'right' if self.ok else 'WRONG'} ({self.points} points)"

    def __str__(self) -> str:
        lines = [f"{self.name}: {self._verdict}"]
        lines += [f"  {line}" for finding in self.findings for line in finding.lines()]
        lines += [f"  note: {note}" for note in self.notes]
        if self.snippet:
            lines += ["  to see it:", indent(self.snippet, "    ")]
        return "\n".join(lines)

    def __rich__(self) -> RenderableType:
        from rich.text import Text

        text = Text.assemble((self.name, "bold"), ": ", (self._verdict, "green" if self.ok else "bold red"))
        for finding in self.findings:
            first, *rest = finding.lines()
            text.append(f"\n  {finding.property}", "bold").append(first[len(finding.property) :])
            for line in rest:
                text.append(f"\n  {line}", "yellow" if line.startswith("  looks like") else "dim")
        text.append("".join(f"\n  note: {note}" for note in self.notes), "dim")
        if self.snippet:
            text.append("\n  to see it:").append(indent(f"\n{self.snippet}", "    "), "cyan")
        return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(float(value))
    if isinstance(value, complex):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return _plain(np.asarray(jax.random.key_data(value)))
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        array = np.asarray(value)
        numbers = jnp.issubdtype(array.dtype, jnp.floating)
        if jnp.issubdtype(array.dtype, jnp.complexfloating):
            return _plain(array.tolist())
        return _plain((array.astype(np.float64) if numbers else array).tolist())
    return repr(value)

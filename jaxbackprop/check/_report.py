"""What the harness found, and how it says so."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        property: what does not hold: "forward", "structure", "value", "precision", "linearity", "jit", "vmap",
            "determinism", "checkpoint" or "scan".
        argument: position of the argument whose cotangent is wrong; None where it is none in particular.
        path: where inside a pytree argument, such as "['W']".
        mistakes: labels of what it looks like, likeliest first.
        index: the worst entry.
        got: what the rule answered there.
        want: what is right.
        error: their distance.
        noise: how far a right rule might be off there.
        point: arguments at which it shows.
        message: the discrepancy in a sentence.
    """

    property: str
    message: str
    argument: int | None = None
    path: str = ""
    mistakes: tuple[str, ...] = ()
    index: tuple[int, ...] | None = None
    got: float | None = None
    want: float | None = None
    error: float | None = None
    noise: float | None = None
    point: tuple[Any, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON holds it; arrays of the point as nested lists."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain["point"] = None if self.point is None else [_plain(leaf) for leaf in self.point]
        for name in ("got", "want", "error", "noise"):
            value = plain[name]
            # JSON has no nan and no infinity.
            plain[name] = value if value is None or np.isfinite(value) else repr(value)
        return plain


@dataclasses.dataclass(frozen=True)
class Report:
    """Whether a hand-written rule is right.

    Attributes:
        name: of the operator.
        findings: what is wrong, most serious first; empty where nothing is.
        notes: what is remarkable but right.
        points: how many points were looked at.
    """

    name: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    points: int

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
        return {
            "name": self.name,
            "ok": self.ok,
            "wrong_arguments": list(self.wrong_arguments),
            "findings": [finding.to_dict() for finding in self.findings],
            "notes": list(self.notes),
            "points": self.points,
        }

    def __str__(self) -> str:
        verdict = "right" if self.ok else "WRONG"
        lines = [f"{self.name}: {verdict} at {self.points} points"]
        for finding in self.findings:
            lines.append(f"  {finding.property}: {finding.message}")
            if finding.mistakes:
                lines.append(f"    looks like: {', '.join(finding.mistakes)}")
            if finding.got is not None:
                at = "" if not finding.index else f" at {list(finding.index)}"
                lines.append(
                    f"    worst entry{at}: got {finding.got:.6g}, want {finding.want:.6g}, "
                    f"noise {finding.noise:.2g}"
                )
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def __rich__(self) -> RenderableType:
        from rich.text import Text

        text = Text(str(self))
        text.highlight_words(["WRONG"], "bold red")
        text.highlight_regex(r"(?<=: )right(?= at)", "green")
        return text


def _plain(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray | np.generic) or hasattr(leaf, "__array__"):
        try:
            return np.asarray(leaf).tolist()
        except TypeError:
            return repr(leaf)
    if isinstance(leaf, dict):
        return {str(key): _plain(value) for key, value in leaf.items()}
    if isinstance(leaf, list | tuple):
        return [_plain(value) for value in leaf]
    return leaf if isinstance(leaf, int | float | str | bool | None) else repr(leaf)

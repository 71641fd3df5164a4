"""What is learnt about a rule: its findings, and what is noted beside them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from jaxbackprop._errors import first_line

from ._comparison import Comparison, Violation
from ._evaluator import Answer
from ._report import Finding
from ._session import CheckSession


@dataclasses.dataclass(frozen=True)
class Compared:
    """A gradient beside what it was held against.

    Attributes:
        how: "float64" (with the truth), "native" (with the truth, in the arguments' own dtypes),
            "differences", "jit" (with operation by operation), "vmap" (with a loop) or "scan".
        leaf: the differentiable leaf.
        got: the rule's gradient; along directions for "differences".
        want: what it was held against.
        noise: the error of that, where it is known.
    """

    how: str
    leaf: int
    got: np.ndarray
    want: np.ndarray
    noise: np.ndarray | float = 0.0


@dataclasses.dataclass(frozen=True)
class Observations:
    """The rule at every point of a session."""

    comparisons: tuple[Comparison, ...]  # in float64, beside the truth, where the function is finite
    native: tuple[Answer, ...]  # for each of them the rule's answer in the arguments' own dtypes
    base: Answer  # that at the caller's arguments


@dataclasses.dataclass
class Record:
    """Collects what properties learn beside their findings, in the order in which they are asked."""

    session: CheckSession  # in which they are asked
    notes: list[str] = dataclasses.field(default_factory=list)  # what is remarkable but right
    points: int = 0  # how many points were looked at
    wrong: dict[int, Comparison] = dataclasses.field(default_factory=dict)  # what shows each wrong leaf
    compared: list[Compared] = dataclasses.field(default_factory=list)  # where figures are kept
    invisible: set[int] = dataclasses.field(default_factory=set)  # leaves off by what no caller can see
    kinks: set[int] = dataclasses.field(default_factory=set)  # leaves that were at a kink and right
    kept: tuple[int, int] | None = None  # bytes of residuals, the rule's and autodiff's; None if unknown

    def note(self, text: str) -> None:
        """Adds a note, unless it has been said."""
        if text not in self.notes:
            self.notes.append(text)

    def compare(
        self, how: str, leaf: int, got: np.ndarray, want: np.ndarray, noise: np.ndarray | float | None = None
    ) -> None:
        """Adds to `compared`; without `noise` the truth's own rounding is meant."""
        if self.session.figures:
            error = self.session.truth_noise[leaf] if noise is None else noise
            self.compared.append(Compared(how, leaf, got, want, error))


def finding(
    session: CheckSession, leaf: int, what: str, message: str, worst: Violation | None = None, **more: Any
) -> Finding:
    """A finding about a differentiable leaf; `more` are further fields of it."""
    numbers = {} if worst is None else as_seen(session, leaf, worst).numbers()
    argument, path = session.layout.arguments[leaf], session.layout.paths[leaf]
    return Finding(what, message, argument=argument, path=path, **{**numbers, **more})


def as_seen(session: CheckSession, leaf: int, worst: Violation) -> Violation:
    """What is wrong with a gradient as its reader sees it: complex numbers are pairs in the harness alone."""
    return worst.of_complex(-1) if session.layout.is_pairs(leaf) else worst


def leaf_of(session: CheckSession, found: Finding) -> int | None:
    """The differentiable leaf of which a finding tells; None where of none in particular."""
    places = list(zip(session.layout.arguments, session.layout.paths, strict=True))
    place = (found.argument, found.path)
    return places.index(place) if place in places else None


def raised(error: Exception, when: str = "", mistakes: tuple[str, ...] = ()) -> Finding:
    """The finding that a rule raises."""
    said = f"the rule raises {when + ': ' if when else ''}{first_line(error)}"
    return Finding("structure", said, mistakes=mistakes)

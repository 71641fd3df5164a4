"""What a claim of the lecture is, how much work measuring it may be, and what a judge says."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Figures: TypeAlias = Mapping[str, Any]
"""What was measured: numbers, texts, and lists and dicts of them, as JSON holds them."""


@dataclass(frozen=True)
class Effort:
    """How much work a measurement may be.

    Attributes:
        name: of this effort.
        seeds: runs of each setting that is trained, at least 2.
        epochs: of a run of the tagger.
        sentences: of the training sentences the first so many; None takes all.
        seconds: to time each of several peers.
        draws: random networks, or samples, that a mean is taken over.
        steps: of the training of small networks.
        doublings: sizes that a cost is measured at, each twice as large as the one before.
        all_variants: whether to measure also what no verdict needs.
    """

    name: str
    seeds: int
    epochs: int
    sentences: int | None
    seconds: float
    draws: int
    steps: int
    doublings: int
    all_variants: bool


QUICK = Effort("quick", 3, 6, 800, 0.3, 200, 400, 4, False)
FULL = Effort("full", 5, 8, None, 1.0, 2000, 1200, 5, True)


class Outcome(enum.Enum):
    """What a judge can say."""

    HOLDS = "holds"
    IN_PART = "holds in part"
    FAILS = "does not hold"
    UNDECIDED = "not to be told apart"
    UNMEASURED = "not measured"


@dataclass(frozen=True)
class Verdict:
    """What the figures say of a claim.

    Attributes:
        outcome: the verdict.
        figure: the measured figure, in a few words.
        why: the reason, in a sentence.
    """

    outcome: Outcome
    figure: str
    why: str

    @property
    def holds(self) -> bool:
        """Whether the claim holds as a whole."""
        return self.outcome is Outcome.HOLDS


Say: TypeAlias = Callable[[str], None]
"""Told, in a few words, what is being measured."""


@dataclass(frozen=True)
class Claim:
    """Something that the lecture says and that can be measured.

    Attributes:
        name: short, unique.
        unit: of the lecture.
        slide: its heading.
        statement: the claim, in a sentence.
        measure: finds the figures.
        judge: says of the figures alone whether the claim holds.
        command: what measures the same from the command line; empty where nothing does.
    """

    name: str
    unit: int
    slide: str
    statement: str
    measure: Callable[[Effort, Say], dict[str, Any]]
    judge: Callable[[Figures], Verdict]
    command: str = ""

    @property
    def measured_by(self) -> str:
        """The command or function that measures it, for a reader to run."""
        return self.command or f'jaxbackprop.lecture.figures("{self.name}")'

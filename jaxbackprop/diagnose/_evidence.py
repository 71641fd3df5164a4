"""What a diagnosis is given, what it answers, and how long it may take."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from jaxbackprop._float64 import Arrays

from .mistakes import Mistake


@dataclasses.dataclass(frozen=True)
class Sample:
    """One evaluation in float64: arguments, cotangents, what the rule answered and what is right.

    Attributes:
        leaves: every array leaf of the arguments, flattened, integers and keys too; floats in float64.
        dy: one cotangent a float result.
        y: the float results.
        got: the rule's answer, one array a differentiable leaf.
        want: the right one.
        noise: how far a right answer may be from `want`, an array a differentiable leaf.
    """

    leaves: tuple[Any, ...]
    dy: Arrays
    y: Arrays
    got: Arrays
    want: Arrays
    noise: Arrays


@dataclasses.dataclass(frozen=True)
class Evidence:
    """A wrong rule at several points.

    Attributes:
        names: what messages call each differentiable leaf's cotangent: "dW".
        slots: for each differentiable leaf, its position among `Sample.leaves`.
        wrong: which differentiable leaves are wrong, as positions in `got` and `want`.
        samples: at least three. The first two share a point and have other cotangents; the others are
            redrawn arguments. All have the same shapes, and at least one of them shows the mistake.
        rule: the rule at any leaves and cotangents, in float64.
        truth: what is right there.
        rule_program: as `rule`, taking (leaves, dy) and traceable by jax; None for a rule in NumPy.
        truth_program: as `truth`, traceable; None where differences alone judge.
        settings: names and values of the numbers that are no arrays: a keep probability, a strength, a width.
    """

    names: tuple[str, ...]
    slots: tuple[int, ...]
    wrong: tuple[int, ...]
    samples: tuple[Sample, ...]
    rule: Callable[[tuple[Any, ...], Arrays], Arrays]
    truth: Callable[[tuple[Any, ...], Arrays], Arrays]
    rule_program: Callable[[tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...]] | None = None
    truth_program: Callable[[tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...]] | None = None
    settings: tuple[tuple[str, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Suspicion:
    """A mistake that explains the evidence.

    Attributes:
        label: the mistake.
        message: a sentence that says the discrepancy as structure: "dW is the transpose of what it should
            be".
        leaf: which differentiable leaf it was seen in; None where all.
        cost: lower is likelier, among suspicions of one stage.
        stage: "numbers", "rule" (one edit of the rule's own program makes it right) or "autodiff" (one edit
            of the right program makes it wrong in this way).
        found_by: the detector or the edit that found it.
    """

    label: Mistake
    message: str
    leaf: int | None
    cost: float
    stage: str
    found_by: str = ""


class Clock:
    """Seconds of this thread's work, or half of those on the wall where others take the machine."""

    def __init__(self) -> None:
        """Starts the clock."""
        self._work, self._wall = time.thread_time(), time.perf_counter()

    def spent(self) -> float:
        """Seconds since the clock was made."""
        return max(time.thread_time() - self._work, 0.5 * (time.perf_counter() - self._wall))

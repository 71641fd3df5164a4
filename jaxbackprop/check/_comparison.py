"""The rule's gradients beside the right ones, point by point."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxbackprop._float64 import Arrays, to_numpy64

from ._attempt import attempt
from ._evaluator import Answer, Point
from ._rounding import EPS, all_finite, jittered, largest, noise_in_float64
from ._sampling import Kind, Sampled
from ._session import CheckSession

# What is right there is known from other points, and differences are dear.
_FOR_LINEARITY = (Kind.SUM, Kind.MINUS_TWICE, Kind.ZERO, Kind.LARGE_SCALE, Kind.SMALL_SCALE)


@dataclasses.dataclass(frozen=True)
class Violation:
    """The entry that is furthest beyond its noise; the fields are those of a `Finding`."""

    index: tuple[int, ...]
    got: complex
    want: complex
    error: float
    noise: float
    beside: tuple[float, float] = (0.0, 0.0)  # of complex numbers, got and want of the other part

    def of_complex(self, sign: int) -> Violation:
        """The same of the complex number whose part it is, where the imaginary part has this sign."""
        pairs = zip((self.got, self.want), self.beside, strict=True)
        parts = [(a, b) if self.index[-1] == 0 else (b, a) for a, b in pairs]
        got, want = (complex(a.real, sign * b.real) for a, b in parts)
        return Violation(self.index[:-1], got, want, abs(got - want), self.noise)

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Finding`."""
        named = ("index", "got", "want", "error", "noise")
        return {name: getattr(self, name) for name in named}


def worst_violation(got: np.ndarray, want: np.ndarray, noise: np.ndarray | float) -> Violation | None:
    """The entry furthest beyond its noise, if one is. Where the truth is not finite nothing is asked."""
    with np.errstate(all="ignore"):
        distance = np.where(np.isfinite(want), np.abs(got - want), 0.0)
        noise = np.broadcast_to(noise, distance.shape)
        over = ~(distance <= noise)
        # Seldom more is to be done than this: of many numbers each pass costs.
        if not np.any(over) or not np.any(over := over & np.isfinite(want)):
            return None
        excess = np.where(over, np.where(np.isfinite(distance), distance / (noise + 1e-300), np.inf), -1.0)
    at = np.unravel_index(int(np.argmax(excess)), excess.shape)
    index = tuple(int(i) for i in at)
    numbers = float(got[at]), float(want[at]), float(distance[at]), float(noise[at])
    if np.shape(got)[-1:] != (2,):
        return Violation(index, *numbers)
    other = (*index[:-1], 1 - index[-1])
    return Violation(index, *numbers, (float(got[other]), float(want[other])))


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """A point, what the rule answers there in float64 and what is right."""

    kind: Kind  # of the point
    point: Point  # arguments and cotangents
    got: Answer  # the rule's answer
    want: Arrays  # the right gradients; nan where unknown
    noise: Arrays  # how far a right answer may be off, an array a leaf
    y: Arrays  # results of the function

    @property
    def redrawn(self) -> bool:
        """Whether the arguments are others than the caller's."""
        return not self.kind.given

    def gradient(self, leaf: int) -> np.ndarray:
        """The rule's gradient of a leaf, as float64."""
        return to_numpy64(self.got.gradient[leaf])

    def violation(self, leaf: int) -> Violation | None:
        """The worst entry of a leaf beyond its noise; None where there is none."""
        return worst_violation(self.gradient(leaf), self.want[leaf], self.noise[leaf])


def compare(session: CheckSession, points: Sequence[Sampled]) -> list[Comparison]:
    """The rule beside the truth; points where the function or a redrawn truth is not finite are left out."""
    answers = session.rule.run([point for _, point in points])
    if session.truth is None:
        return _with_differences(session, points, answers)
    truth = session.truth
    truths = truth.run([point for _, point in points])
    draws = 1 if session.quick or session.large else 2
    layout, eps = session.layout, max(EPS, session.eps)
    near = [jittered(layout, point, EPS, n) for _, point in points for n in range(draws)]
    # A function that refuses the last digit of its argument says nothing of rounding there.
    ran = attempt(lambda: truth.run(near))
    moved = ran.value if ran.error is None else [right for right in truths for _ in range(draws)]
    found = []
    for at, ((kind, point), got, right) in enumerate(zip(points, answers, truths, strict=True)):
        want = tuple(map(to_numpy64, right.gradient))
        if not all_finite((*right.y, *got.value)) or not (kind.given or all_finite(want)):
            continue
        aside = [moved[draws * at + n].gradient for n in range(draws)]
        noise = noise_in_float64(layout, point, want, right.y, aside, eps)
        found.append(Comparison(kind, point, got, want, noise, tuple(map(to_numpy64, right.y))))
    # Where a gradient dies out, as in saturation, rounding of what it usually is remains of it.
    floors = [32 * eps * size for size in usual_sizes(found)]
    return [
        dataclasses.replace(one, noise=tuple(n + f for n, f in zip(one.noise, floors, strict=True)))
        for one in found
    ]


def usual_sizes(comparisons: Sequence[Comparison]) -> list[float]:
    """The largest gradient of each differentiable leaf where arguments are neither extreme nor tied."""
    usual = [comparison for comparison in comparisons if comparison.kind.usual]
    leaves = range(len(comparisons[0].want)) if comparisons else ()
    return [max((largest(one.want[leaf]) for one in usual), default=0.0) for leaf in leaves]


def _with_differences(
    session: CheckSession, points: Sequence[Sampled], answers: Sequence[Answer]
) -> list[Comparison]:
    found = []
    for (kind, point), got in zip(points, answers, strict=True):
        if kind not in _FOR_LINEARITY and all_finite(got.value):
            want, blurs = session.differences.entries(point)
            noise = tuple(n + 1.6e4 * session.eps * largest(w) for n, w in zip(blurs, want, strict=True))
            found.append(Comparison(kind, point, got, want, noise, tuple(map(to_numpy64, got.value))))
    return found

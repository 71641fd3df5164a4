"""Asking a wrong rule and the right gradient, and comparing their answers within the noise."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from jaxbackprop._float64 import Arrays

from .._evidence import Evidence, Sample, Suspicion

# A Jacobian takes one evaluation of the rule and one of the truth for each entry of the results.
LARGEST_JACOBIAN = 128


class Probe:
    """A wrong rule, with comparisons that know its noise.

    Attributes:
        evidence: the rule at several points.
        wrong: the differentiable leaves to be explained.
        samples: those whose numbers are all finite.
    """

    def __init__(self, evidence: Evidence):
        self.evidence = evidence
        self.samples = tuple(s for s in evidence.samples if all(map(_finite, (*s.got, *s.want, *s.dy))))
        self.wrong = evidence.wrong

    # ---- comparing ----------------------------------------------------------------------------------------

    @functools.cached_property
    def tolerance(self) -> float:
        """Relative difference that rounding explains, of an array against its largest entry."""
        ratios = [
            np.max(noise, initial=0.0) / np.max(np.abs(want))
            for s in self.samples
            for noise, want in zip(s.noise, s.want, strict=True)
            if np.max(np.abs(want), initial=0.0) > 0
        ]
        return float(np.clip(50 * np.median(ratios), 1e-9, 1e-4)) if ratios else 1e-9

    def equal(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Whether two arrays of one shape are equal but for rounding."""
        if a.shape != b.shape or not (_finite(a) and _finite(b)):
            return False
        scale = max(np.max(np.abs(a), initial=0.0), np.max(np.abs(b), initial=0.0))
        return bool(np.max(np.abs(a - b), initial=0.0) <= self.tolerance * scale)

    def differs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Which entries differ by more than rounding."""
        scale = max(np.max(np.abs(a), initial=0.0), np.max(np.abs(b), initial=0.0))
        return np.abs(a - b) > self.tolerance * (0.1 * scale + np.maximum(np.abs(a), np.abs(b)))

    def zero(self, a: np.ndarray, beside: np.ndarray) -> np.ndarray:
        """Which entries of `a` are nought beside the largest of `beside`."""
        scale = max(np.max(np.abs(a), initial=0.0), np.max(np.abs(beside), initial=0.0))
        return np.abs(a) <= self.tolerance * scale

    def wrong_at(self, s: Sample, leaf: int) -> bool:
        """Whether the mistake shows in this leaf of this sample."""
        return not self.equal(s.got[leaf], s.want[leaf])

    @property
    def spare(self) -> int:
        """In how many samples a pattern may fail: at a tie the rule may differ for other reasons."""
        return 1 if len(self.samples) > 4 else 0

    def always(self, leaf: int, made: Iterable[np.ndarray]) -> bool:
        """Whether a pattern, made for each sample, is what the rule answers, and is not simply right."""
        shown = missed = 0
        for s, pattern in zip(self.samples, made, strict=False):
            if self.equal(np.asarray(pattern), s.got[leaf]):
                shown += self.wrong_at(s, leaf)
            else:
                missed += 1
            if missed > self.spare:
                return False
        return shown > missed

    # ---- asking -------------------------------------------------------------------------------------------

    def rule(self, leaves: tuple[Any, ...], dy: Arrays) -> Arrays | None:
        """The rule elsewhere; None where it cannot be asked."""
        return _ask(self.evidence.rule, leaves, dy)

    def truth(self, leaves: tuple[Any, ...], dy: Arrays) -> Arrays | None:
        """The right gradient elsewhere; None where it cannot be asked."""
        return _ask(self.evidence.truth, leaves, dy)

    @functools.cached_property
    def points(self) -> tuple[Sample, ...]:
        """Two samples at different points, those first where more leaves are wrong."""
        # The second sample repeats the first one's point with another cotangent.
        apart = self.samples[:1] + self.samples[2:]
        return tuple(sorted(apart, key=lambda s: -sum(self.wrong_at(s, leaf) for leaf in self.wrong))[:2])

    @functools.cached_property
    def jacobians(self) -> list[tuple[list[Arrays], list[Arrays]]]:
        """At each of the two points, the rule's and the right Jacobians: [result][leaf].

        The result's axes come first, then the leaf's. Empty where the results are too large or the rule
        cannot be asked.
        """
        size = sum(d.size for d in self.samples[0].dy) if self.samples else 0
        if not 0 < size <= LARGEST_JACOBIAN:
            return []
        points = self.points if size <= LARGEST_JACOBIAN // 3 else self.points[:1]
        found = []
        for s in points:
            both = self._jacobian(self.rule, s), self._jacobian(self.truth, s)
            if both[0] is not None and both[1] is not None:
                found.append((both[0], both[1]))
        return found

    def _jacobian(self, f: Callable[..., Arrays | None], s: Sample) -> list[Arrays] | None:
        results = []
        for k, d in enumerate(s.dy):
            rows = []
            for index in range(d.size):
                dy = [np.zeros_like(other) for other in s.dy]
                dy[k].reshape(-1)[index] = 1.0
                answer = f(s.leaves, tuple(dy))
                if answer is None or not all(map(_finite, answer)):
                    return None
                rows.append(answer)
            leaves = [
                np.reshape([row[i] for row in rows], d.shape + np.shape(want))
                for i, want in enumerate(s.want)
            ]
            results.append(tuple(leaves))
        return results

    def explained(
        self, leaves: Sequence[int], answers: Iterable[tuple[Sample, Arrays | None, Arrays]]
    ) -> list[int]:
        """The leaves on which an answer elsewhere is what is due here, in all samples but a few.

        Args:
            leaves: those in question.
            answers: for each sample an answer, None where there was none, and what it should be. They are
                asked for one by one, and no more of them once every leaf has failed.
        """
        if not leaves:
            return []
        missed, shown = dict.fromkeys(leaves, 0), dict.fromkeys(leaves, 0)
        for s, answer, due in answers:
            for leaf in leaves:
                if answer is not None and self.equal(answer[leaf], due[leaf]):
                    shown[leaf] += self.wrong_at(s, leaf)
                else:
                    missed[leaf] += 1
            if all(count > self.spare for count in missed.values()):
                break
        return [leaf for leaf in leaves if shown[leaf] > missed[leaf] <= self.spare]

    def pairs(self, leaf: int) -> list[Pair]:
        """A leaf's Jacobians, for each point and result where the rule's differs from the right one."""
        return [
            Pair(got[k][leaf], want[k][leaf], d.shape, s.want[leaf].shape, s)
            for s, (got, want) in zip(self.points, self.jacobians, strict=False)
            for k, d in enumerate(s.dy)
            if got[k][leaf].size and not self.equal(got[k][leaf], want[k][leaf])
        ]

    # ---- what kind of function it is ----------------------------------------------------------------------

    def selects(self, leaf: int) -> bool:
        """Whether the numbers choose which entries get a gradient, as a maximum or a threshold does."""
        return self._selecting[leaf]

    @functools.cached_property
    def _selecting(self) -> list[bool]:
        first = self.samples[0]
        free = [k for k in self.evidence.slots if not is_mask(first.leaves[k])]
        # The samples may lie close together: the point mirrored, or turned round, lies elsewhere.
        places = [{k: s.leaves[k] for k in free} for s in self.samples[2:]]
        places += [
            {k: change(np.asarray(first.leaves[k])) for k in free} for change in (np.negative, np.flip)
        ]
        answers = [first.want]
        for place in places:
            # Masks and indices stay, and one cotangent serves all: with another, sums may cancel elsewhere.
            leaves = tuple(place.get(k, leaf) for k, leaf in enumerate(first.leaves))
            there = self.truth(leaves, first.dy)
            if there is not None and all(map(_finite, there)):
                answers.append(there)
        found = []
        for leaf, want in enumerate(first.want):
            nothing = [self.zero(a[leaf], want) for a in answers]
            found.append(want.size > 0 and any(np.any(n != nothing[0]) for n in nothing))
        return found

    @functools.cached_property
    def piecewise(self) -> bool:
        """Whether some argument's gradient stays under a small move of it, and not under a large one."""
        first = self.samples[0]
        for leaf, slot in enumerate(self.evidence.slots):
            x = np.asarray(first.leaves[slot], np.float64)
            # Small, and yet a smooth gradient would move by more than the noise.
            moves = (x * (1 + min(1e3 * self.tolerance, 1e-2)), -x, np.flip(x))
            answers = [self.truth(put(first, slot, moved), first.dy) for moved in moves]
            still = [a is not None and self.equal(a[leaf], first.want[leaf]) for a in answers]
            if x.size > 1 and still[0] and not all(still[1:]):
                return True
        return False

    @functools.cached_property
    def recurrent(self) -> bool:
        """Whether a result hears of what came before along the first axis, and not of what comes after."""
        s = self.samples[0]
        shapes = [np.shape(s.leaves[slot]) for slot in self.evidence.slots]
        for y in s.y:
            if np.ndim(y) == 1 and y.size > 1:
                square, steps = (
                    (y.size, y.size) in shapes,
                    any(n[1:] == y.shape for n in shapes if len(n) == 2),
                )
                if (
                    square
                    and steps
                    and any(n[1:] == y.shape and n != (y.size, y.size) for n in shapes if len(n) == 2)
                ):
                    return True
                if square and shapes.count((y.size, y.size)) > 1 and y.shape in shapes:
                    return True
        for _, want in self.jacobians:
            for k, y in enumerate(s.y):
                for leaf, shape in enumerate(shapes):
                    if np.ndim(y) and len(shape) and shape[0] == y.shape[0] > 2:
                        by_step = np.abs(want[k][leaf]).sum(
                            axis=tuple(a for a in range(want[k][leaf].ndim) if a not in (0, np.ndim(y)))
                        )
                        if not np.any(np.triu(by_step, 1)) and np.all(
                            np.tril(by_step)[np.tril_indices(shape[0])]
                        ):
                            return True
        return False

    # ---- saying -------------------------------------------------------------------------------------------

    def name(self, leaf: int) -> str:
        """What messages call the leaf's cotangent."""
        return self.evidence.names[leaf]

    def argument(self, leaf: int) -> str:
        """What messages call the leaf itself."""
        name = self.evidence.names[leaf]
        return name[1:] if name.startswith("d") and len(name) > 1 else f"the argument of {name}"

    def suspect(self, label: str, leaf: int, cost: float, says: str) -> Suspicion:
        """A suspicion whose message begins with the cotangent's name."""
        return Suspicion(label, f"{self.name(leaf)} {says}", leaf, cost, "numbers")

    @functools.cached_property
    def scalars(self) -> dict[str, list[float]]:
        """The scalar arguments by name, with their value in each sample."""
        return {
            self.argument(leaf): [float(s.leaves[slot]) for s in self.samples]
            for leaf, slot in enumerate(self.evidence.slots)
            if self.samples and np.size(self.samples[0].leaves[slot]) == 1
        }


@dataclasses.dataclass(frozen=True)
class Pair:
    """The rule's and the right Jacobian of one result by one leaf at one point, the result's axes first."""

    got: np.ndarray
    want: np.ndarray
    outer: tuple[int, ...]
    inner: tuple[int, ...]
    sample: Sample

    @property
    def square(self) -> bool:
        """Whether result and leaf have one shape."""
        return self.outer == self.inner

    def flat(self, a: np.ndarray) -> np.ndarray:
        """As a matrix: entries of the result by entries of the leaf."""
        return a.reshape(int(np.prod(self.outer)), int(np.prod(self.inner)))


def put(s: Sample, slot: int, value: Any) -> tuple[Any, ...]:
    """A sample's leaves with one of them exchanged."""
    return (*s.leaves[:slot], value, *s.leaves[slot + 1 :])


def is_integer(leaf: Any) -> bool:
    """Whether a leaf holds integers; random keys do not count."""
    return isinstance(getattr(leaf, "dtype", None), np.dtype) and np.issubdtype(leaf.dtype, np.integer)


def is_boolean(leaf: Any) -> bool:
    """Whether a leaf holds truth values."""
    return getattr(leaf, "dtype", None) == np.dtype(bool)


def is_mask(leaf: Any) -> bool:
    """Whether a leaf holds nothing but noughts and ones."""
    plain = is_boolean(leaf) or is_integer(leaf) or np.issubdtype(getattr(leaf, "dtype", object), np.floating)
    return bool(plain and np.size(leaf) > 1 and np.all(np.isin(np.asarray(leaf), (0, 1))))


def exchanges(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every other order of the axes that leaves the shape as it is."""
    if len(shape) > 5:
        return
    for order in itertools.permutations(range(len(shape))):
        if order != tuple(range(len(shape))) and tuple(shape[axis] for axis in order) == shape:
            yield order


def long_axes(shape: tuple[int, ...]) -> list[int]:
    """The axes with more than one entry."""
    return [axis for axis, n in enumerate(shape) if n > 1]


def flips(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every set of axes along which something may run backwards, single ones first."""
    axes = long_axes(shape)[-3:]
    for count in range(1, len(axes) + 1):
        yield from itertools.combinations(axes, count)


def along(axes: tuple[int, ...]) -> str:
    """The words for some axes."""
    return ("axis " if len(axes) == 1 else "axes ") + " and ".join(map(str, axes))


def fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether one shape broadcasts to another."""
    return len(shape) <= len(whole) and all(
        a in (1, b) for a, b in zip(shape[::-1], whole[::-1], strict=False)
    )


def shifted(a: np.ndarray, by: int, axis: int, *, wrap: bool) -> np.ndarray:
    """An array moved along an axis; what enters is zero, or comes round from the other end."""
    moved = np.roll(a, by, axis)
    if not wrap:
        np.moveaxis(moved, axis, 0)[(0 if by > 0 else -1)] = 0
    return moved


def place(shape: tuple[int, ...], axis: int, index: int) -> str:
    """The name of a slice: "last column"."""
    n = shape[axis]
    which = "last" if index == n - 1 else "first" if index == 0 else f"number {index}"
    kind = "entry" if len(shape) == 1 else {len(shape) - 1: "column", len(shape) - 2: "row"}.get(axis)
    if kind is None:
        kind = f"slice along axis {axis}"
    return f"{kind} {which}" if which.startswith("number") else f"{which} {kind}"


def _finite(a: np.ndarray) -> bool:
    return bool(np.all(np.isfinite(a)))


def _ask(f: Callable[..., Arrays], leaves: tuple[Any, ...], dy: Arrays) -> Arrays | None:
    try:
        answer = f(leaves, dy)
    # A rule may refuse strange arguments in any way it likes; then the question is dropped.
    except Exception:
        return None
    return tuple(np.asarray(a, np.float64) for a in answer)

"""Asks a wrong rule and the right gradient, and compares their answers within the noise."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxbackprop._float64 import Arrays

from .._arrays import is_mask, other_axes, with_leaf
from .._evidence import Evidence, Sample
from ..mistakes import Mistake
from ._jacobians import LARGEST_JACOBIAN, JacobianPair, jacobian

# A leaf, what is said of its gradient, and the mistakes that it would be, with their costs.
Guess = tuple[int, str, Mapping[Mistake, float]]


class Probe:
    """A wrong rule at the samples that are finite, with comparisons that know its noise."""

    def __init__(self, evidence: Evidence):
        """Takes the evidence; nothing is asked before it is needed."""
        self.evidence = evidence
        self.samples = tuple(s for s in evidence.samples if all(map(_finite, (*s.got, *s.want, *s.dy))))
        self.wrong = evidence.wrong

    # ---- comparing ----------------------------------------------------------------------------------------

    @functools.cached_property
    def tolerance(self) -> float:
        """Relative difference that rounding explains, of an array against its largest entry."""
        ratios = [
            np.max(noise, initial=0.0) / _largest(want)
            for s in self.samples
            for noise, want in zip(s.noise, s.want, strict=True)
            if _largest(want) > 0
        ]
        return float(np.clip(50 * np.median(ratios), 1e-9, 1e-4)) if ratios else 1e-9

    def equal(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Whether two arrays are of one shape and equal but for rounding."""
        if a.shape != b.shape or not (_finite(a) and _finite(b)):
            return False
        return _largest(a - b) <= self.tolerance * _largest(a, b)

    def differs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Which entries differ by more than rounding."""
        return np.abs(a - b) > self.tolerance * (0.1 * _largest(a, b) + np.maximum(np.abs(a), np.abs(b)))

    def zero(self, a: np.ndarray, beside: np.ndarray) -> np.ndarray:
        """Which entries of `a` are zero beside the largest entry of both."""
        return np.abs(a) <= self.tolerance * _largest(a, beside)

    def constant_along(self, a: np.ndarray, axis: int) -> bool:
        """Whether an array is the same along an axis."""
        return self.equal(np.broadcast_to(np.take(a, [0], axis), a.shape), a)

    def wrong_at(self, s: Sample, leaf: int) -> bool:
        """Whether the mistake shows in this leaf of this sample."""
        return not self.equal(s.got[leaf], s.want[leaf])

    @property
    def allowed_misses(self) -> int:
        """In how many samples a pattern may fail: at a tie the rule may differ for other reasons."""
        return 1 if len(self.samples) > 4 else 0

    def is_always(self, leaf: int, patterns: Iterable[np.ndarray]) -> bool:
        """Whether a pattern, made for each sample, is what the rule answers, and is not simply right."""
        made = zip(self.samples, map(np.asarray, patterns), strict=False)
        return bool(self.explained([leaf], ((s, {leaf: pattern}, s.got) for s, pattern in made)))

    def explained(
        self,
        leaves: Sequence[int],
        answers: Iterable[tuple[Sample, Arrays | Mapping[int, np.ndarray] | None, Arrays]],
    ) -> list[int]:
        """The leaves on which an answer at changed input is what is looked for, in all samples but a few.

        For each sample there is an answer, None where there was none, and what it should be. They are asked
        for one by one, and no more of them once every leaf has failed.
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
            if all(count > self.allowed_misses for count in missed.values()):
                break
        return [leaf for leaf in leaves if shown[leaf] > missed[leaf] <= self.allowed_misses]

    # ---- asking -------------------------------------------------------------------------------------------

    def rule(self, leaves: tuple[Any, ...], dy: Arrays) -> Arrays | None:
        """The rule at any point; None where it cannot be asked."""
        return _ask(self.evidence.rule, leaves, dy)

    def truth(self, leaves: tuple[Any, ...], dy: Arrays) -> Arrays | None:
        """The right gradient at any point; None where it cannot be asked."""
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

        Empty where the results are too large or the rule cannot be asked.
        """
        size = sum(d.size for d in self.samples[0].dy) if self.samples else 0
        if not 0 < size <= LARGEST_JACOBIAN:
            return []
        points = self.points if size <= LARGEST_JACOBIAN // 3 else self.points[:1]
        found = []
        for s in points:
            got, want = jacobian(self.rule, s), jacobian(self.truth, s)
            if got is not None and want is not None:
                found.append((got, want))
        return found

    def pair(self, got: np.ndarray, want: np.ndarray, results: int, s: Sample) -> JacobianPair:
        """Two Jacobians, the first `results` of whose axes are the result's."""
        supports = ~self.zero(got, want), ~self.zero(want, want)
        shapes = want.shape[:results], want.shape[results:]
        return JacobianPair(got, want, *shapes, s, *supports, self.differs(got, want))

    def pairs(self, leaf: int) -> list[JacobianPair]:
        """A leaf's Jacobians, for each point and result where the rule's differs from the right one."""
        return [
            self.pair(got[k][leaf], want[k][leaf], d.ndim, s)
            for s, (got, want) in zip(self.points, self.jacobians, strict=False)
            for k, d in enumerate(s.dy)
            if got[k][leaf].size and not self.equal(got[k][leaf], want[k][leaf])
        ]

    # ---- what kind of function it is ----------------------------------------------------------------------

    @functools.cached_property
    def selects(self) -> list[bool]:
        """Of each leaf, whether the numbers choose which entries get a gradient: a maximum, a threshold."""
        first = self.samples[0]
        free = [k for k in self.evidence.slots if not is_mask(first.leaves[k])]
        # The samples may lie close together: the point mirrored, or in reversed order, lies elsewhere.
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
            zeros = [self.zero(a[leaf], want) for a in answers]
            found.append(want.size > 0 and any(np.any(z != zeros[0]) for z in zeros))
        return found

    @functools.cached_property
    def piecewise_linear(self) -> bool:
        """Whether some argument's gradient stays under a small move of it, and not under a large one."""
        first = self.samples[0]
        for leaf, slot in enumerate(self.evidence.slots):
            x = np.asarray(first.leaves[slot], np.float64)
            # Small, and yet a smooth gradient would move by more than the noise.
            moves = (x * (1 + min(1e3 * self.tolerance, 1e-2)), -x, np.flip(x))
            answers = [self.truth(with_leaf(first, slot, moved), first.dy) for moved in moves]
            still = [a is not None and self.equal(a[leaf], first.want[leaf]) for a in answers]
            if x.size > 1 and still[0] and not all(still[1:]):
                return True
        return False

    @functools.cached_property
    def recurrent(self) -> bool:
        """Whether the function looks like a recurrence, by its arguments' shapes or its Jacobians."""
        s = self.samples[0]
        shapes = [np.shape(s.leaves[slot]) for slot in self.evidence.slots]
        return any(_last_state(y.shape, shapes) for y in s.y) or any(
            _causal(want[k][leaf], y.ndim)
            for _, want in self.jacobians
            for k, y in enumerate(s.y)
            for leaf, shape in enumerate(shapes)
            if y.ndim and shape and shape[0] == y.shape[0] > 2
        )

    # ---- saying -------------------------------------------------------------------------------------------

    def name(self, leaf: int) -> str:
        """What messages call the leaf's cotangent."""
        return self.evidence.names[leaf]

    def argument(self, leaf: int) -> str:
        """What messages call the leaf itself."""
        name = self.evidence.names[leaf]
        return name[1:] if name.startswith("d") and len(name) > 1 else f"the argument of {name}"

    @functools.cached_property
    def scalars(self) -> dict[str, list[float]]:
        """The scalar arguments by name, with their value in each sample."""
        return {
            self.argument(leaf): [float(np.reshape(s.leaves[slot], ())) for s in self.samples]
            for leaf, slot in enumerate(self.evidence.slots)
            if self.samples and np.size(self.samples[0].leaves[slot]) == 1
        }

    def known_arrays(self, samples: Sequence[Sample]) -> list[tuple[str, list[np.ndarray]]]:
        """The float arguments and the results by name, with their values in some samples."""
        known = [
            (self.argument(leaf), [np.asarray(s.leaves[slot]) for s in samples])
            for leaf, slot in enumerate(self.evidence.slots)
        ]
        results = range(len(samples[0].y))
        names = ["the result"] if len(results) == 1 else [f"result {k}" for k in results]
        return known + [(names[k], [s.y[k] for s in samples]) for k in results]


def _last_state(result: tuple[int, ...], shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether a result may be a recurrence's state: one square matrix and a sequence, or two and a state."""
    if len(result) != 1 or result[0] < 2:
        return False
    square = result * 2
    sequence = any(len(n) == 2 and n[1:] == result and n != square for n in shapes)
    return square in shapes and (sequence or (shapes.count(square) > 1 and result in shapes))


def _causal(jacobian: np.ndarray, results: int) -> bool:
    """Whether each step of the result depends on every step of the argument up to it, and on no later one."""
    by_step = np.abs(jacobian).sum(axis=other_axes(jacobian.ndim, 0, results))
    return not np.any(np.triu(by_step, 1)) and bool(np.all(by_step[np.tril_indices(len(by_step))]))


def _finite(a: np.ndarray) -> bool:
    return bool(np.all(np.isfinite(a)))


def _largest(*arrays: np.ndarray) -> float:
    return max(float(np.max(np.abs(a), initial=0.0)) for a in arrays)


def _ask(f: Callable[..., Arrays], leaves: tuple[Any, ...], dy: Arrays) -> Arrays | None:
    try:
        answer = f(leaves, dy)
    # A user's rule may refuse strange arguments with any exception; then the question is dropped.
    except Exception:
        return None
    return tuple(np.asarray(a, np.float64) for a in answer)

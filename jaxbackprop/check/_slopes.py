"""Gradients beside slopes of the function: which of them differences contradict, and whether autodiff is one.

Autodiff through a comparison gives zero, as of a root found by bisection: there it is no derivative, and
differences alone judge.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from ._attempt import attempt
from ._comparison import Comparison
from ._differences import Directions, Estimate, flat
from ._rounding import all_finite, backward_error, term_sizes
from ._sampling import Kind
from ._session import CheckSession
from ._strip import holds

# Of how many points at which a rule is no match for autodiff the slopes are asked.
_ASKED = 2
# Where autodiff is not extreme, and the cotangents are as drawn.
_PLAIN = (Kind.FRESH, Kind.GENERIC, Kind.OTHER, Kind.FLIPPED, Kind.POSITIVE, Kind.NEGATIVE)


@dataclasses.dataclass(frozen=True)
class Slopes:
    """Slopes along ways in which one leaf moves."""

    ways: np.ndarray  # of that leaf's entries
    moved: np.ndarray  # whether a way moves it
    got: np.ndarray  # what a gradient says of them
    estimate: Estimate
    noise: np.ndarray  # how far a right gradient may be off
    off: np.ndarray  # where the differences are sure and the gradient is off


def slopes(
    session: CheckSession,
    one: Comparison,
    leaf: int,
    gradient: np.ndarray,
    directions: Directions,
    estimate: Estimate,
) -> Slopes:
    """A gradient of a leaf beside the differences along all ways in which it moves."""
    ends = np.cumsum([0, *(want.size for want in one.want)])
    ways = directions.ways[:, ends[leaf] : ends[leaf + 1]]
    moved = np.any(ways != 0, axis=1)
    got = ways @ gradient.reshape(-1)
    scale = float(np.max(np.abs(got), initial=0.0))
    backward = backward_error(one.point, session.layout.floats[leaf], term_sizes(one.point, one.y))
    known = np.abs(ways) @ np.nan_to_num(one.noise[leaf]).reshape(-1)
    sure = estimate.error <= estimate.sure * (np.abs(estimate.value) + 1e-2 * scale)
    noise = 20 * estimate.error + known + 1e-7 * scale + 1e-9 * backward + 1e-40
    off = moved & sure & ~(np.abs(got - estimate.value) <= noise)
    rows = np.flatnonzero(off)
    if rows.size:
        off[rows] &= ~_beside_kinks(session, one, directions.ways[rows], np.abs(got - estimate.value)[rows])
    return Slopes(ways, moved, got, estimate, noise, off)


def _beside_kinks(
    session: CheckSession, one: Comparison, ways: np.ndarray, distance: np.ndarray
) -> np.ndarray:
    """For every way, whether autodiff has a kink within the shortest steps that explains such a distance.

    A smooth slope changes to either side by as much. Where autodiff is no derivative it sees none.
    """
    truth = session.truth
    if truth is None:
        return np.zeros(len(ways), bool)
    points = []
    for way, step in zip(ways, session.differences.short_steps(one.point, ways), strict=True):
        points += [session.differences.moved(one.point, sign * step * way) for sign in (1.0, -1.0)]
    ran = attempt(lambda: truth.run(points))
    if ran.error is not None:
        return np.zeros(len(ways), bool)
    sides = np.stack([flat(answer.gradient) for answer in ran.value]).reshape(len(ways), 2, -1)
    bend = np.einsum("wse,we->w", sides - flat(one.want), ways)
    return ~(np.abs(bend) <= 0.1 * distance)


def is_no_derivative(session: CheckSession, comparisons: Sequence[Comparison]) -> bool:
    """Whether differences contradict autodiff where autodiff contradicts the rule.

    A function that stops gradients means what autodiff says, unless differences side with the rule.
    """
    if session.truth is None or session.subject.intended is not None:
        return False
    means_it = session.truth.jaxpr is not None and holds(session.truth.jaxpr, "stop_gradient")
    contradicting = [one for one in comparisons if one.kind is Kind.BASE or one.kind in _PLAIN]
    asked = 0
    for one in contradicting:
        wrong = {leaf: v for leaf in range(len(one.want)) if (v := one.violation(leaf)) is not None}
        if not wrong or not all_finite((*one.want, *one.y)):
            continue
        if asked == _ASKED:
            break
        asked += 1
        starts = np.cumsum([0, *(want.size for want in one.want)])
        worst = [
            int(starts[leaf]) + int(np.ravel_multi_index(v.index, one.want[leaf].shape))
            for leaf, v in wrong.items()
        ]
        ran = attempt(functools.partial(session.differences.anywhere, one.point, also=worst))
        if ran.error is not None:
            return False
        for leaf in wrong:
            of_truth = slopes(session, one, leaf, one.want[leaf], *ran.value)
            if not np.any(of_truth.off):
                continue
            of_rule = slopes(session, one, leaf, one.gradient(leaf), *ran.value)
            if not means_it or not np.any(of_rule.off):
                return True
    return False

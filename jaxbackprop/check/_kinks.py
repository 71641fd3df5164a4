"""Where a function has no one gradient: which answers are valid there.

A function with a kink at a point is differentiable at almost every point beside it. The convex hull of the
gradients there is what a rule may answer at the kink (Clarke's generalised gradient).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxbackprop._float64 import to_numpy64

from ._attempt import attempt
from ._comparison import Comparison
from ._differences import as_leaves, flat
from ._evaluator import Evaluator, Point
from ._rounding import jittered
from ._session import LARGE, CheckSession

# Gradients at several displaced points at once: rows of entries to rows of entries.
Nearby = Callable[[list[np.ndarray]], np.ndarray]

RADIUS = 2.0**-20
_ROUNDS = 12
# Differences move entry by entry; beyond so many entries a hull of them takes too long.
_MOST_BY_DIFFERENCES = 256


@dataclasses.dataclass(frozen=True)
class Kink:
    """What is known of the gradients around a point."""

    spread: float  # the largest distance between two of them, entry by entry; 0 where the function is smooth
    outside: float  # how far an answer sticks out of their hull, relative to the spread


def kink(session: CheckSession, comparison: Comparison, leaf: int) -> Kink | None:
    """Whether a leaf's gradient is at a kink, and how far out of its hull the rule's answer is.

    None also where the arguments are too large for that to be found out.
    """
    around = _around(session, comparison.point)
    if around is None:
        return None
    got, want = flat(comparison.got.gradient), flat(comparison.want)
    if session.truth is None:
        # What differences leave open says nothing against a smooth point.
        want = np.where(np.isfinite(want), want, got)
    return judge_in_hull(
        got,
        want,
        np.flatnonzero(around.leaves == leaf),
        around.size,
        around.gradients,
        np.random.default_rng(0),
        radius=_radius(session),
    )


def kink_together(session: CheckSession, comparison: Comparison, leaves: Sequence[int]) -> Kink | None:
    """As `kink`, of the gradients of some leaves together: what is valid for each may be too much for all.

    Only entries count whose gradients vary around the point. Each leaf counts as much as any other, whatever
    its units.
    """
    around = _around(session, comparison.point)
    if around is None:
        return None
    rng, radius = np.random.default_rng(0), _radius(session)
    shakes = [radius / 32 * around.size * rng.uniform(-1, 1, around.size.shape) for _ in range(16)]
    near = _finite(around.gradients(shakes))
    if len(near) < 2:
        return None
    varies = np.ptp(near, axis=0)
    unit = np.ones_like(varies)
    for leaf in leaves:
        its = around.leaves == leaf
        unit[its] = np.max(varies[its], initial=0.0) or 1.0
    part = np.isin(around.leaves, leaves) & (varies > 1e-6 * unit)

    def gradients(moves: list[np.ndarray]) -> np.ndarray:
        return around.gradients(moves) / unit

    return judge_in_hull(
        flat(comparison.got.gradient) / unit,
        flat(comparison.want) / unit,
        np.flatnonzero(part),
        around.size,
        gradients,
        rng,
        radius=radius,
    )


class _Around(NamedTuple):
    """What is around a point: for each entry its leaf and its size, and the gradients nearby."""

    leaves: np.ndarray
    size: np.ndarray
    gradients: Nearby


def _around(session: CheckSession, point: Point) -> _Around | None:
    """The surroundings of a point; None where there are too many entries to look around in."""
    layout, truth = session.layout, session.truth
    at = layout.floats_of(point.leaves)
    counts = list(map(np.size, at))
    if sum(counts) > (LARGE if truth is not None else _MOST_BY_DIFFERENCES):
        return None

    def gradients(moves: list[np.ndarray]) -> np.ndarray:
        floats = (as_leaves(flat(at) + move, at) for move in moves)
        points = [Point(layout.with_floats(point.leaves, f), point.dy) for f in floats]
        if truth is None:
            return np.stack([session.differences.gradient(near) for near in points])
        ran = attempt(lambda: truth.run(points))
        if ran.error is not None:
            return np.full((len(points), sum(counts)), np.nan)
        return np.stack([flat(answer.gradient) for answer in ran.value])

    size = flat(tuple(np.full(np.shape(x), _size_or_one(x)) for x in at))
    return _Around(np.repeat(np.arange(len(at)), counts), size, gradients)


def _radius(session: CheckSession) -> float:
    """Differences want room between a kink and their step."""
    if session.truth is not None:
        return RADIUS
    return 2.0**-2 if session.differences.coarse else 2.0**-12


def nearby_mean(truth: Evaluator, point: Point, leaf: int) -> tuple[np.ndarray, float]:
    """The gradient around a point where autodiff itself is not finite, and how much it varies."""
    layout, moved = truth.layout, []
    rng = np.random.default_rng(0)
    for near in (jittered(layout, point, 2.0**-24, n) for n in range(4)):
        leaves = list(near.leaves)
        for i in layout.floats:
            shake = rng.uniform(-1, 1, np.shape(leaves[i]))
            leaves[i] = leaves[i] + 2.0**-24 * _size_or_one(leaves[i]) * shake
        moved.append(Point(tuple(leaves), near.dy))
    ran = attempt(lambda: truth.run(moved))
    if ran.error is not None:
        return np.full(np.shape(point.leaves[layout.floats[leaf]]), np.nan), 0.0
    gradients = np.stack([to_numpy64(a.gradient[leaf]) for a in ran.value])
    return np.mean(gradients, axis=0), float(np.max(np.ptp(gradients, axis=0), initial=0.0))


def _size_or_one(leaf: Any) -> float:
    return _size(np.asarray(leaf, np.float64)) or 1.0


def judge_in_hull(
    answer: np.ndarray,
    at_point: np.ndarray,
    part: np.ndarray,
    size: np.ndarray,
    gradients: Nearby,
    rng: np.random.Generator,
    *,
    radius: float = RADIUS,
) -> Kink | None:
    """Whether a point lies on a kink and, if so, whether an answer is a generalised gradient there.

    None at a smooth point where autodiff is right. At a kink the hull is built where it matters: toward the
    answer, by the gradients that reach furthest in that direction (Frank and Wolfe's method). Where autodiff
    alone stands apart from the gradients around, these are the truth. All vectors hold the entries of all
    leaves; those at `part` are in question. An entry moves by `radius * size` at most.
    """
    moves = [size * rng.uniform(-1, 1, size.shape) for _ in range(8)]
    answer, at_point = answer[part], at_point[part]
    far = _finite(gradients([radius * move for move in moves])[:, part])
    around = gradients([radius / 32 * move for move in moves])
    # The gradient in question may turn with any entry that has a kink, not with its own alone.
    tied = np.flatnonzero(np.ptp(np.nan_to_num(around), axis=0) > 1e-9 * _size(np.nan_to_num(around)))
    near = _finite(around[:, part])
    if len(far) < 2 or len(near) < 2:
        return None
    spread = float(np.max(np.ptp(near, axis=0), initial=0.0))
    # Smooth gradients draw together with the points; those of two sides of a kink do not.
    if not spread > 0.25 * float(np.max(np.ptp(far, axis=0), initial=0.0)) or spread <= 1e-9 * _size(near):
        limit, tolerance = np.mean(near, axis=0), 4 * spread + 1e-9 * _size(near)
        if np.all(np.abs(at_point - limit) <= 1e-2 * np.abs(limit) + tolerance):
            return None
        right = np.all(np.abs(answer - limit) <= 1e-5 * _size(near) + tolerance)
        return Kink(1.0, 0.0 if right else float("inf"))
    if not np.all(np.isfinite(answer)):
        return Kink(spread, float("inf"))
    corners, outside = near, 0.0
    gap = answer - _nearest(answer, corners)
    for _ in range(_ROUNDS):
        if np.linalg.norm(gap) <= 1e-4 * spread:
            return Kink(spread, 0.0)
        corners = np.concatenate([corners, _furthest(gap, part, size * radius / 32, gradients, rng)])
        # Only a direction in which the answer reaches further than all gradients tells that it lies outside.
        ahead = float(gap @ answer - np.max(corners @ gap)) / float(np.linalg.norm(gap))
        outside = max(0.0, ahead) / spread
        closer = answer - _nearest(answer, corners)
        stuck = np.linalg.norm(closer) > 0.999 * np.linalg.norm(gap)
        if outside > 1e-2 or stuck:
            climbed = _climbed(closer, part, tied, size * radius / 32, gradients, rng)
            corners = np.concatenate([corners, climbed])
            ahead = float(gap @ answer - np.max(corners @ gap)) / float(np.linalg.norm(gap))
            outside = min(outside, max(0.0, ahead) / spread)
            closer = answer - _nearest(answer, corners)
            stuck = np.linalg.norm(closer) > 0.999 * np.linalg.norm(gap)
        gap = closer
        if stuck:
            break
    return Kink(spread, outside)


def _furthest(
    way: np.ndarray, part: np.ndarray, size: np.ndarray, gradients: Nearby, rng: np.random.Generator
) -> np.ndarray:
    """Gradients that reach far in a direction: convex kinks show them ahead, concave ones behind."""
    length = float(np.max(np.abs(way))) or 1.0
    shake = size * rng.uniform(-1, 1, (6, *size.shape)) / 64

    def moved(step: np.ndarray, n: int) -> np.ndarray:
        move = shake[n].copy()
        move[part] += size[part] * step
        return move

    ahead, behind = gradients([moved(way / length, 0), moved(-way / length, 1)])[:, part]
    with np.errstate(invalid="ignore"):
        signs = np.where(way * ahead >= way * behind, 1.0, -1.0)
    # Full steps: a shake must not outweigh a small entry of the direction.
    full = np.sign(way)
    over, under = gradients([moved(full, 2), moved(-full, 3)])[:, part]
    with np.errstate(invalid="ignore"):
        sides = np.where(way * over >= way * under, 1.0, -1.0)
    turned = [moved(signs * way / length, 2), moved(signs * full, 3)]
    turned += [moved(sides * full, 4), moved(sides * full, 5)]
    return _finite(np.concatenate([[ahead, behind], gradients(turned)[:, part]]))


def _climbed(
    way: np.ndarray,
    part: np.ndarray,
    tied: np.ndarray,
    size: np.ndarray,
    nearby: Nearby,
    rng: np.random.Generator,
) -> np.ndarray:
    """Gradients that reach far where many pieces meet, as in a sort with ties."""
    if not 2 <= len(tied) <= 64:
        return np.zeros((0, len(part)))

    def best(moves: list[np.ndarray]) -> tuple[float, np.ndarray, np.ndarray]:
        rows = nearby(moves)[:, part]
        reach = np.where(np.all(np.isfinite(rows), axis=1), np.nan_to_num(rows) @ way, -np.inf)
        n = int(np.argmax(reach))
        return float(reach[n]), moves[n], rows[n]

    reach, at, row = best([size * rng.uniform(-1, 1, size.shape) for _ in range(16)])
    patience = 3
    for _ in range(32):
        moves = []
        for entry in np.repeat(tied, 6):
            move = at.copy()
            move[entry] = size[entry] * rng.uniform(-1, 1)
            moves.append(move)
        further = best(moves)
        if further[0] <= reach:
            patience -= 1
            if not patience:
                break
            continue
        reach, at, row = further
    return row[None]


def _finite(rows: np.ndarray) -> np.ndarray:
    return rows[np.all(np.isfinite(rows), axis=1)]


def _size(rows: np.ndarray) -> float:
    return float(np.max(np.abs(rows), initial=0.0))


def _nearest(point: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The point of a hull nearest to another, by pairwise Frank-Wolfe steps on the weights of the corners."""
    gram = corners @ corners.T
    towards = corners @ point
    weights = np.zeros(len(corners))
    weights[int(np.argmin(np.diag(gram) - 2 * towards))] = 1.0
    for _ in range(400):
        slope = gram @ weights - towards
        best = int(np.argmin(slope))
        held = np.flatnonzero(weights > 0)
        worst = int(held[np.argmax(slope[held])])
        gain = slope[worst] - slope[best]
        curvature = gram[best, best] - 2 * gram[best, worst] + gram[worst, worst]
        if gain <= 1e-14 * (1 + abs(slope[best])) or curvature <= 0:
            break
        step = min(weights[worst], gain / curvature)
        weights[best] += step
        weights[worst] -= step
    return weights @ corners

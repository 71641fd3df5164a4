"""Derivatives along single entries and directions by extrapolated central differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import Arrays, float64_on_cpu

from ._attempt import attempt
from ._budget import go_on
from ._evaluator import Point, in_haste
from ._layout import Layout
from ._rounding import EPS, eps_of

# A tenth of the argument's size, halved each time: fine enough for logits of 1e4.
STEP = 2.0**-27
NATIVE_STEP = 2.0**-9
_VERY_MANY = 1 << 14
_STEPS = 0.1 * 2.0 ** -np.arange(16)
_TINY = 2.0**-40
# In narrower dtypes than float64 the shorter steps show rounding alone.
_NATIVE_STEPS = 6


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with how far it may be off: arrays of one shape."""

    value: np.ndarray
    error: np.ndarray
    sure: np.ndarray  # the relative error below which it can judge: where a function jumps, a larger one


@dataclasses.dataclass(frozen=True)
class Directions:
    """Along which ways the arguments move: rows over all differentiable entries, one leaf after another."""

    ways: np.ndarray  # directions x entries
    entries: np.ndarray  # for the first of them, the flat entry that moves alone; the rest move a whole leaf

    @classmethod
    def of(
        cls, floats: Arrays, rng: np.random.Generator, *, limit: int = 48, also: Sequence[int] = ()
    ) -> Directions:
        """Every entry where there are few; else some of each leaf, those of `also`, and one way a whole leaf.

        Of very many entries none else is moved alone: the work is bounded.
        """
        sizes = [leaf.size for leaf in floats]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        total = int(offsets[-1])
        some = 0 if total > _VERY_MANY else max(1, limit // (4 * max(1, len(floats))))
        if total <= limit:
            return cls(np.eye(total), np.arange(total))
        entries = np.concatenate(
            [
                *(
                    o + rng.choice(n, min(n, some), replace=False)
                    for o, n in zip(offsets, sizes, strict=False)
                ),
                also,
            ]
        ).astype(np.int64)
        ways = np.zeros((len(entries) + len(floats), total))
        ways[np.arange(len(entries)), entries] = 1.0
        for row, start, stop in zip(range(len(entries), len(ways)), offsets, offsets[1:], strict=False):
            ways[row, start:stop] = rng.choice([-1.0, 1.0], stop - start)
        return cls(ways, entries)


class Differences:
    """Differences of a function at any point, compiled once a shape."""

    def __init__(
        self,
        f: Callable[..., Any],
        layout: Layout,
        *,
        traced: bool,
        eps: float,
        room: Callable[[tuple[Any, ...]], Arrays] | None = None,
        native: bool = False,
    ):
        """Takes a function of arguments laid out so; its results are rounded by a relative `eps` on the way.

        `room` says how far each entry of the leaves may move: beyond its domain a loop may not end. `native`
        gives the function its arguments in their own dtypes, for one that takes no others.
        """
        self.f, self.layout, self.traced, self.eps, self.room = f, layout, traced, eps, room
        self.native = native
        # Short steps show rounding alone where numbers are rounded to float32.
        self.coarse = native or eps > 1e-9
        self._program = jax.jit(self._all, compiler_options=in_haste(on_cpu=True))

    def along(self, point: Point, directions: Directions) -> Estimate:
        """Derivatives of ⟨dy, f⟩ along every way, with their errors."""
        if not len(directions.ways):
            return Estimate(np.zeros(0), np.zeros(0), np.zeros(0))
        with np.errstate(all="ignore"):
            x = self._floats(point)
            lengths = _STEPS[:_NATIVE_STEPS] if self.native else np.append(_STEPS, _TINY)
            steps = lengths[:, None] * self._unit(point, x, directions)
            row = np.tile(np.arange(len(directions.ways)), len(lengths))
            sums, sizes = self._both(point, directions.ways, row, steps.reshape(-1))
            s, size = sums.reshape(2, *steps.shape), sizes.reshape(2, *steps.shape)
            jumps = np.zeros(len(directions.ways))
            if not self.native:
                still = _stands_still(s, size, steps)
                steps, s, size = steps[:-1], s[:, :-1], size[:, :-1]
                if np.any(still):
                    jumps[still] = self._jumps(point, directions.ways[still], steps[-1, still])
                    # Kinks cannot be seen any more closely than that.
                    self.coarse |= bool(np.any(jumps > 1e-9 * (size[0] + size[1])))
            rounding = (4 * np.finfo(np.float64).eps + self.eps) * (size[0] + size[1]) / (2 * steps)
            best, error = extrapolate((s[0] - s[1]) / (2 * steps), rounding + jumps / steps)
            # Moved so little, a large argument is not moved by what was asked for.
            largest = np.max(np.abs(flat(x)), initial=0.0)
            rounds = [eps_of(dtype) for dtype in self.layout.dtypes] if self.native else [EPS]
            slip = max(rounds) * largest / np.maximum(steps[-1], 1e-300)
            sure = np.where((jumps > 0) | self.coarse, 1e-2, 1e-4)
            return Estimate(best, error + slip * np.abs(best), sure)

    def _jumps(self, point: Point, ways: np.ndarray, longest: np.ndarray) -> np.ndarray:
        """The smallest change along ways of a function that stands still in between; 0 where there is none.

        A root found by bisection in few steps moves in jumps.
        """
        steps = 2.0 ** -np.arange(len(_STEPS) + 4)[:, None] * longest
        row = np.tile(np.arange(len(ways)), len(steps))
        sums, _ = self._both(point, ways, row, steps.reshape(-1))
        s = sums.reshape(2, *steps.shape)
        changes = np.abs(s - s[:, -1:])
        smallest = np.min(np.where(changes > 0, changes, np.inf), axis=(0, 1))
        return np.where(np.isfinite(smallest), 2 * smallest, 0.0)

    def entries(self, point: Point) -> tuple[Arrays, Arrays]:
        """Gradients, nan where none was taken or none converges, and their noise: an array a leaf each."""
        return _at_entries(self._floats(point), *self.anywhere(point))

    def anywhere(self, point: Point, *, also: Sequence[int] = ()) -> tuple[Directions, Estimate]:
        """Derivatives along every entry where there are few, else along some ways and those entries."""
        directions = Directions.of(self._floats(point), np.random.default_rng(0), also=also)
        return directions, self.along(point, directions)

    def gradient(self, point: Point) -> np.ndarray:
        """Every entry by one short step to either side, for kinks to be seen around a point."""
        step = NATIVE_STEP if self.coarse else STEP
        h = flat(tuple(np.full(x.size, step * (_size(x) or 1.0)) for x in self._floats(point)))
        if not h.size:
            return h
        with np.errstate(all="ignore"):
            sums, _ = self._both(point, np.eye(h.size), np.arange(h.size), h)
            ahead, behind = np.split(sums, 2)
            return np.asarray((ahead - behind) / (2 * h))

    def short_steps(self, point: Point, ways: np.ndarray) -> np.ndarray:
        """For every way the longest of the short steps that decide."""
        return _STEPS[-4] * self._unit(point, self._floats(point), Directions(ways, np.zeros(0, np.int64)))

    def moved(self, point: Point, step: np.ndarray) -> Point:
        """A point a step aside, in which all differentiable entries stand behind one another."""
        x = self._floats(point)
        return Point(self.layout.with_floats(point.leaves, as_leaves(flat(x) + step, x)), point.dy)

    def _floats(self, point: Point) -> Arrays:
        return tuple(np.asarray(leaf, np.float64) for leaf in self.layout.floats_of(point.leaves))

    def _unit(self, point: Point, floats: Arrays, directions: Directions) -> np.ndarray:
        """For each way the moving leaf's size, or the entry's own where that is larger, within the room."""
        spread = flat(tuple(np.full(x.size, max(_size(x), 1e-30)) for x in floats))
        moving = directions.ways != 0
        unit = np.array([np.max(spread[m], initial=1e-30) for m in moving])
        alone = np.arange(len(directions.entries))
        unit[alone] = np.maximum(unit[alone], np.abs(flat(floats)[directions.entries]))
        if self.room is None:
            return unit
        far = flat(self.room(point.leaves))
        reach = np.array([np.min(far[m], initial=np.inf) for m in moving])
        return np.where(reach > 0, np.minimum(unit, 5 * reach), unit)

    def _both(
        self, point: Point, ways: np.ndarray, row: np.ndarray, h: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """⟨dy, f⟩ a step ahead along rows of `ways`, then behind, and the size of the terms in each."""
        rows, signed = np.concatenate([row, row]), np.concatenate([h, -h])
        with float64_on_cpu():
            if not self.traced:
                pairs = [self._moved_in_numpy(point, ways[r] * s) for r, s in zip(rows, signed, strict=True)]
                sums, sizes = zip(*pairs, strict=True)
                return np.array(sums), np.array(sizes)
            leaves, dy = tuple(map(jnp.asarray, point.leaves)), tuple(map(jnp.asarray, point.dy))
            together = attempt(lambda: self._program(leaves, dy, ways, (rows, signed)))
            if together.error is None:
                return np.asarray(together.value[0]), np.asarray(together.value[1])
            return self._step_by_step(leaves, dy, ways, rows, signed)

    def _step_by_step(
        self, leaves: Any, dy: Any, ways: np.ndarray, rows: np.ndarray, signed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `_both`, with nan where a step leaves the domain and the function raises."""
        # What raises without a step raises at every one.
        self._program(leaves, dy, ways, (rows[:1], 0 * signed[:1]))
        found = np.full((2, len(rows)), np.nan)
        for n in range(len(rows)):
            move = rows[n : n + 1], signed[n : n + 1]
            ran = attempt(lambda move=move: self._program(leaves, dy, ways, move))  # type: ignore[misc]
            if ran.error is None:
                found[:, n] = np.asarray(ran.value).reshape(2)
        return found[0], found[1]

    def _all(self, leaves: Any, dy: Any, ways: Any, moves: Any) -> Any:
        def one(move: Any) -> Any:
            row, h = move
            return _pairing(jnp, dy, self._results(jnp, leaves, jnp.take(ways, row, axis=0) * h))

        return jax.lax.map(one, moves)

    def _moved_in_numpy(self, point: Point, step: np.ndarray) -> tuple[Any, Any]:
        go_on()
        ran = attempt(lambda: self._results(np, point.leaves, step))
        # A step may leave the domain, where a careful function raises: nothing is known there.
        return (np.nan, np.nan) if ran.error is not None else _pairing(np, point.dy, ran.value)

    def _results(self, numpy: Any, leaves: tuple[Any, ...], step: Any) -> tuple[Any, ...]:
        moved, start = [], 0
        for leaf, dtype in zip(self.layout.floats_of(leaves), self.layout.dtypes, strict=True):
            x = numpy.asarray(leaf, np.float64)
            there = x + step[start : start + x.size].reshape(x.shape)
            moved.append(there.astype(dtype) if self.native else there)
            start += x.size
        return self.layout.results(self.f, self.layout.with_floats(leaves, tuple(moved)))


def flat(leaves: Arrays) -> np.ndarray:
    """Leaves as one vector."""
    return np.concatenate([np.asarray(leaf, np.float64).reshape(-1) for leaf in leaves] or [np.zeros(0)])


def as_leaves(vector: np.ndarray, like: Arrays) -> Arrays:
    """A vector as leaves of some shapes."""
    parts = np.split(vector, np.cumsum([np.size(leaf) for leaf in like])[:-1])
    return tuple(part.reshape(np.shape(leaf)) for part, leaf in zip(parts, like, strict=True))


def _pairing(numpy: Any, dy: tuple[Any, ...], ys: tuple[Any, ...]) -> tuple[Any, Any]:
    """⟨dy, y⟩ and the size of its terms."""
    # A result that is infinite on both sides and has no cotangent says nothing.
    terms = [numpy.where(d == 0, 0.0, d * y) for d, y in zip(dy, ys, strict=True)]
    zero = numpy.zeros(())
    return sum(map(numpy.sum, terms), zero), sum((numpy.sum(numpy.abs(t)) for t in terms), zero)


def _stands_still(sums: np.ndarray, sizes: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Whether a function does not move at all in the last step, though its slope in longer ones says so."""
    ahead, behind = sums
    slope = np.max(np.abs(ahead[:-1] - behind[:-1]) / (2 * steps[:-1]), axis=0)
    seen = slope * steps[-1] > 64 * EPS * (sizes[0, -1] + sizes[1, -1])
    return seen & (ahead[-1] == behind[-1])


def extrapolate(differences: np.ndarray, rounding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best entry of each column's Neville tableau, with its error. Rows: the step halved each time."""
    best, error = differences[0], np.full_like(differences[0], np.inf)
    previous = [differences[0]]
    for level in range(1, len(differences)):
        row = [differences[level]]
        for order in range(1, level + 1):
            factor = 4.0**order
            row.append((factor * row[-1] - previous[order - 1]) / (factor - 1))
            disagreement = np.maximum(np.abs(row[-1] - row[-2]), np.abs(row[-1] - previous[order - 1]))
            candidate = disagreement + 2 * rounding[level]
            better = candidate < error
            best, error = np.where(better, row[-1], best), np.where(better, candidate, error)
        previous = row
    return best, error


def _at_entries(floats: Arrays, directions: Directions, estimate: Estimate) -> tuple[Arrays, Arrays]:
    """Derivatives along single entries as leaves, nan where none was taken or where it does not converge."""
    total = sum(leaf.size for leaf in floats)
    want, noise = np.full(total, np.nan), np.full(total, np.inf)
    count = len(directions.entries)
    value, error = estimate.value[:count], estimate.error[:count]
    scale = float(np.max(np.abs(value), initial=0.0, where=np.isfinite(value)))
    known = error <= estimate.sure[:count] * (np.abs(value) + 1e-2 * scale) + 1e-300
    want[directions.entries] = np.where(known, value, np.nan)
    noise[directions.entries] = 20 * error + 1e-9 * scale
    return as_leaves(want, floats), as_leaves(noise, floats)


def _size(leaf: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(leaf)))) if leaf.size else 0.0

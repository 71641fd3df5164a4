"""Derivatives along single entries and directions by extrapolated central differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import Arrays, float64_on_cpu

from ._evaluator import Spot
from ._subject import Layout
from ._truth import Estimate, extrapolate

# A tenth of the argument's size, halved each time: fine enough for logits of 1e4.
STEP = 2.0**-27
_VERY_MANY = 1 << 14
_STEPS = 0.1 * 2.0 ** -np.arange(16)


@dataclasses.dataclass(frozen=True)
class Directions:
    """Along which ways the arguments move: rows over all differentiable entries, one leaf after another.

    Attributes:
        ways: directions x entries.
        entries: for the first of them, the flat entry that moves alone; the rest move a whole leaf.
    """

    ways: np.ndarray
    entries: np.ndarray

    @classmethod
    def of(cls, floats: Arrays, rng: np.random.Generator, *, limit: int = 48) -> Directions:
        """Every entry where there are few; else some of each leaf, and one way a whole leaf.

        Of very many entries none is moved alone: the work is bounded.
        """
        sizes = [leaf.size for leaf in floats]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        total = int(offsets[-1])
        some = 0 if total > _VERY_MANY else max(1, limit // (4 * max(1, len(floats))))
        if total <= limit:
            return cls(np.eye(total), np.arange(total))
        entries = np.concatenate(
            [o + rng.choice(n, min(n, some), replace=False) for o, n in zip(offsets, sizes, strict=False)]
        ).astype(np.int64)
        ways = np.zeros((len(entries) + len(floats), total))
        ways[np.arange(len(entries)), entries] = 1.0
        for row, start, stop in zip(range(len(entries), len(ways)), offsets, offsets[1:], strict=False):
            ways[row, start:stop] = rng.choice([-1.0, 1.0], stop - start)
        return cls(ways, entries)


class Differences:
    """Differences of a function at any spot, compiled once a shape."""

    def __init__(
        self,
        results: Callable[..., Any],
        layout: Layout,
        *,
        traced: bool,
        eps: float,
        room: Callable[[tuple[Any, ...]], Arrays] | None = None,
    ):
        """Takes a function.

        Args:
            results: float results of array leaves.
            layout: of the arguments.
            traced: whether the function can be compiled.
            eps: relative rounding of its results, where it computes in less than float64.
            room: how far each entry of the leaves may move: beyond its domain a loop may not end.
        """
        self.room = room
        self.results, self.layout, self.traced, self.eps = results, layout, traced, eps
        self._program: Any = None

    def along(self, spot: Spot, directions: Directions) -> Estimate:
        """Derivatives of ⟨dy, f⟩ along every way, with their errors."""
        with np.errstate(all="ignore"):
            return self._along(spot, directions)

    def _along(self, spot: Spot, directions: Directions) -> Estimate:
        if not len(directions.ways):
            return Estimate(np.zeros(0), np.zeros(0))
        at = [np.asarray(spot.leaves[i], np.float64) for i in self.layout.floats]
        sizes = [max(_size(leaf), 1e-30) for leaf in at]
        spread = np.concatenate([np.full(x.size, s) for x, s in zip(at, sizes, strict=True)] or [np.zeros(0)])
        ways = directions.ways
        # A step is a part of the moving leaf's size, or of the entry's own where that is larger.
        flat = np.concatenate([x.reshape(-1) for x in at] or [np.zeros(0)])
        moving = ways != 0
        unit = np.array([np.max(spread[m], initial=1e-30) for m in moving])
        alone = np.arange(len(directions.entries))
        unit[alone] = np.maximum(unit[alone], np.abs(flat[directions.entries]))
        if self.room is not None:
            far = np.concatenate([r.reshape(-1) for r in self.room(spot.leaves)] or [np.zeros(0)])
            reach = np.array([np.min(far[m], initial=np.inf) for m in moving])
            unit = np.where(reach > 0, np.minimum(unit, 5 * reach), unit)
        steps = _STEPS[:, None] * unit
        row = np.tile(np.arange(len(ways)), len(_STEPS))
        sums, magnitudes = self._both(spot, ways, row, steps.reshape(-1))
        shape = (2, *steps.shape)
        s, size = sums.reshape(shape), magnitudes.reshape(shape)
        rounding = (4 * np.finfo(np.float64).eps + self.eps) * (size[0] + size[1]) / (2 * steps)
        best, error = extrapolate((s[0] - s[1]) / (2 * steps), rounding)
        # Moved so little, a large argument is not moved by what was asked for.
        slip = np.finfo(np.float64).eps * np.max(np.abs(flat), initial=0.0) / np.maximum(steps[-1], 1e-300)
        return Estimate(best, error + slip * np.abs(best))

    def entries(self, spot: Spot) -> tuple[Arrays, Arrays]:
        """Gradients, nan where none was taken or none converges, and their noise: an array a leaf each."""
        floats = tuple(np.asarray(spot.leaves[i], np.float64) for i in self.layout.floats)
        directions = Directions.of(floats, np.random.default_rng(0))
        return _at_entries(floats, directions, self.along(spot, directions))

    def gradient(self, spot: Spot) -> np.ndarray:
        """Every entry by one short step to either side, for kinks to be seen around a point."""
        at = [np.asarray(spot.leaves[i], np.float64) for i in self.layout.floats]
        h = np.concatenate([np.full(x.size, STEP * (_size(x) or 1.0)) for x in at] or [np.zeros(0)])
        if not h.size:
            return h
        with np.errstate(all="ignore"):
            sums, _ = self._both(spot, np.eye(h.size), np.arange(h.size), h)
            ahead, behind = np.split(sums, 2)
            return np.asarray((ahead - behind) / (2 * h))

    def _both(self, spot: Spot, ways: np.ndarray, row: np.ndarray, h: np.ndarray) -> tuple[Any, Any]:
        rows, signed = np.concatenate([row, row]), np.concatenate([h, -h])
        if not self.traced:
            with float64_on_cpu():
                pairs = [self._once(spot, ways[r] * s) for r, s in zip(rows, signed, strict=True)]
            sums, sizes = zip(*pairs, strict=True)
            return np.array(sums), np.array(sizes)
        with float64_on_cpu():
            if self._program is None:
                self._program = jax.jit(self._all)
            leaves = tuple(map(jnp.asarray, spot.leaves))
            sums, sizes = self._program(leaves, tuple(map(jnp.asarray, spot.dy)), ways, (rows, signed))
            return np.asarray(sums), np.asarray(sizes)

    def _all(self, leaves: Any, dy: Any, ways: Any, moves: Any) -> Any:
        def one(move: Any) -> Any:
            return self._moved(leaves, dy, jnp.take(ways, move[0], axis=0) * move[1], jnp)

        return jax.lax.map(one, moves)

    def _once(self, spot: Spot, step: np.ndarray) -> Any:
        return self._moved(spot.leaves, spot.dy, step, np)

    def _moved(self, leaves: Any, dy: Any, step: Any, numpy: Any) -> Any:
        filled, start = list(leaves), 0
        for i in self.layout.floats:
            x = numpy.asarray(leaves[i], np.float64)
            filled[i] = x + step[start : start + x.size].reshape(x.shape)
            start += x.size
        try:
            ys = self.results(tuple(filled))
        except Exception:
            if numpy is not np:
                raise
            # A step may leave the domain, where a careful function raises: nothing is known there.
            return np.nan, np.nan
        # A result that is infinite on both sides and has no cotangent says nothing.
        terms = [numpy.where(d == 0, 0.0, d * y) for d, y in zip(dy, ys, strict=True)]
        zero = numpy.zeros(())
        return sum(map(numpy.sum, terms), zero), sum((numpy.sum(numpy.abs(t)) for t in terms), zero)


def _at_entries(floats: Arrays, directions: Directions, estimate: Estimate) -> tuple[Arrays, Arrays]:
    """Derivatives along single entries as leaves, nan where none was taken or where it does not converge."""
    total = sum(leaf.size for leaf in floats)
    want, noise = np.full(total, np.nan), np.full(total, np.inf)
    count = len(directions.entries)
    value, error = estimate.value[:count], estimate.error[:count]
    scale = float(np.max(np.abs(value), initial=0.0, where=np.isfinite(value)))
    known = error <= 1e-4 * (np.abs(value) + 1e-2 * scale) + 1e-300
    want[directions.entries] = np.where(known, value, np.nan)
    noise[directions.entries] = 20 * error + 1e-9 * scale
    ends = np.cumsum([leaf.size for leaf in floats])[:-1]
    shapes = [leaf.shape for leaf in floats]

    def apart(flat: np.ndarray) -> Arrays:
        return tuple(part.reshape(shape) for part, shape in zip(np.split(flat, ends), shapes, strict=True))

    return apart(want), apart(noise)


def _size(leaf: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(leaf)))) if leaf.size else 0.0

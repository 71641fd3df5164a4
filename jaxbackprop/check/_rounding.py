"""How far rounding may put a right answer from the truth."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import Arrays, to_numpy64

from ._evaluator import Answer, Point
from ._layout import Layout

EPS = float(np.finfo(np.float64).eps)


@dataclasses.dataclass(frozen=True)
class Blur:
    """What rounding explains in the arguments' own dtypes at a point, a number a differentiable leaf."""

    error: tuple[float, ...]  # autodiff's own distance from the truth, there and a unit in the last place off
    noise: tuple[float, ...]  # how far a right rule may be off
    finite: tuple[bool, ...]  # whether autodiff is finite


def eps_of(dtype: Any) -> float:
    """The distance from one to the next number of a dtype."""
    return float(jnp.finfo(dtype).eps)


def largest(x: np.ndarray) -> float:
    """The largest finite magnitude; 0 where there is none."""
    return float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x)))


def all_finite(arrays: Iterable[Any]) -> bool:
    """Whether arrays hold finite numbers alone."""
    return all(np.all(np.isfinite(array)) for array in arrays)


def term_sizes(point: Point, y: Arrays) -> float:
    """|dy·y|: how much is added up in a derivative."""
    with np.errstate(all="ignore"):
        terms = [np.sum(np.abs(d * to_numpy64(v))) for d, v in zip(point.dy, y, strict=True)]
    return float(sum(t for t in terms if np.isfinite(t)))


def backward_error(point: Point, slot: int, terms: float) -> float:
    """What one relative rounding of the results is worth in a derivative: `term_sizes` over the size of x."""
    size = float(np.max(np.abs(np.asarray(point.leaves[slot], np.float64)), initial=0.0))
    return terms / size if size else 0.0


def jittered(layout: Layout, point: Point, eps: float | None, seed: int) -> Point:
    """A point moved by a relative `eps`; None moves by a unit in the last place of each leaf's own dtype.

    The cotangents move too: where they cancel against each other, their rounding is what remains.
    """
    rng = np.random.default_rng(seed + 1)
    leaves = list(point.leaves)
    for i in layout.floats:
        dtype = layout.leaves[i].dtype
        size = eps_of(dtype) if eps is None else eps
        leaves[i] = leaves[i] * (1 + size * rng.uniform(-1, 1, np.shape(leaves[i])))
        if eps is None:
            leaves[i] = np.asarray(leaves[i]).astype(dtype).astype(np.float64)
    size = max(eps_of(layout.leaves[i].dtype) for i in layout.floats) if eps is None else eps
    return Point(tuple(leaves), tuple(d * (1 + size * rng.uniform(-1, 1, d.shape)) for d in point.dy))


def noise_in_float64(
    layout: Layout, point: Point, want: Arrays, y: Arrays, near: list[Arrays], eps: float
) -> Arrays:
    """How far a right rule in float64 may be off: rounding moves the truth, and adds up in it.

    `near` is the truth where arguments and cotangents have other last digits; `eps` is float64's, or more
    where the function rounds in less on its way.
    """
    noise, terms = [], term_sizes(point, y)
    for i, (slot, w) in enumerate(zip(layout.floats, want, strict=True)):
        backward = backward_error(point, slot, terms)
        with np.errstate(all="ignore"):
            far = functools.reduce(np.maximum, (np.abs(to_numpy64(n[i]) - w) for n in near))
        # A jump is no rounding but a kink that was crossed, and kinks are judged otherwise.
        most = 1e-9 * max(largest(w), backward)
        moved = np.minimum(np.where(np.isfinite(far), far, 0.0), most) * (eps / EPS)
        floor = 1e5 * eps * largest(w) + 4096 * eps * backward + 1e-290
        noise.append(np.asarray(1e2 * moved + floor))
    return tuple(noise)


def blur(
    layout: Layout, point: Point, truth: Answer, near: list[tuple[Answer, Answer]], tolerance: float
) -> Blur:
    """What rounding in the arguments' own dtypes explains at a point.

    `near` is autodiff in these dtypes beside the truth, there and a little aside; empty where the rounding of
    the dtypes alone is to count. `tolerance` is that at which a loop of the function stops.
    """
    dtypes = [layout.leaves[i].dtype for i in layout.floats]
    results = [y.dtype for y in near[0][0].y] if near else []
    coarse = max(tolerance, *(eps_of(dtype) for dtype in (*dtypes, *results)))
    errors, noises, finite = [], [], []
    terms = term_sizes(point, truth.y)
    for leaf, slot in enumerate(layout.floats):
        want = to_numpy64(truth.gradient[leaf])
        pairs = [(to_numpy64(a.gradient[leaf]), to_numpy64(b.gradient[leaf])) for a, b in near]
        with np.errstate(all="ignore"):
            far = [largest(own - here) for own, here in pairs] + [largest(here - want) for _, here in pairs]
        error = max(far, default=0.0)
        usual = coarse * (32 * largest(want) + 6 * backward_error(point, slot, terms))
        noises.append(8 * error + usual + 64 * float(jnp.finfo(dtypes[leaf]).tiny))
        errors.append(error)
        finite.append(all(bool(np.all(np.isfinite(own))) for own, _ in pairs[:1]))
    return Blur(tuple(errors), tuple(noises), tuple(finite))


def nearby_line(floats: Arrays, seed: int = 0, *, step: float = 2.0**-30) -> list[Arrays]:
    """Nine points in a row, a relative step apart (a billionth), the given one in their middle."""
    rng = np.random.default_rng(seed)
    directions = [x * rng.choice([-1.0, 1.0], x.shape) * step for x in floats]
    return [tuple(x + i * d for x, d in zip(floats, directions, strict=True)) for i in range(-4, 5)]


def fourth_differences(line: list[Arrays]) -> Arrays:
    """How much rounding blurs gradients at points in a row: one standard deviation an entry.

    Along points a billionth apart a smooth gradient is a straight line, so what its fourth differences leave
    is rounding (Moré and Wild 2011, "Estimating computational noise").
    """
    # Fourth differences of unit noise have variance 70 = 1 + 16 + 36 + 16 + 1.
    leaves = (np.stack(leaf) for leaf in zip(*line, strict=True))
    with np.errstate(invalid="ignore"):
        return tuple(np.sqrt(np.mean(np.square(np.diff(g, 4, axis=0)), axis=0) / 70) for g in leaves)

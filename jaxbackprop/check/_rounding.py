"""How far rounding may put a right answer from the truth."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import Arrays, to_numpy64

from ._evaluator import Answer, Spot
from ._subject import Layout

EPS = float(np.finfo(np.float64).eps)


@dataclasses.dataclass(frozen=True)
class Blur:
    """What rounding explains in the arguments' own dtypes at a spot, a number a differentiable leaf.

    Attributes:
        error: autodiff's own distance from the truth, there and a unit in the last place aside.
        noise: how far a right rule may be off.
        finite: whether autodiff is finite.
    """

    error: tuple[float, ...]
    noise: tuple[float, ...]
    finite: tuple[bool, ...]


def eps_of(dtype: Any) -> float:
    """The distance from one to the next number of a dtype."""
    return float(jnp.finfo(dtype).eps)


def largest(x: np.ndarray) -> float:
    """The largest finite magnitude; 0 where there is none."""
    return float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x)))


def backward_error(spot: Spot, y: Arrays, slot: int) -> float:
    """What one relative rounding of the results is worth in a derivative: |dy·y| over the size of x."""
    size = float(np.max(np.abs(np.asarray(spot.leaves[slot], np.float64)), initial=0.0))
    with np.errstate(all="ignore"):
        terms = [np.sum(np.abs(d * to_numpy64(v))) for d, v in zip(spot.dy, y, strict=True)]
    weight = float(sum(t for t in terms if np.isfinite(t)))
    return weight / size if size else 0.0


def jittered(layout: Layout, spot: Spot, eps: float | None, seed: int) -> Spot:
    """A spot moved by a relative `eps`; None moves by a unit in the last place of each leaf's own dtype.

    The cotangents move too: where they cancel against each other, their rounding is what remains.
    """
    rng = np.random.default_rng(seed + 1)
    leaves = list(spot.leaves)
    for i in layout.floats:
        dtype = layout.leaves[i].dtype
        size = eps_of(dtype) if eps is None else eps
        leaves[i] = leaves[i] * (1 + size * rng.uniform(-1, 1, np.shape(leaves[i])))
        if eps is None:
            leaves[i] = np.asarray(leaves[i]).astype(dtype).astype(np.float64)
    size = max(eps_of(layout.leaves[i].dtype) for i in layout.floats) if eps is None else eps
    return Spot(tuple(leaves), tuple(d * (1 + size * rng.uniform(-1, 1, d.shape)) for d in spot.dy))


def noise_in_float64(
    layout: Layout, spot: Spot, want: Arrays, y: Arrays, near: list[Arrays], eps: float
) -> Arrays:
    """How far a right rule in float64 may be off: rounding moves the truth, and adds up in it.

    Args:
        layout: of the arguments.
        spot: where.
        want: the truth there, an array a differentiable leaf.
        y: results of the function.
        near: the truth where arguments and cotangents have other last digits.
        eps: of float64, or more where the function rounds in less on its way.
    """
    noise = []
    for i, (slot, w) in enumerate(zip(layout.floats, want, strict=True)):
        backward = backward_error(spot, y, slot)
        with np.errstate(all="ignore"):
            far = np.max([np.abs(to_numpy64(n[i]) - w) for n in near], axis=0)
        # A jump is no rounding but a kink that was crossed, and kinks are judged otherwise.
        most = 1e-9 * max(largest(w), backward)
        moved = np.minimum(np.where(np.isfinite(far), far, 0.0), most) * (eps / EPS)
        floor = 1e5 * eps * largest(w) + 4096 * eps * backward + 1e-290
        noise.append(np.asarray(1e2 * moved + floor))
    return tuple(noise)


def blur(
    layout: Layout, spot: Spot, truth: Answer, near: list[tuple[Answer, Answer]], tolerance: float
) -> Blur:
    """What rounding in the arguments' own dtypes explains at a spot.

    Args:
        layout: of the arguments.
        spot: where.
        truth: there.
        near: autodiff in the arguments' own dtypes beside the truth, there and a little aside; empty where
            the rounding of the dtypes alone is to count.
        tolerance: at which a loop of the function stops.
    """
    dtypes = [layout.leaves[i].dtype for i in layout.floats]
    results = [y.dtype for y in near[0][0].y] if near else []
    coarse = max(tolerance, *(eps_of(dtype) for dtype in (*dtypes, *results)))
    errors, noises, finite = [], [], []
    for leaf, slot in enumerate(layout.floats):
        want = to_numpy64(truth.gradient[leaf])
        pairs = [(to_numpy64(a.gradient[leaf]), to_numpy64(b.gradient[leaf])) for a, b in near]
        with np.errstate(all="ignore"):
            far = [largest(own - here) for own, here in pairs] + [largest(here - want) for _, here in pairs]
        error = max(far, default=0.0)
        usual = coarse * (32 * largest(want) + 6 * backward_error(spot, truth.y, slot))
        noises.append(8 * error + usual + 64 * float(jnp.finfo(dtypes[leaf]).tiny))
        errors.append(error)
        finite.append(all(bool(np.all(np.isfinite(own))) for own, _ in pairs[:1]))
    return Blur(tuple(errors), tuple(noises), tuple(finite))

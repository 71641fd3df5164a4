"""What a gradient is: autodiff in float64 on the CPU, extrapolated differences, and how rounding blurs it.

Everything here works on any function of pytrees. `Point` holds the arguments of one evaluation and knows
which leaves are differentiable; cotangents and gradients are tuples with one array a leaf.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import Arrays, float64_on_cpu, is_float, to_numpy64


@dataclasses.dataclass(frozen=True)
class Point:
    """The arguments of one evaluation: their differentiable leaves, and all else as it stands.

    Attributes:
        floats: the differentiable leaves, in the order of the flattened arguments.
        arguments: for each of them, the position of its argument.
        paths: for each of them, its path inside the argument ("" for an array).
    """

    floats: tuple[Any, ...]
    arguments: tuple[int, ...]
    paths: tuple[str, ...]
    _leaves: tuple[Any, ...]
    _slots: tuple[int, ...]
    _treedef: Any

    @classmethod
    def of(cls, *args: Any) -> Point:
        """Takes arguments apart."""
        with_paths, treedef = jax.tree_util.tree_flatten_with_path(args)
        slots = tuple(i for i, (_, leaf) in enumerate(with_paths) if is_float(leaf))
        return cls(
            floats=tuple(with_paths[i][1] for i in slots),
            arguments=tuple(with_paths[i][0][0].idx for i in slots),
            paths=tuple(jax.tree_util.keystr(with_paths[i][0][1:]) for i in slots),
            _leaves=tuple(leaf for _, leaf in with_paths),
            _slots=slots,
            _treedef=treedef,
        )

    def put(self, floats: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments with other differentiable leaves."""
        leaves = list(self._leaves)
        for slot, leaf in zip(self._slots, floats, strict=True):
            leaves[slot] = leaf
        return jax.tree_util.tree_unflatten(self._treedef, leaves)

    def function(self, f: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
        """F as a function of the differentiable leaves alone, with its float results as a flat tuple."""

        def of_floats(*floats: Any) -> tuple[Any, ...]:
            return tuple(leaf for leaf in jax.tree.leaves(f(*self.put(floats))) if is_float(leaf))

        return of_floats

    def cast(self, dtype: Any) -> tuple[jax.Array, ...]:
        """The differentiable leaves in another dtype."""
        return tuple(jnp.asarray(leaf, dtype) for leaf in self.floats)


class Program:
    """A function's value and vector-Jacobian product, compiled once and run at many points.

    Points differ in their differentiable leaves; all other arguments stay as they were at the first.
    """

    def __init__(self, f: Callable[..., Any], point: Point):
        self.function = point.function(f)
        self.floats: Arrays = tuple(to_numpy64(leaf) for leaf in point.floats)

        def pull(floats: tuple[jax.Array, ...], dy: tuple[jax.Array, ...]) -> tuple[tuple, tuple]:
            y, pullback = jax.vjp(self.function, *floats)
            return y, pullback(tuple(d.astype(leaf.dtype) for d, leaf in zip(dy, y, strict=True)))

        self._pull = jax.jit(pull)

    def run(self, dtype: Any, dy: Arrays, floats: Arrays | None = None) -> tuple[Arrays, Arrays]:
        """Value and gradient in `dtype`: float64 on the CPU, else under the settings in force.

        Args:
            dtype: in which the differentiable leaves and the cotangents enter.
            dy: one cotangent a float result.
            floats: the differentiable leaves; None for those of the point.

        Returns:
            The float results, and one gradient a differentiable leaf, in the dtypes in which they come.
        """
        with float64_on_cpu() if dtype == jnp.float64 else contextlib.nullcontext():
            leaves = tuple(jnp.asarray(leaf, dtype) for leaf in (self.floats if floats is None else floats))
            y, gradient = self._pull(leaves, tuple(jnp.asarray(d, dtype) for d in dy))
        return tuple(map(np.asarray, y)), tuple(map(np.asarray, gradient))

    def gradient(self, dtype: Any, dy: Arrays, floats: Arrays | None = None) -> Arrays:
        """The gradient of `run`, as float64."""
        return tuple(to_numpy64(g) for g in self.run(dtype, dy, floats)[1])


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with how far it may be off: arrays of one shape."""

    value: np.ndarray
    error: np.ndarray


def extrapolated_differences(
    oracle: Program,
    dy: Arrays,
    which: int,
    *,
    entries: np.ndarray | None = None,
    step: float = 0.1,
    levels: int = 8,
) -> Estimate:
    """Gradient of ⟨dy, oracle⟩ by central differences, extrapolated to step zero (Ridders 1982).

    Central differences err by even powers of the step: halving it and extrapolating removes one power a
    level, until rounding grows. Of all extrapolations, each entry takes the one whose neighbours agree best;
    their disagreement, with the rounding of the smallest step behind it, is the error estimate. At a kink
    nothing converges and the estimate says so.

    Args:
        oracle: the plain function, at a point.
        dy: one cotangent a float result.
        which: the differentiable leaf.
        entries: flat indices into that leaf; None for all.
        step: the largest step, relative to max(1, |x|).
        levels: how often it is halved.

    Returns:
        One derivative an entry (of the leaf's shape where `entries` is None) with its error.
    """
    x = oracle.floats[which]
    flat = np.arange(x.size) if entries is None else np.asarray(entries)
    shape = x.shape if entries is None else flat.shape
    at = x.reshape(-1)[flat]
    steps = step * 2.0 ** -np.arange(levels)[:, None] * np.maximum(1.0, np.abs(at))
    # The steps as they are once x + h is rounded.
    above, below = (at + steps) - at, at - (at - steps)
    with float64_on_cpu():
        floats = tuple(map(jnp.asarray, oracle.floats))
        cotangents = tuple(jnp.asarray(d, jnp.float64) for d in dy)

        def along(index: jax.Array, h: jax.Array) -> tuple[jax.Array, jax.Array]:
            moved = floats[which].reshape(-1).at[index].add(h).reshape(x.shape)
            ys = oracle.function(*floats[:which], moved, *floats[which + 1 :])
            # A result that is infinite on both sides and has no cotangent says nothing.
            terms = [jnp.where(d == 0, 0.0, d * y) for d, y in zip(cotangents, ys, strict=True)]
            zero = jnp.zeros(())
            return sum(map(jnp.sum, terms), zero), sum((jnp.sum(jnp.abs(t)) for t in terms), zero)

        sides = jnp.asarray(np.stack([above, -below]).reshape(-1))
        sums, sizes = jax.jit(jax.vmap(along))(jnp.asarray(np.tile(flat, 2 * levels)), sides)
    s, size = np.asarray(sums).reshape(2, *steps.shape), np.asarray(sizes).reshape(2, *steps.shape)
    width = above + below
    best, error = extrapolate(
        (s[0] - s[1]) / width, 4 * np.finfo(np.float64).eps * (size[0] + size[1]) / width
    )
    return Estimate(best.reshape(shape), error.reshape(shape))


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


def nearby_line(floats: Arrays, seed: int = 0) -> list[Arrays]:
    """Nine points in a row, a billionth apart, the given one in their middle."""
    rng = np.random.default_rng(seed)
    directions = [x * rng.choice([-1.0, 1.0], x.shape) * 2.0**-30 for x in floats]
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

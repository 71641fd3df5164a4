"""An array to be drawn, and the ranges that it may be drawn from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

# Where entries may lie: an interval, a name, or a function of a generator and an array of the wanted shape.
Range = (
    tuple[float, float]
    | Literal["positive", "simplex"]
    | Callable[[np.random.Generator, npt.ArrayLike], np.ndarray]
)


@dataclasses.dataclass(frozen=True)
class HalfLine:
    """The numbers on one side of a bound."""

    bound: float
    above: bool

    def __call__(self, rng: np.random.Generator, like: npt.ArrayLike) -> np.ndarray:
        distance = np.exp(rng.normal(scale=0.5, size=np.shape(like)))
        return np.asarray(self.bound + (distance if self.above else -distance))


@dataclasses.dataclass(frozen=True)
class Magnitudes:
    """Numbers of either sign and of many magnitudes: the logarithm is uniform.

    Attributes:
        low: the smallest magnitude, as a power of 2.
        high: the largest.
        offset: every other row (of the last axis) is moved as a whole, by up to this much either way.
    """

    low: float = -20.0
    high: float = 6.64
    offset: float = 0.0

    def __call__(self, rng: np.random.Generator, like: npt.ArrayLike) -> np.ndarray:
        shape = np.shape(like)
        x = rng.choice([-1.0, 1.0], shape) * 2.0 ** rng.uniform(self.low, self.high, shape)
        if self.offset:
            x[1::2] += rng.uniform(-self.offset, self.offset, x[1::2, ..., :1].shape)
        return x


@dataclasses.dataclass(frozen=True)
class Chance:
    """Truth values, each true with this probability."""

    true: float

    def __call__(self, rng: np.random.Generator, like: npt.ArrayLike) -> np.ndarray:
        return np.asarray(rng.random(np.shape(like)) >= 1 - self.true)


@dataclasses.dataclass(frozen=True)
class Array:
    """An array to be drawn.

    Attributes:
        dtype: NumPy's name of it, or "bfloat16".
        shape: sizes of the axes.
        range: (low, high), both included for integers; "positive", "simplex", a function (rng, like) such as
            `HalfLine`, or None: normal numbers, zeros and ones for integers and truth values.
        fixed: whether it is not to be changed: the harness keeps the values drawn, nothing is differentiated
            by it.
        margin: the share of an interval that is left out at either end, so that rounding to few bits does not
            reach the end.
    """

    dtype: str
    shape: tuple[int, ...]
    range: Range | None = None
    fixed: bool = False
    margin: float = 0.02

    @property
    def floating(self) -> bool:
        """Whether it holds floating-point numbers."""
        return bool(jnp.issubdtype(self.dtype, jnp.floating))

    @property
    def domain(self) -> Range | Literal["fixed"] | None:
        """Where the harness may redraw it, as `check_vjp` takes it."""
        return "fixed" if self.fixed else self.range

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """A NumPy array."""
        dtype = jnp.dtype(self.dtype)
        if callable(self.range):
            return self.range(rng, np.empty(self.shape)).astype(dtype)
        if dtype == np.bool_:
            return np.asarray(rng.random(self.shape) < 0.5)
        if np.issubdtype(dtype, np.integer):
            low, high = self.range if isinstance(self.range, tuple) else (0, 1)
            return np.asarray(rng.integers(int(low), int(high), self.shape, dtype=dtype, endpoint=True))
        return np.asarray(self._floats(rng), np.float64).astype(dtype)

    def _floats(self, rng: np.random.Generator) -> npt.ArrayLike:
        if isinstance(self.range, tuple):
            low, high = self.range
            return low + (high - low) * rng.uniform(self.margin, 1 - self.margin, self.shape)
        normal = rng.normal(size=self.shape)
        if self.range == "positive":
            return np.exp(0.5 * normal)
        if self.range == "simplex":
            raised = np.exp(normal)
            return raised / raised.sum(axis=-1, keepdims=True)
        return normal


def real(shape: tuple[int, ...], low: float = -3.0, high: float = 3.0, dtype: str = "float64") -> Array:
    """Floating-point numbers, uniform in [low, high)."""
    return Array(dtype, shape, (low, high), margin=0.0)


def integer(shape: tuple[int, ...], low: int, high: int) -> Array:
    """Integers, uniform in [low, high)."""
    return Array("int32", shape, (low, high - 1))

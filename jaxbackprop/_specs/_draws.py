"""Arguments that are said rather than given: an array of a dtype, shape and range, a random key."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Beyond:
    """The numbers on one side of a bound, as a domain of the harness: called with (rng, like)."""

    bound: float
    above: bool

    def __call__(self, rng: np.random.Generator, like: Any) -> np.ndarray:
        distance = np.exp(rng.normal(scale=0.5, size=np.shape(like)))
        return self.bound + (distance if self.above else -distance)


@dataclasses.dataclass(frozen=True)
class Array:
    """An array to be drawn.

    Attributes:
        dtype: NumPy's name of it, or "bfloat16".
        shape: sizes of the axes.
        range: (low, high), both included for integers; "positive", "simplex", a `Beyond`, or None: normal
            numbers, zeros and ones for integers and truth values.
        fixed: whether the harness must keep the values drawn.
    """

    dtype: str
    shape: tuple[int, ...]
    range: tuple[float, float] | str | Beyond | None = None
    fixed: bool = False

    @property
    def domain(self) -> Any:
        """Where the harness may redraw it, as `check_vjp` takes it."""
        return "fixed" if self.fixed else self.range

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """A NumPy array."""
        dtype = jnp.dtype(self.dtype)
        if dtype == np.bool_:
            return np.asarray(rng.random(self.shape) < 0.5)
        if np.issubdtype(dtype, np.integer):
            low, high = self.range if isinstance(self.range, tuple) else (0, 1)
            return np.asarray(rng.integers(int(low), int(high), self.shape, dtype=dtype, endpoint=True))
        return np.asarray(self._floats(rng), np.float64).astype(dtype)

    def _floats(self, rng: np.random.Generator) -> Any:
        if isinstance(self.range, tuple):
            low, high = self.range
            # Rounding to few bits must not reach the ends.
            return low + (high - low) * rng.uniform(0.02, 0.98, self.shape)
        if isinstance(self.range, Beyond):
            return self.range(rng, np.empty(self.shape))
        normal = rng.normal(size=self.shape)
        if self.range == "positive":
            return np.exp(0.5 * normal)
        if self.range == "simplex":
            raised = np.exp(normal)
            return raised / raised.sum(axis=-1, keepdims=True)
        return normal


@dataclasses.dataclass(frozen=True)
class Key:
    """A random key of `jax.random.key`; without a seed it is drawn."""

    seed: int | None = None

    def draw(self, rng: np.random.Generator) -> jax.Array:
        """The key."""
        return jax.random.key(int(rng.integers(1 << 31)) if self.seed is None else self.seed)


@dataclasses.dataclass(frozen=True)
class Argument:
    """An argument as written or given.

    Attributes:
        value: an `Array`, a `Key`, any other value as it stands, or dicts, lists and tuples of these.
        name: the keyword it is for, or None.
    """

    value: Any
    name: str | None = None

    def draw(self, rng: np.random.Generator) -> Any:
        """The argument, with NumPy arrays and keys in place of what says them."""
        return map_leaves(lambda leaf: leaf.draw(rng) if isinstance(leaf, Array | Key) else leaf, self.value)

    @property
    def domain(self) -> Any:
        """What `check_vjp` is told of it in `domains`: one entry an argument.

        A setting stays as it is. So does a container whose arrays have different ranges, which one entry
        cannot say.
        """
        arrays = [leaf for leaf in leaves(self.value) if isinstance(leaf, Array) or _is_array(leaf)]
        domains = [leaf.domain if isinstance(leaf, Array) else None for leaf in arrays]
        if domains and all(domain == domains[0] for domain in domains):
            return domains[0]
        return "fixed"

    @property
    def wide(self) -> bool:
        """Whether it holds numbers of 64 bits, which jax keeps only with x64 on."""
        return any(
            leaf.dtype.endswith("64") if isinstance(leaf, Array) else leaf.dtype == np.float64
            for leaf in leaves(self.value)
            if isinstance(leaf, Array) or _is_array(leaf)
        )


def map_leaves(f: Callable[[Any], Any], value: Any) -> Any:
    """A container with f of each value in it that is no dict, list or tuple."""
    if isinstance(value, dict):
        return {name: map_leaves(f, item) for name, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_leaves(f, item) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(map_leaves(f, item) for item in value)
    return f(value)


def leaves(value: Any) -> Iterator[Any]:
    """The values in a container that are no dicts, lists or tuples."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray | np.generic | jax.Array)

"""Arguments: arrays and keys to be drawn, values that stand as they are, and containers of these."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal

import jax
import numpy as np

from ._array import Array, Range


@dataclasses.dataclass(frozen=True)
class Key:
    """A random key.

    Attributes:
        seed: of `jax.random.key`; None: it is drawn.
        raw: whether to draw the two words of a key rather than a key of JAX, so that NumPy can read them.
    """

    seed: int | None = None
    raw: bool = False

    def draw(self, rng: np.random.Generator) -> jax.Array | np.ndarray:
        """The key."""
        if self.raw:
            return rng.integers(0, 2**32, 2, dtype=np.uint32)
        return jax.random.key(int(rng.integers(1 << 31)) if self.seed is None else self.seed)


Spec = Array | Key


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
        return draw(self.value, rng)

    @property
    def domain(self) -> Range | Literal["fixed"] | None:
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


def draw(value: Any, rng: np.random.Generator) -> Any:
    """A container with NumPy arrays and keys in place of the specs in it."""
    return map_leaves(lambda leaf: leaf.draw(rng) if isinstance(leaf, Spec) else leaf, value)


def enlarged(value: Any, factor: int) -> Any:
    """A container of longer arrays, drawn or given: each axis times a factor, but those of length 1."""

    def longer(leaf: Any) -> Any:
        if isinstance(leaf, Array):
            return dataclasses.replace(leaf, shape=tuple(n if n == 1 else n * factor for n in leaf.shape))
        if isinstance(leaf, np.ndarray):
            for axis, n in enumerate(leaf.shape):
                leaf = np.repeat(leaf, 1 if n == 1 else factor, axis)
        return leaf

    return map_leaves(longer, value)


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

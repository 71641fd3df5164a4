"""What a row of the catalogue is, and how its arguments are drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

Kind = Literal["layer", "lookup", "activation", "gate", "loss", "norm", "sequence", "pooling", "regularizer"]


@dataclasses.dataclass(frozen=True)
class Real:
    """A floating-point argument, drawn uniformly from [low, high)."""

    shape: tuple[int, ...]
    low: float = -3.0
    high: float = 3.0

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        return rng.uniform(self.low, self.high, self.shape)


@dataclasses.dataclass(frozen=True)
class Spread:
    """A floating-point argument over many magnitudes: of either sign, its logarithm uniform.

    Attributes:
        shape: its shape.
        low: the smallest magnitude, as a power of 2.
        high: the largest.
        offset: every other row (of the last axis) is moved as a whole, by up to this much either way.
    """

    shape: tuple[int, ...]
    low: float = -20.0
    high: float = 6.64
    offset: float = 0.0

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        x = rng.choice([-1.0, 1.0], self.shape) * 2.0 ** rng.uniform(self.low, self.high, self.shape)
        if self.offset:
            x[1::2] += rng.uniform(-self.offset, self.offset, x[1::2, ..., :1].shape)
        return x


@dataclasses.dataclass(frozen=True)
class Integer:
    """An integer argument, drawn uniformly from [low, high)."""

    shape: tuple[int, ...]
    low: int
    high: int

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(self.low, self.high, self.shape, dtype=np.int32)


@dataclasses.dataclass(frozen=True)
class Key:
    """A random key."""

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        # As raw words, so that a draw is NumPy alone; operators take keys in either form.
        return rng.integers(0, 2**32, 2, dtype=np.uint32)


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to call an operator.

    Attributes:
        arguments: specifications, pytrees of them, or values that stand as they are.
        keywords: static settings.
        bar: the largest error of its gradient that is promised, in units in the last place of each entry;
            None promises no more than autodiff's error and one unit (on average, where entries are added up).
        least: the magnitude from which an entry of the gradient counts. Below, terms of either sign cancel.
    """

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    bar: float | None = None
    least: float = 0.0

    def draw(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Draws the arguments: float64 and int32 NumPy arrays, static values as they stand."""
        return jax.tree.map(
            lambda spec: spec.draw(rng) if _is_specification(spec) else spec,
            self.arguments,
            is_leaf=_is_specification,
        )

    def scaled(self, factor: float) -> Case:
        """The same with a first argument that is larger or smaller, where its range is symmetric."""

        def larger(spec: Any) -> Any:
            if isinstance(spec, Real) and spec.low == -spec.high:
                return dataclasses.replace(spec, low=factor * spec.low, high=factor * spec.high)
            return spec

        first = jax.tree.map(larger, self.arguments[0], is_leaf=_is_specification)
        return dataclasses.replace(self, arguments=(first, *self.arguments[1:]))


def _is_specification(node: Any) -> bool:
    return isinstance(node, Real | Spread | Integer | Key)


@dataclasses.dataclass(frozen=True)
class Operator:
    """A row of the catalogue.

    Attributes:
        name: the public name, in `jaxbackprop.ops` and in `reference`.
        family: the file in both packages.
        kind: what it is in a network.
        formula: its gradient, as graphs show it.
        op: the public function.
        oracle: the same forward without a custom rule, called as `op` is.
        cases: ways to call it, at random points.
        special: arguments at kinks, ties and in tails, called as the first case is.
        elementwise: whether entries do not mix, so that each is accurate by itself.
        sweep: the range over which accuracy is measured, for elementwise functions of one array.
        tails: for all others, ways to call it whose accuracy is measured; empty measures the cases at several
            scales.
        source: where the lecture derives it.
    """

    name: str
    family: str
    kind: Kind
    formula: str
    op: Callable[..., Any]
    oracle: Callable[..., Any]
    cases: tuple[Case, ...]
    source: str
    special: tuple[tuple[Any, ...], ...] = ()
    elementwise: bool = False
    sweep: tuple[float, float] | None = None
    tails: tuple[Case, ...] = ()
    dtypes: tuple[Any, ...] = (jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64)

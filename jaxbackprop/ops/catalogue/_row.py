"""What a row of the catalogue is, and how its arguments are drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxbackprop._specs import Array, draw, map_leaves

Kind = Literal["layer", "lookup", "activation", "gate", "loss", "norm", "sequence", "pooling", "regularizer"]


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to call an operator.

    Attributes:
        arguments: arrays and keys to be drawn, containers of them, or values that stand as they are.
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
        return draw(self.arguments, rng)

    def scaled(self, factor: float) -> Case:
        """The same with a first argument that is larger or smaller, where its range is symmetric."""

        def larger(spec: Any) -> Any:
            if isinstance(spec, Array) and spec.floating and isinstance(spec.range, tuple):
                low, high = spec.range
                if low == -high:
                    return dataclasses.replace(spec, range=(factor * low, factor * high))
            return spec

        first = map_leaves(larger, self.arguments[0])
        return dataclasses.replace(self, arguments=(first, *self.arguments[1:]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuledFunction:
    """A function with a hand-written rule, and the ways to call it.

    Attributes:
        name: what it is called.
        op: the function.
        oracle: the same forward without a custom rule, called as `op` is.
        cases: ways to call it, at random points.
        special: arguments at kinks, ties and in tails, called as the first case is.
        elementwise: whether entries do not mix, so that each is accurate by itself.
        sweep: the range over which accuracy is measured, for elementwise functions of one array.
        dtypes: floating-point dtypes that it takes.
    """

    name: str
    op: Callable[..., Any]
    oracle: Callable[..., Any]
    cases: tuple[Case, ...]
    special: tuple[tuple[Any, ...], ...] = ()
    elementwise: bool = False
    sweep: tuple[float, float] | None = None
    dtypes: tuple[DTypeLike, ...] = (jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operator(RuledFunction):
    """A row of the catalogue: a public operator, whose name is the same in `jaxbackprop.ops` and `reference`.

    Attributes:
        family: the file in both packages.
        kind: what it is in a network.
        formula: its gradient, as graphs show it.
        tails: ways to call it whose accuracy is measured, where it has no sweep; empty measures the cases at
            several scales.
        source: where the lecture has it; the paper, where it has not.
    """

    family: str
    kind: Kind
    formula: str
    source: str
    tails: tuple[Case, ...] = ()

"""What a row of the graph's catalogue is: a primitive, called in one of its ways."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxbackprop._specs import draw


@dataclasses.dataclass(frozen=True)
class Row:
    """One way to use a primitive.

    Attributes:
        primitive: the name of JAX's primitive.
        f: a function that uses it, and beside it only what has rows of its own.
        arguments: arrays to be drawn, or values that stand as they are.
        special: arguments at ties and kinks: there the gradient is JAX's choice among the valid ones.
        say: what tells it from other rows of the primitive.
        smooth: whether differences say what its gradient is. Not so of what moves in steps or is drawn: it
            is held against `jax.grad` alone.
    """

    primitive: str
    f: Callable[..., Any]
    arguments: tuple[Any, ...]
    special: tuple[tuple[Any, ...], ...] = ()
    say: str = ""
    smooth: bool = True

    @property
    def name(self) -> str:
        """Unique among the rows."""
        return f"{self.primitive} ({self.say})" if self.say else self.primitive

    def draw(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Draws the arguments: float64 and int32 NumPy arrays."""
        return draw(self.arguments, rng)

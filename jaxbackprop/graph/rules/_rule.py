"""What a rule is: the hand-derived local gradient of one of JAX's primitives, times the upstream gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax

Pull = Callable[..., jax.Array | None]
P = TypeVar("P", bound=Pull)
Forward = Callable[..., list[jax.Array]]


class Values(Sequence[jax.Array]):
    """Operands or results of a node. What a rule reads is what it keeps."""

    def __init__(self, values: Sequence[jax.Array]):
        self._values = values
        self.read: set[int] = set()

    def __getitem__(self, i: Any) -> Any:
        if not -len(self._values) <= i < len(self._values):
            raise IndexError(f"there are {len(self._values)} values, asked for number {i}")
        self.read.add(i % len(self._values))
        return self._values[i]

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[jax.Array]:
        return (self[i] for i in range(len(self)))


class Local:
    """Where a rule is applied: the node's operands, results and parameters.

    Attributes:
        x: the operands, x[0], x[1], ...
        y: the results.
        params: the primitive's parameters, such as `axes`.
        operands: shape and dtype of each operand; to look at them keeps nothing.
        results: shape and dtype of each result.
    """

    def __init__(
        self,
        x: Sequence[jax.Array],
        y: Sequence[jax.Array],
        params: Mapping[str, Any],
        operands: Sequence[jax.ShapeDtypeStruct],
        results: Sequence[jax.ShapeDtypeStruct],
    ):
        self.x, self.y = Values(x), Values(y)
        self.params = params
        self.operands, self.results = tuple(operands), tuple(results)

    @property
    def residuals(self) -> dict[str, jax.Array]:
        """What was read so far, by the names that formulas use."""
        named = ((self.x, operand_names(len(self.x))), (self.y, result_names(len(self.y))))
        return {names[i]: values._values[i] for values, names in named for i in sorted(values.read)}


def operand_names(count: int) -> list[str]:
    """What formulas call a primitive's operands: x; a and b; or x0, x1, ..."""
    return {1: ["x"], 2: ["a", "b"]}.get(count) or [f"x{i}" for i in range(count)]


def result_names(count: int) -> list[str]:
    """What formulas call a primitive's results: y, or y0, y1, ..."""
    return ["y"] if count == 1 else [f"y{i}" for i in range(count)]


@dataclasses.dataclass(frozen=True)
class Rule:
    """A primitive's local gradient.

    Attributes:
        primitive: the name of JAX's primitive.
        formula: what it computes, such as "dx = cos(x) dy"; operands are x, or a and b, or x0, x1, ...,
            results y, or y0, y1, ....
        pull: pull(at, i, *dys) is the gradient of operand i: its dtype, and its shape or one that the operand
            broadcasts to (copies that broadcasting made are added up afterwards). It is asked only for
            operands that need one. dys has one upstream gradient a result: zeros where none came, None where
            a result is not floating-point.
        gate: the lecture's word for what it does to a gradient.
        forward: forward(params, *operands) are the primitive's results, where it is to be differentiated and
            there is a faster way to them than the primitive itself.
    """

    primitive: str
    formula: str
    pull: Pull
    gate: str | None = None
    forward: Forward | None = None


RULES: dict[str, Rule] = {}
"""The rule of each primitive, by the primitive's name."""

BLOCKED: set[str] = set()
"""Primitives through which no gradient flows, though their results are floating-point."""


def rule(
    *primitives: str, formula: str, gate: str | None = None, forward: Forward | None = None
) -> Callable[[P], P]:
    """Enters a function into `RULES` as the rule of these primitives."""

    def enter(pull: P) -> P:
        for primitive in primitives:
            assert primitive not in RULES, f"two rules for {primitive}"
            RULES[primitive] = Rule(primitive, formula, pull, gate, forward)
        return pull

    return enter

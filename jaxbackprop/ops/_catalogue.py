"""One row an operator: what `verify`, the tests, the documentation and the benchmark know about it.

A row's cases say which arguments to draw: `Real`, `Integer`, `Key`, or the value itself where it is static.
Ranges and special values stand apart: random draws look at smooth points, `special` at kinks, ties and tails.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop import ops
from jaxbackprop.ops._activations import (
    hardtanh_plain,
    max_plain,
    maximum_plain,
    sigmoid_plain,
    tanh_plain,
)
from jaxbackprop.ops._dropout import as_key, dropout_plain
from jaxbackprop.ops._embedding import lookup_plain
from jaxbackprop.ops._gates import add_plain, copy_plain, multiply_plain
from jaxbackprop.ops._l2 import kind_of_parameter, l2_plain
from jaxbackprop.ops._linear import linear_plain
from jaxbackprop.ops._softmax_cross_entropy import softmax_cross_entropy_plain
from jaxbackprop.ops._window import window_lookup_plain


@dataclasses.dataclass(frozen=True)
class Real:
    """A floating-point argument, drawn uniformly from [low, high)."""

    shape: tuple[int, ...]
    low: float = -3.0
    high: float = 3.0

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        return rng.uniform(self.low, self.high, self.shape)


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
    """One way to call an operator: an argument may be a pytree of specifications."""

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def draw(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Draws the arguments: float64 and int32 NumPy arrays, static values as they stand."""
        return jax.tree.map(
            lambda spec: spec.draw(rng) if isinstance(spec, Real | Integer | Key) else spec,
            self.arguments,
            is_leaf=lambda node: isinstance(node, Real | Integer | Key),
        )


@dataclasses.dataclass(frozen=True)
class Operator:
    """A row of the catalogue.

    Attributes:
        name: the public name, in `jaxbackprop.ops` and in `reference`.
        family: the file in both packages.
        op: the public function.
        oracle: the same forward without a custom rule, called as `op` is.
        cases: ways to call it, at random points.
        special: arguments at kinks, ties and in tails, called as the first case is.
        elementwise: whether entries do not mix, so that each is accurate by itself.
        sweep: the range over which accuracy is measured, for elementwise functions of one array.
        source: where the lecture derives it.
    """

    name: str
    family: str
    op: Callable[..., Any]
    oracle: Callable[..., Any]
    cases: tuple[Case, ...]
    source: str
    special: tuple[tuple[Any, ...], ...] = ()
    elementwise: bool = False
    sweep: tuple[float, float] | None = None
    dtypes: tuple[Any, ...] = (jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64)


def _l2_oracle(tree: Any, strength: Any, *, biases: bool = False, tables: bool = False) -> Any:
    wanted = {"weight"} | ({"bias"} if biases else set()) | ({"table"} if tables else set())
    leaves = [
        leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if kind_of_parameter(path, jnp.ndim(leaf)) in wanted
    ]
    return l2_plain(tuple(leaves), strength)


def _lookup_oracle(plain: Callable[..., Any]) -> Callable[..., Any]:
    def oracle(table: Any, ids: Any, *, padding_id: int | None = None) -> Any:
        return plain(table, ids, padding_id)

    return oracle


def _dropout_oracle(x: Any, key: Any, rate: float, *, deterministic: bool = False) -> Any:
    return x if deterministic else dropout_plain(x, as_key(key), rate)


def _linear_oracle(x: Any, W: Any, b: Any = None) -> Any:
    return linear_plain(x, W, b)


_TAILS = np.array([-88.0, -20.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 20.0, 88.0])
_KINKS = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
_TIES = np.array([[1.0, 3.0, 3.0, -1.0], [2.0, 2.0, 2.0, 2.0], [0.0, 0.0, -1.0, -1.0]])
_PAIR = (Real((4, 3)), Real((4, 3)))
_BROADCAST = (Real((4, 3)), Real((1, 3)))
_SCALAR = (Real((4, 3)), Real(()))
_PARAMETERS = {"hidden": {"W": Real((3, 4)), "b": Real((3,))}, "table": Real((5, 2))}

CATALOGUE: tuple[Operator, ...] = (
    Operator(
        name="linear",
        family="linear",
        op=ops.linear,
        oracle=_linear_oracle,
        cases=(
            Case((Real((5, 4)), Real((3, 4)), Real((3,)))),
            Case((Real((2, 5, 4)), Real((4, 4)))),
            Case((Real((4,)), Real((3, 4)), Real((3,)))),
        ),
        source='unit 1, "Derivative wrt a weight matrix"',
    ),
    Operator(
        name="window_lookup",
        family="window",
        op=ops.window_lookup,
        oracle=_lookup_oracle(window_lookup_plain),
        cases=(
            Case((Real((7, 4)), Integer((6, 5), 0, 7))),
            Case((Real((7, 4)), Integer((2, 6, 3), -1, 7)), {"padding_id": -1}),
            Case((Real((7, 4)), Integer((2, 6, 3), 0, 7)), {"padding_id": 3}),
        ),
        special=((np.linspace(-1, 1, 28).reshape(7, 4), np.array([[2, 2, 2], [0, 6, 0]], np.int32)),),
        source='unit 1, "Deriving gradient wrt words"',
    ),
    Operator(
        name="embedding",
        family="embedding",
        op=ops.embedding,
        oracle=_lookup_oracle(lookup_plain),
        cases=(
            Case((Real((7, 4)), Integer((6, 2), 0, 7))),
            Case((Real((7, 4)), Integer((9,), -1, 7)), {"padding_id": -1}),
            Case((Real((7, 4)), Integer((9,), 0, 7)), {"padding_id": 3}),
        ),
        special=((np.linspace(-1, 1, 28).reshape(7, 4), np.full((3, 2), 5, np.int32)),),
        source='unit 1, "Deriving gradient wrt words"',
    ),
    Operator(
        name="softmax_cross_entropy",
        family="softmax_cross_entropy",
        op=ops.softmax_cross_entropy,
        oracle=lambda logits, labels, *, ignore_label=None: softmax_cross_entropy_plain(
            logits, labels, ignore_label
        ),
        cases=(
            Case((Real((6, 5)), Integer((6,), 0, 5))),
            Case((Real((2, 6, 5)), Integer((2, 6), -1, 5)), {"ignore_label": -1}),
            Case((Real((6, 5)), Real((6, 5), 0.0, 1.0))),
        ),
        special=(
            (np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0]]), np.array([0, 1, 2], np.int32)),
            (np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]]), np.array([1, 0], np.int32)),
        ),
        source='unit 1, "softmax: correct class / incorrect class"',
    ),
    Operator(
        name="sigmoid",
        family="activations",
        op=ops.sigmoid,
        oracle=sigmoid_plain,
        cases=(Case((Real((4, 5), -4.0, 4.0),)), Case((Real((), -4.0, 4.0),))),
        special=((_TAILS,),),
        elementwise=True,
        sweep=(-100.0, 100.0),
        source='unit 2, "sigmoid"',
    ),
    Operator(
        name="tanh",
        family="activations",
        op=ops.tanh,
        oracle=tanh_plain,
        cases=(Case((Real((4, 5)),)), Case((Real(()),))),
        special=((_TAILS / 2,),),
        elementwise=True,
        sweep=(-100.0, 100.0),
        source='unit 3, "Activation Function"',
    ),
    Operator(
        name="hardtanh",
        family="activations",
        op=ops.hardtanh,
        oracle=hardtanh_plain,
        cases=(Case((Real((4, 5)),)), Case((Real(()),))),
        special=((_KINKS,),),
        elementwise=True,
        sweep=(-100.0, 100.0),
        source='unit 3, "Activation Function"',
    ),
    Operator(
        name="max",
        family="activations",
        op=ops.max,
        oracle=max_plain,
        cases=(Case((Real((4, 5)), 1)), Case((Real((3, 4, 5)), -3)), Case((Real((5,)), 0))),
        special=((_TIES, 1), (_TIES, 0)),
        elementwise=True,
        source='unit 2, "max"',
    ),
    Operator(
        name="maximum",
        family="activations",
        op=ops.maximum,
        oracle=maximum_plain,
        cases=(Case(_PAIR), Case(_BROADCAST), Case(_SCALAR)),
        special=((_TIES, _TIES[:, ::-1].copy()),),
        source='unit 2, "max gate: gradient router"',
    ),
    Operator(
        name="add",
        family="gates",
        op=ops.add,
        oracle=add_plain,
        cases=(Case(_PAIR), Case(_BROADCAST), Case(_SCALAR)),
        source='unit 2, "add gate: gradient distributor"',
    ),
    Operator(
        name="multiply",
        family="gates",
        op=ops.multiply,
        oracle=multiply_plain,
        cases=(Case(_PAIR), Case(_BROADCAST), Case(_SCALAR)),
        source="unit 2, \"mul gate: 'swap multiplier'\"",
    ),
    Operator(
        name="copy",
        family="gates",
        op=ops.copy,
        oracle=copy_plain,
        cases=(Case((Real((4, 3)), 3)), Case((Real(()), 1))),
        source='unit 2, "copy gate: gradient adder"',
    ),
    Operator(
        name="dropout",
        family="dropout",
        op=ops.dropout,
        oracle=_dropout_oracle,
        cases=(
            Case((Real((6, 5)), Key(), 0.4)),
            Case((Real((6, 5)), Key(), 0.4), {"deterministic": True}),
        ),
        source='unit 3, "Overfitting -> Regularization, Dropout"',
    ),
    Operator(
        name="l2",
        family="l2",
        op=ops.l2,
        oracle=_l2_oracle,
        cases=(
            Case((_PARAMETERS, Real((), 0.1, 1.0))),
            Case((_PARAMETERS, Real((), 0.1, 1.0)), {"biases": True, "tables": True}),
            Case((Real((3, 4)), Real((), 0.1, 1.0))),
        ),
        source='unit 3, "Regularization"',
    ),
)


def operators(names: list[str] | None = None) -> tuple[Operator, ...]:
    """The rows of the named operators, or all.

    Raises:
        ValueError: where a name is not in the catalogue.
    """
    if names is None:
        return CATALOGUE
    rows = {row.name: row for row in CATALOGUE}
    unknown = [name for name in names if name not in rows]
    if unknown:
        raise ValueError(f"no operator {unknown[0]!r}; the operators are {', '.join(rows)}")
    return tuple(rows[name] for name in dict.fromkeys(names))

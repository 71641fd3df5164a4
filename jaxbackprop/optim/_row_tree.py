"""What the transformations by rows share: walking trees of `RowGradient`, schedules, checks of arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from ._row_gradient import RowGradient
from ._row_walk import Rule, walk

Rate = ArrayLike | Callable[[Int[Array, ""]], ArrayLike]


def is_row_gradient(node: object) -> bool:
    """Whether a node of a tree is to be taken as one gradient rather than two arrays."""
    return isinstance(node, RowGradient)


def map_rows(name: str, one: Callable[..., RowGradient], updates: Any, *others: Any) -> Any:
    """Maps over the `RowGradient` leaves of a tree, and over what other trees hold in their places.

    Raises:
        TypeError: a leaf is no `RowGradient`; the message names the transformation.
    """

    def checked(gradient: object, *rest: Any) -> RowGradient:
        if not isinstance(gradient, RowGradient):
            raise TypeError(
                f"rows.{name} takes gradients that are a RowGradient (see value_and_row_grad), got "
                f"{_describe(gradient)}: give dense gradients to another transformation with "
                "optax.multi_transform and static labels"
            )
        return one(gradient, *rest)

    return jax.tree.map(checked, updates, *others, is_leaf=is_row_gradient)


def map_rows_with(name: str, rule: Rule, updates: Any, *states: Any) -> tuple[Any, tuple[Any, ...]]:
    """`map_rows` for an elementwise rule that also renews the touched rows of what each state holds.

    Args:
        name: the transformation's.
        rule: (rows of the gradient, rows of each state) -> (rows of the update, new rows of each state).
        updates: tree of gradients.
        states: trees of arrays of the tables' shapes.

    Returns:
        The tree of updates, and the new states.
    """
    renewed: list[tuple[Array, ...]] = []

    def one(gradient: RowGradient, *arrays: Array) -> RowGradient:
        for array in arrays:
            if np.shape(array) != gradient.shape:
                raise ValueError(
                    f"rows.{name} was made for a table of shape {np.shape(array)}, got a gradient of shape "
                    f"{gradient.shape}"
                )
        update, new = walk(gradient, arrays, rule)
        renewed.append(new)
        return update

    moved = map_rows(name, one, updates, *states)
    structure = jax.tree.structure(updates, is_leaf=is_row_gradient)
    columns = list(zip(*renewed, strict=True)) or [()] * len(states)
    return moved, tuple(jax.tree.unflatten(structure, column) for column in columns)


def as_schedule(learning_rate: Rate) -> Callable[[Int[Array, ""]], Float[Array, ""]]:
    """The learning rate as a function of the updates made so far, float32."""
    if callable(learning_rate):
        schedule = learning_rate

        def rate(count: Int[Array, ""]) -> Float[Array, ""]:
            # Schedules are written for arithmetic that promotes integers.
            with jax.numpy_dtype_promotion("standard"):
                return jnp.asarray(schedule(count), jnp.float32)

        return rate
    if not isinstance(learning_rate, int | float | np.number | np.ndarray | jax.Array):
        raise TypeError(f"learning_rate must be a number or a schedule, got {learning_rate!r}")
    if np.ndim(learning_rate) != 0:
        raise TypeError(f"learning_rate must be a number or a schedule, got shape {np.shape(learning_rate)}")
    return lambda count: jnp.asarray(learning_rate, jnp.float32)


def check_table(table: ArrayLike) -> None:
    """Refuses what cannot be a table."""
    if np.ndim(table) != 2:
        raise ValueError(f"a table has shape (rows, columns), got {np.shape(table)}")
    dtype = jnp.result_type(table)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"a table must be floating-point, got dtype {dtype}")


def check_range(name: str, value: Any, *, below: float | None = None, above: bool = False) -> None:
    """Refuses a number under 0 (or at 0), or from `below` on; a traced one has no value to look at."""
    if isinstance(value, jax.core.Tracer):
        return
    if isinstance(value, str) or np.ndim(value) != 0:
        raise TypeError(f"{name} must be a number, got {value!r}")
    low = value > 0 if above else value >= 0
    if not (low and value < (np.inf if below is None else below)):
        expected = ("above 0" if above else "at least 0") + ("" if below is None else f" and below {below}")
        raise ValueError(f"{name} must be {expected}, got {value}")


def _describe(leaf: object) -> str:
    if isinstance(leaf, jax.Array | np.ndarray):
        return f"an array of shape {leaf.shape}"
    return repr(leaf)

"""The few input checks that every operator shares, and their messages.

Each check runs before tracing and names the argument, what was expected and what came.
"""

from __future__ import annotations

import math
import operator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

_T = TypeVar("_T")


def _is_scalar(value: Any) -> bool:
    """Whether `value` is a number without a dtype of its own (it takes the dtype of the arrays beside it)."""
    return isinstance(value, bool | int | float) or bool(
        isinstance(value, jax.Array) and value.weak_type and value.ndim == 0
    )


def as_array(name: str, value: Any) -> jax.Array:
    """Converts an argument to an array, or says that it cannot be one."""
    if value is None or isinstance(value, str):
        raise TypeError(f"{name} must be an array, got {value!r}")
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be an array, got {type(value).__name__}: {error}") from None


def as_floats(**values: ArrayLike) -> tuple[jax.Array, ...]:
    """Converts arguments to floating-point arrays of one dtype.

    Python scalars (and other weakly typed scalars) take the dtype of the arrays beside them, and the default
    float dtype where there is none; the results are strongly typed, so that a rule always has a dtype to cast
    its cotangents to.

    Raises:
        TypeError: where an argument is no array, is not floating-point, or where two arrays differ in dtype.
    """
    arrays = {name: as_array(name, value) for name, value in values.items()}
    strong = {name: a.dtype for name, a in arrays.items() if not _is_scalar(values[name])}
    for name, dtype in strong.items():
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(f"{name} must be floating-point, got dtype {dtype}")
    for name, a in arrays.items():
        if jnp.issubdtype(a.dtype, jnp.complexfloating):
            raise TypeError(f"{name} must be real, got dtype {a.dtype}")
    if len(set(strong.values())) > 1:
        listed = ", ".join(f"{name} {dtype}" for name, dtype in strong.items())
        raise TypeError(f"arrays must share one dtype, got {listed}; cast with .astype")
    dtype = next(iter(strong.values())) if strong else jnp.result_type(float)
    return tuple(jax.lax.convert_element_type(a, dtype) for a in arrays.values())


def as_static_int(name: str, value: Any) -> int:
    """Converts an argument that must be known before tracing (an axis, a count, an id) to a Python int."""
    if isinstance(value, jax.core.Tracer):
        raise TypeError(f"{name} must be a static integer, got a traced value; pass a Python int")
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None


def as_static_float(name: str, value: Any) -> float:
    """Converts a number that must be known before tracing (a slope, a rate) to a Python float."""
    if isinstance(value, jax.core.Tracer):
        raise TypeError(f"{name} must be a static number, got a traced value; pass a Python float")
    if not isinstance(value, int | float | np.number | np.ndarray | jax.Array) or np.size(value) != 1:
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(np.asarray(value).item())


def as_finite(name: str, value: Any) -> float:
    """Converts a static number that must be finite to a Python float."""
    number = as_static_float(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}")
    return number


def as_static_bool(name: str, value: Any) -> bool:
    """Converts a switch that must be known before tracing to a Python bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be a static bool, got {value!r}")
    return bool(value)


def as_choice(name: str, value: _T, *choices: str | None) -> _T:
    """Refuses a setting that is none of its choices, and says what they are."""
    if value not in choices:
        *first, last = map(repr, choices)
        raise ValueError(f"{name} must be {', '.join(first)} or {last}, got {value!r}")
    return value


def as_axis(name: str, value: Any, shape: tuple[int, ...]) -> int:
    """Converts an axis to one in [0, rank), counting negative ones from the end."""
    axis = as_static_int(name, value)
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"{name} {axis} is out of range for x of shape {shape}")
    return axis % len(shape)


def as_mask(name: str, value: Any) -> jax.Array:
    """Converts an argument to an array of truth values; numbers are none."""
    array = as_array(name, value)
    if array.dtype != jnp.bool_:
        raise TypeError(f"{name} must be bool, got dtype {array.dtype}")
    return array


def as_filled_axis(name: str, value: Any, x: jax.Array) -> int:
    """`as_axis` of an array that must have an entry there."""
    axis = as_axis(name, value, x.shape)
    if x.shape[axis] == 0:
        raise ValueError(f"{name} {axis} of x has no entries: x has shape {x.shape}")
    return axis


def broadcasts_to(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of one shape can be broadcast to exactly another."""
    pairs = zip(shape[::-1], target[::-1], strict=False)
    return len(shape) <= len(target) and all(n in (1, wanted) for n, wanted in pairs)


def check_broadcast(**arrays: jax.Array) -> None:
    """Checks that the shapes broadcast together as NumPy's do."""
    try:
        np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        listed = " and ".join(f"{name} of shape {a.shape}" for name, a in arrays.items())
        raise ValueError(f"{listed} do not broadcast together") from None


def as_ids(name: str, value: ArrayLike, size: int, *, besides: int | None, of: str) -> jax.Array:
    """Converts an argument to an array of signed integers of at least 32 bits, and checks its range.

    Traced integers pass the check, for they have no value yet.

    Args:
        name: the argument's name.
        value: integers of any shape (bool is none).
        size: the first integer that is out of range; the range starts at 0.
        besides: one further integer that is allowed (a padding id, an ignored label).
        of: what the range is, for the message, such as "rows of table".

    Raises:
        TypeError: where the argument is no array of integers.
        ValueError: where a concrete integer is out of range.
    """
    array = as_array(name, value)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    # Looked at before it is converted: without x64, a conversion of large integers would wrap around.
    if not isinstance(array, jax.core.Tracer) and array.is_fully_addressable:
        concrete = np.asarray(value)
        outside = (concrete < 0) | (concrete >= size)
        if besides is not None:
            outside &= concrete != besides
        if outside.any():
            allowed = f"[0, {size})" + (f" or {besides}" if besides is not None else "")
            raise ValueError(f"{name} must lie in {allowed} ({size} {of}), got {concrete[outside].flat[0]}")
    if jnp.issubdtype(array.dtype, jnp.unsignedinteger) and array.dtype.itemsize >= 4:
        # Half of them would turn negative below; whatever is out of range may as well be `size`.
        array = jnp.where(array < size, array, jnp.asarray(size, array.dtype))
    wide = np.int64 if array.dtype in (np.dtype(np.int64), np.dtype(np.uint64)) else np.int32
    return array.astype(wide)


def as_lookup(
    table: ArrayLike, ids: ArrayLike, padding_id: int | None
) -> tuple[jax.Array, jax.Array, int | None]:
    """Converts a lookup's arguments: a floating-point matrix, ids of its rows, perhaps an id for padding.

    Raises:
        TypeError: where table is not floating-point or ids are no integers.
        ValueError: where table is no matrix, or a concrete id is out of range.
    """
    (table,) = as_floats(table=table)
    if table.ndim != 2:
        raise ValueError(f"table must have shape (rows, features), got {table.shape}")
    if padding_id is not None:
        padding_id = as_other_id("padding_id", padding_id)
    ids = as_ids("ids", ids, table.shape[0], besides=padding_id, of="rows of table")
    return table, ids, padding_id


def as_other_id(name: str, value: Any) -> int:
    """Converts a static id that stands for something else (padding, an ignored label) to an int32."""
    number = as_static_int(name, value)
    if not -(2**31) <= number < 2**31:
        raise ValueError(f"{name} must fit in 32 bits, got {number}")
    return number

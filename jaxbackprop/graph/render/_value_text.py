"""Values as short text: a number, a few numbers, or their range; shapes and dtypes."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

_ENTRIES_WRITTEN_OUT = 4
_DIGITS_OF_SEVERAL = 3


def number_text(number: complex | np.generic, digits: int = 4) -> str:
    """A number to a count of significant digits: 0.731, 1e-5, nan; integers below ten million in full."""
    if isinstance(number, bool | np.bool_):
        return str(bool(number))
    if isinstance(number, int | np.integer):
        return str(int(number)) if abs(int(number)) < 10**7 else _exponent(f"{float(number):.{digits}g}")
    if isinstance(number, complex | np.complexfloating):
        imaginary = float(number.imag)
        sign = "-" if math.copysign(1, imaginary) < 0 else "+"
        return f"{number_text(float(number.real), digits)}{sign}{number_text(abs(imaginary), digits)}j"
    return _exponent(f"{float(number):.{digits}g}")


def numbers_text(value: ArrayLike | None) -> str:
    """The numbers in a value.

    Args:
        value: an array or a number.

    Returns:
        Up to four numbers one by one ("[1, 2]"); of more their range ("-1.2 … 3.4"), and how many are nan;
        of booleans how many are true. Nothing where the value has no numbers to show: None, a random key, a
        value that is being traced.
    """
    array = concrete(value)
    if array is None:
        return ""
    if array.size == 0:
        return "empty"
    if array.ndim == 0:
        return number_text(array.item())
    if array.size <= _ENTRIES_WRITTEN_OUT:
        return _nested(array)
    if array.dtype == np.bool_:
        return f"{np.count_nonzero(array)} of {array.size} True"
    if np.issubdtype(array.dtype, np.complexfloating):
        return f"|·| {_range(np.abs(array))}"
    return _range(array)


def shape_text(shape: tuple[int, ...], dtype: object) -> str:
    """Dtype and shape: "f32[8,16]", "key[]"."""
    return f"{dtype_text(dtype)}{dimensions_text(shape)}"


def dimensions_text(shape: tuple[int, ...]) -> str:
    """The shape alone: "[8,16]"."""
    return f"[{','.join(map(str, shape))}]"


def dtype_text(dtype: object) -> str:
    """A dtype in short: f32, bf16, i32, u8, bool, key."""
    name = str(dtype)
    if name.startswith("key<"):
        return "key"
    for long, short in (("bfloat", "bf"), ("float", "f"), ("uint", "u"), ("int", "i"), ("complex", "c")):
        if name.startswith(long) and name != "float0":
            return short + name.removeprefix(long)
    return name


def concrete(value: ArrayLike | jax.ShapeDtypeStruct | None) -> np.ndarray | None:
    """A value as an array that NumPy can compute with; None where it holds no numbers to show."""
    if value is None or isinstance(value, jax.core.Tracer | jax.ShapeDtypeStruct):
        return None
    dtype = getattr(value, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.extended):
        return None
    array = np.asarray(value)
    if array.dtype == jax.dtypes.float0:
        return None
    if array.dtype.kind in "biufc":
        return array
    # NumPy stores bfloat16, float8 and int4, but computes with few of them.
    return array.astype(np.float32 if jnp.issubdtype(array.dtype, np.floating) else np.int32)


def _nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        return number_text(array.item(), _DIGITS_OF_SEVERAL)
    return f"[{', '.join(_nested(part) for part in array)}]"


def _range(array: np.ndarray) -> str:
    missing = int(np.count_nonzero(np.isnan(array))) if array.dtype.kind == "f" else 0
    if missing == array.size:
        return "all nan"
    low, high = np.nanmin(array), np.nanmax(array)
    ends = number_text(low, _DIGITS_OF_SEVERAL), number_text(high, _DIGITS_OF_SEVERAL)
    said = f"all {ends[0]}" if low == high else " … ".join(ends)
    return f"{said}, {missing} nan" if missing else said


def _exponent(text: str) -> str:
    """1e-05 becomes 1e-5, -0 becomes 0."""
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else "0" if text == "-0" else text

"""A value as the page holds it: a number, a few numbers, or a heat map with statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._value_text import concrete, number_text, numbers_text, shape_text

_WRITTEN_OUT = 32
_COLUMNS_WRITTEN_OUT = 8
_BINS, _FEWEST_COUNTED = 16, 6
_LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MIDDLE = len(_LEVELS) // 2
_MISSING, _INFINITE, _NEGATIVE_INFINITE = "!", "+", "-"
_CELLS_IN_ALL, _MOST_ON_A_SIDE, _FEWEST_ON_A_SIDE = 160_000, 24, 6


def cells_on_a_side(values: int) -> int:
    """The most cells on a side of each heat map, for a page with so many values."""
    fair = math.isqrt(_CELLS_IN_ALL // max(1, values))
    return min(_MOST_ON_A_SIDE, max(_FEWEST_ON_A_SIDE, fair))


def value_record(value: Any, side: int) -> dict[str, Any]:
    """A value as the page's script reads it.

    Args:
        value: an array or a number.
        side: the most cells on a side of its heat map.

    Returns:
        "t", the value as short text; "s", its dtype and shape. Where it has several entries: "rows", their
        texts, if they are few; "heat", a row of the heat map a string, a letter a cell; "low", "high" and
        "mean" of the finite entries; "histogram", their counts in equal bins, if there are six or more; and
        "odd", how many are nan or infinite.
    """
    array = concrete(value)
    shape = shape_text(tuple(np.shape(value)), value.dtype if hasattr(value, "dtype") else "")
    found: dict[str, Any] = {"t": numbers_text(value), "s": shape}
    if array is None or array.size <= 1:
        return found
    if np.issubdtype(array.dtype, np.complexfloating):
        array = np.abs(array)
    with np.errstate(all="ignore"):
        wide = array.astype(np.float64)
        rows = wide.reshape(-1, array.shape[-1])
        few = array.size <= _WRITTEN_OUT and rows.shape[1] <= _COLUMNS_WRITTEN_OUT
        if few:
            found["rows"] = [[number_text(entry, 3) for entry in row] for row in array.reshape(rows.shape)]
        else:
            rows = _coarser(rows, side)
        found["heat"] = _heat(rows)
        return found | _statistics(wide)


def _statistics(wide: np.ndarray) -> dict[str, Any]:
    finite = wide[np.isfinite(wide)]
    odd = wide.size - finite.size
    found: dict[str, Any] = {"odd": odd} if odd else {}
    if not finite.size:
        return found
    low, high, mean = float(finite.min()), float(finite.max()), float(finite.mean())
    found |= {"low": number_text(low), "high": number_text(high), "mean": number_text(mean)}
    if finite.size >= _FEWEST_COUNTED and low < high and math.isfinite(high - low):
        found["histogram"] = np.histogram(finite, bins=_BINS, range=(low, high))[0].tolist()
    return found


def _coarser(rows: np.ndarray, side: int) -> np.ndarray:
    """The means of equal blocks, at most `side` a side."""
    for axis in (0, 1):
        length = rows.shape[axis]
        if length > side:
            starts = np.linspace(0, length, side + 1).astype(int)[:-1]
            widths = np.diff([*starts, length])
            sums = np.add.reduceat(rows, starts, axis=axis)
            rows = sums / (widths[:, None] if axis == 0 else widths[None, :])
    return rows


def _heat(rows: np.ndarray) -> list[str]:
    """A letter a cell, for its level from the most negative to the most positive; zero is in the middle."""
    finite = np.abs(rows[np.isfinite(rows)])
    largest = float(finite.max()) if finite.size else 0.0
    share = np.nan_to_num(rows / (largest or 1.0), nan=0.0, posinf=1.0, neginf=-1.0)
    levels = np.clip(np.rint(share * _MIDDLE), -_MIDDLE, _MIDDLE).astype(int) + _MIDDLE
    return [
        "".join(_letter(level, cell) for level, cell in zip(*both, strict=True))
        for both in zip(levels.clip(0, len(_LEVELS) - 1), rows, strict=True)
    ]


def _letter(level: int, cell: float) -> str:
    if math.isnan(cell):
        return _MISSING
    if math.isinf(cell):
        return _INFINITE if cell > 0 else _NEGATIVE_INFINITE
    return _LEVELS[level]

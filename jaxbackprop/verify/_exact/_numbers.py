"""Arrays of long numbers, to and from floats.

They are NumPy arrays of dtype object that hold `mpmath.mpf`, which has infinities and nan but no limit to its
exponent: nothing overflows, nothing is flushed to zero.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import threading
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

# What 1 + tanh leaves where it is as small as the smallest float64, 2e-308, is still more than fifty.
DIGITS = 370

# mpmath keeps constants and the working precision in shared places.
LOCK = threading.RLock()


@functools.cache
def arithmetic() -> Any:
    """The mpmath context in which everything here is computed; the user's own stays as it is."""
    import mpmath

    context = mpmath.mp.clone()
    context.dps = DIGITS
    return context


def each(f: Callable[..., Any], *arrays: Any) -> np.ndarray:
    """F entry by entry, with broadcasting, as an array of objects also where that is a single one."""
    # Whoever computes with nan need not be told.
    with np.errstate(invalid="ignore"):
        return boxed(np.frompyfunc(f, len(arrays), 1)(*arrays))


def boxed(value: Any) -> np.ndarray:
    """What NumPy took out of an array of no axes, in one again."""
    if isinstance(value, np.ndarray):
        return value
    box = np.empty((), object)
    box[()] = value
    return box


def is_exact(value: Any) -> bool:
    """Whether a value is an array of long numbers."""
    return isinstance(value, np.ndarray) and value.dtype == object


def to_exact(array: Any) -> np.ndarray:
    """Floats of any format, exactly."""
    return each(_number(), np.asarray(array).astype(np.float64))


@functools.cache
def _number() -> Callable[[float], Any]:
    from mpmath.libmp import from_float

    make = arithmetic().make_mpf
    # Much faster than mpf(x), which looks at what x may be.
    return lambda x: make(from_float(x))


def literals_to_exact(array: Any) -> np.ndarray:
    """Floats written into a program: what is meant by them where they are a known constant, rounded."""
    meant, exact = _constants(), _number()

    def number(x: float) -> Any:
        return meant[x] if x in meant else exact(x)

    return each(number, np.asarray(array).astype(np.float64))


@functools.cache
def _constants() -> dict[float, Any]:
    """By float: the irrational number that it stands for, a rounding or two aside."""
    m = arithmetic()
    positive = (
        m.pi,
        2 * m.pi,
        m.pi / 2,
        1 / m.pi,
        2 / m.pi,
        m.sqrt(m.pi),
        1 / m.sqrt(m.pi),
        2 / m.sqrt(m.pi),
        m.sqrt(m.pi) / 2,
        m.sqrt(2 * m.pi),
        1 / m.sqrt(2 * m.pi),
        m.sqrt(2 / m.pi),
        m.sqrt(m.pi / 2),
        m.sqrt(2),
        m.sqrt(2) / 2,
        m.log(2),
        1 / m.log(2),
        m.log(10),
        m.log(2 * m.pi),
        m.log(2 * m.pi) / 2,
    )
    found = {}
    for constant in positive:
        nearest = float(constant)
        for x in (np.nextafter(nearest, 0), np.nextafter(nearest, np.inf), nearest):
            found[float(x)], found[-float(x)] = +constant, -constant
    return found


def from_exact(array: np.ndarray) -> np.ndarray:
    """The nearest float64 numbers."""
    return each(float, array).astype(np.float64)


@dataclasses.dataclass(frozen=True)
class Truth:
    """Long numbers to measure floats by, as sums of two float64 numbers (more than thirty digits).

    Attributes:
        nearest: the nearest float64 numbers.
        rest: what these lack.
    """

    nearest: np.ndarray
    rest: np.ndarray

    @classmethod
    def of(cls, array: np.ndarray) -> Truth:
        """Takes long numbers apart."""
        with LOCK:
            nearest = from_exact(array)
            return cls(nearest, from_exact(each(operator.sub, array, to_exact(nearest))))

    def ulp(self, got: np.ndarray, dtype: Any, *, size: float | None = None) -> np.ndarray:
        """Distances in units in the last place.

        Args:
            got: floats.
            dtype: whose spacing at the truth is the unit; below its smallest normal number it stays as it is
                there.
            size: takes the spacing at the largest entry for all, or at this number where that is larger.

        Returns:
            Float64 numbers; infinite where `got` is not finite.
        """
        info, scale = jnp.finfo(dtype), np.abs(self.nearest)
        if size is not None:
            scale = np.full_like(scale, np.max(scale, initial=size))
        unit = np.ldexp(float(info.eps), np.frexp(np.maximum(scale, float(info.tiny)))[1] - 1)
        with np.errstate(all="ignore"):
            off = np.abs((np.asarray(got).astype(np.float64) - self.nearest) - self.rest) / unit
        return np.where(np.isfinite(got), off, np.inf)

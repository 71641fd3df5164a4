"""Calls of code that is not ours, which may raise anything."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, cast

import jax

from jaxbackprop._errors import first_line

from ._layout import CannotCheck

T = TypeVar("T")

# What jax raises where Python asks a traced value for a number, a truth value or an index.
UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


@dataclasses.dataclass(frozen=True)
class Outcome(Generic[T]):
    """What a call gave, or what it raised."""

    error: Exception | None = None  # what was raised; None where nothing was
    _value: T | None = None

    @property
    def value(self) -> T:
        """What the call gave; raises what it raised."""
        if self.error is not None:
            raise self.error
        return cast(T, self._value)


def attempt(call: Callable[[], T]) -> Outcome[T]:
    """Calls a function that runs or traces an operator, a rule or an oracle.

    Every exception is caught: these functions are the caller's and may raise anything, at some points or
    under some transformations alone. What that means for the verdict is decided by whoever asked.
    """
    try:
        return Outcome(_value=call())
    except Exception as error:
        return Outcome(error=error)


@contextlib.contextmanager
def judging(f: Any) -> Iterator[None]:
    """Around a whole check of a function: whatever leaves it is a CannotCheck."""
    try:
        yield
    except CannotCheck:
        raise
    except Exception as error:
        name = getattr(f, "__name__", None) or type(f).__name__
        raise CannotCheck(f"{name} cannot be judged: {first_line(error)}") from error

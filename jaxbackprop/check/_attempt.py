"""Calls of code that is not ours, which may raise anything."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar, cast

import jax

from jaxbackprop._errors import first_line

from ._layout import CannotCheck

P = ParamSpec("P")
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


def judges(check: Callable[P, T]) -> Callable[P, T]:
    """A whole check of its first argument: whatever leaves it is a CannotCheck, without our frames."""

    @functools.wraps(check)
    def judged(*args: P.args, **kwargs: P.kwargs) -> T:
        __tracebackhide__ = True
        # A call that Python itself would refuse stays a TypeError.
        given = inspect.signature(check).bind(*args, **kwargs).arguments
        failure: CannotCheck
        try:
            return check(*args, **kwargs)
        except CannotCheck as error:
            failure = error
        except Exception as error:
            f = next(iter(given.values()))
            name = getattr(f, "__name__", None) or type(f).__name__
            failure = CannotCheck(f"{name} cannot be judged: {first_line(error)}")
            # For who looks for it; it is not printed.
            failure.__context__ = error
        # Raised here and from nothing, it shows its reader the line that asked and no other.
        raise failure.with_traceback(None) from None

    return judged

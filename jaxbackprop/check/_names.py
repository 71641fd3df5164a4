"""The names under which functions and classes are found again, for code that is to be pasted."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator
from typing import Any


@dataclasses.dataclass(frozen=True)
class Name:
    """How code names an object.

    Attributes:
        module: where it is; "__main__" for what a script or a notebook defines.
        text: the expression, such as "Class.method" or "jax.jit(op)".
        first: what is to be imported for it.
    """

    module: str
    text: str
    first: str

    @property
    def line(self) -> str:
        """The line that makes the name known, or says where it is."""
        if self.module == "__main__":
            return f"# where {self.first} is defined"
        return f"from {self.module} import {self.first}"


def name_of(thing: Any) -> Name | None:
    """How code names a function or a class; None where no name leads to it."""
    module, path = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    try:
        home = importlib.import_module(module or "__main__")
    except (ImportError, ValueError):
        return None
    members = vars(home)
    if path and "<" not in path and _at(home, path) is thing:
        return Name(home.__name__, path, path.partition(".")[0])
    # A lambda, or a function wrapped after its definition, has a name beside that of what it wraps.
    other = next((name for name, value in list(members.items()) if value is thing), None)
    if other is not None and other.isidentifier():
        return Name(home.__name__, other, other)
    if hasattr(thing, "lower") and hasattr(thing, "__wrapped__"):
        inner = name_of(thing.__wrapped__)
        return inner and dataclasses.replace(inner, text=f"jax.jit({inner.text})")
    return None


def named_within(value: Any) -> Iterator[Any]:
    """The functions and the classes of NamedTuples that a value holds."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        if hasattr(value, "_fields"):
            yield type(value)
        for item in value:
            yield from named_within(item)
    elif callable(value):
        yield value


def _at(home: Any, path: str) -> Any:
    for part in path.split("."):
        home = getattr(home, part, None)
    return home

"""What functions are called with: `--arg`, a module's CHECK_ARGUMENTS, and the values drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import CannotRun
from jaxbackprop._specs import Argument, map_leaves, parse_argument

Call = tuple[Argument, ...]


def read_call(texts: Sequence[str]) -> Call:
    """Arguments written as text.

    Raises:
        CannotRun: where one cannot be read, or one without a name follows one with a name.
    """
    try:
        call = tuple(map(parse_argument, texts))
    except ValueError as error:
        raise CannotRun(f"--arg {error}") from None
    _check_names(call, "--arg")
    return call


def given_calls(module: ModuleType) -> dict[str, tuple[Call, ...]]:
    """A module's CHECK_ARGUMENTS, read.

    Raises:
        CannotRun: where it is no dict from names of the module to lists of tuples, or a text in it cannot
            be read.
    """
    table = getattr(module, "CHECK_ARGUMENTS", {})
    where = f"{module.__name__}.CHECK_ARGUMENTS"
    if not isinstance(table, dict):
        raise CannotRun(f"{where} must be a dict from names to lists of tuples, got {type(table).__name__}")
    read = {}
    for name, calls in table.items():
        here = f"{where}[{name!r}]"
        if not isinstance(name, str) or not callable(attribute(module, name)):
            raise CannotRun(f"{here}: the module has no such function")
        if not isinstance(calls, list) or not all(isinstance(call, tuple) for call in calls):
            raise CannotRun(f"{here} must be a list of tuples, one a call, got {calls!r}")
        try:
            read[name] = tuple(tuple(map(_argument, call)) for call in calls)
        except ValueError as error:
            raise CannotRun(f"{here}: {error}") from None
        for call in read[name]:
            _check_names(call, here)
    return read


def draw(call: Call, *, seed: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The positional arguments and the keywords of a call; arrays are NumPy's."""
    rng = np.random.default_rng(seed)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for argument in call:
        value = argument.draw(rng)
        if argument.name is None:
            positional.append(value)
        else:
            named[argument.name] = value
    return tuple(positional), named


def as_jax(value: Any) -> Any:
    """A container with arrays of JAX in place of NumPy's."""
    return map_leaves(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, value)


def attribute(owner: Any, path: str) -> Any:
    """What a name with dots names; None where nothing."""
    for step in path.split("."):
        owner = getattr(owner, step, None)
    return owner


def _argument(value: Any) -> Argument:
    """An entry of CHECK_ARGUMENTS: a text is read, in containers too; all else stands for itself."""
    if isinstance(value, str):
        return parse_argument(value)

    def read(leaf: Any) -> Any:
        if not isinstance(leaf, str):
            return leaf
        inner = parse_argument(leaf)
        if inner.name is not None:
            raise ValueError(f"{leaf}: a keyword cannot stand inside of an argument")
        return inner.value

    return Argument(map_leaves(read, value))


def _check_names(call: Call, where: str) -> None:
    names = [argument.name for argument in call]
    given = [name for name in names if name is not None]
    if len(set(given)) < len(given):
        raise CannotRun(f"{where}: a keyword is given twice among {', '.join(given)}")
    if None in names[len(names) - len(given) :]:
        raise CannotRun(f"{where}: an argument without a name stands behind {given[0]}=")

"""What the arguments of a function are called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax


def argument_names(f: Callable[..., Any], args: Sequence[Any]) -> list[str]:
    """A name for each leaf of the arguments, such as "params['W']"."""
    named, rest = positional_names(f)
    names = []
    for position, arg in enumerate(args):
        stem = named[position] if position < len(named) else f"{rest}[{position - len(named)}]"
        for path, _ in jax.tree_util.tree_flatten_with_path(arg)[0]:
            said = jax.tree_util.keystr(path)
            # flax keeps a parameter's array in an attribute that says nothing.
            names.append(stem + said.removesuffix(".value"))
    return names


def positional_names(f: Callable[..., Any]) -> tuple[list[str], str]:
    """What a function calls its positional parameters, and what it calls those that are any number."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return named, next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "args")


def numbered_names(count: int) -> list[str]:
    """Names for arguments that have none: x; or x0, x1, ..."""
    return ["x"] if count == 1 else [f"x{i}" for i in range(count)]

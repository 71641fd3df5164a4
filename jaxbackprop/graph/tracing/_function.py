"""A function of JAX, traced."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxbackprop._jaxpr import is_array_leaf

from .._graph import Graph
from ._trace import build


def trace(f: Callable[..., Any], *args: Any) -> Graph:
    """The computation graph of a function.

    Args:
        f: any function of JAX arrays.
        args: its arguments: pytrees of arrays, numbers or `jax.ShapeDtypeStruct`. Leaves of other types
            (strings, functions) are handed on to f as they are. Gradients flow to floating-point leaves.

    Returns:
        The graph, of all that the results depend on. Where f raises, the graph of what it did until then,
        with what it raised in `error`.

    Raises:
        TypeError: where f is not callable, or returns what is no array.
    """
    if not callable(f):
        raise TypeError(f"f must be a function, got {type(f).__name__}")
    graph, error = build_from(f, args, names=argument_names(f, args))
    return graph if error is None else dataclasses.replace(graph, error=error)


def build_from(
    f: Callable[..., Any], args: Sequence[Any], *, names: Sequence[str] | None = None
) -> tuple[Graph, Exception | None]:
    """The graph of a function, and what it raised while it was traced."""
    leaves, structure = jax.tree.flatten(tuple(args))
    traced = [i for i, leaf in enumerate(leaves) if is_array_leaf(leaf)]
    error: list[Exception] = []

    def flat(*dynamic: Any) -> Any:
        full = list(leaves)
        for i, value in zip(traced, dynamic, strict=True):
            full[i] = value
        try:
            return f(*jax.tree.unflatten(structure, full))
        # The user's function may raise anything, and what it did until then is what they want to see.
        except Exception as raised:
            error.append(raised)
            return ()

    jaxpr, shape = jax.make_jaxpr(flat, return_shape=True)(*(leaves[i] for i in traced))
    failed = error[0] if error else None
    active = [_is_float(leaves[i]) for i in traced]
    chosen = None if names is None else [names[i] for i in traced]
    name = getattr(f, "__name__", type(f).__name__)
    graph = build(jaxpr, active, names=chosen, name=name, keep_all=failed is not None)
    result = None if failed else jax.tree.structure(shape)
    return dataclasses.replace(graph, arguments=tuple(args), structure=result), failed


def _is_float(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    if dtype is None:
        return isinstance(leaf, float | complex)
    return jnp.issubdtype(dtype, jnp.inexact)


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

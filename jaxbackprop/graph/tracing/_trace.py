"""A function of JAX, traced."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jaxbackprop._jaxpr import is_array_leaf

from .._graph import ComputationGraph
from ._program import build

G = TypeVar("G", bound=ComputationGraph)


def trace(
    kind: type[G], f: Callable[..., Any], args: Sequence[Any], *, names: Sequence[str] | None = None
) -> G:
    """The computation graph of a function, of all that the results depend on.

    Args:
        kind: the class of the graph, and of the graphs inside its nodes.
        f: the function.
        args: its arguments; see `jaxbackprop.graph.trace`.
        names: one a leaf of the arguments.

    Returns:
        The graph. Where f raises, the graph of what it did until then, with what it raised in `error`.

    Raises:
        TypeError: where f returns what is no array.
    """
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
    graph = build(kind, jaxpr, active, names=chosen, name=name, keep_all=failed is not None)
    result = None if failed else jax.tree.structure(shape)
    return dataclasses.replace(graph, arguments=tuple(args), structure=result, error=failed)


def _is_float(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    if dtype is None:
        return isinstance(leaf, float | complex)
    return jnp.issubdtype(dtype, jnp.inexact)

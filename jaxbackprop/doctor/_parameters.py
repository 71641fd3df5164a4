"""Which inputs of a graph are parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxbackprop._jaxpr import is_array_leaf
from jaxbackprop.graph import ComputationGraph


def parameter_inputs(graph: ComputationGraph, argnums: Sequence[int] | None) -> list[int]:
    """The nodes of the inputs that are parameters, ascending.

    Args:
        graph: of the function.
        argnums: positions of the arguments that hold them. None: the first argument that is a container of
            floating-point arrays, as parameters mostly are (a dict, a list, a module); where there is none,
            all arguments.
    """
    arguments = graph.arguments
    if argnums is None:
        first = next((i for i, arg in enumerate(arguments) if is_container(arg) and _has_floats(arg)), None)
        argnums = range(len(arguments)) if first is None else (first,)
    owners = [position for position, arg in enumerate(arguments) for _ in _array_leaves(arg)]
    return [
        node.index
        for node, owner in zip(graph.inputs, owners, strict=True)
        if owner in argnums and jnp.issubdtype(node.dtype, jnp.floating)
    ]


def is_container(argument: Any) -> bool:
    """Whether an argument is a pytree of leaves and not itself a leaf."""
    return not jax.tree_util.all_leaves([argument])


def input_values(graph: ComputationGraph) -> list[jax.Array]:
    """The values that a graph was traced with, one an input."""
    return [
        leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf, node.dtype)
        for node, leaf in zip(graph.inputs, _array_leaves(graph.arguments), strict=True)
    ]


def _array_leaves(tree: Any) -> list[Any]:
    return [leaf for leaf in jax.tree.leaves(tree) if is_array_leaf(leaf)]


def _has_floats(argument: Any) -> bool:
    return any(
        isinstance(leaf, float) or jnp.issubdtype(getattr(leaf, "dtype", jnp.int32), jnp.floating)
        for leaf in _array_leaves(argument)
    )

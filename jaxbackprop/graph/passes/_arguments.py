"""Pytrees to flat lists and back; what differs from what was traced is refused."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxbackprop._jaxpr import is_array_leaf

from .._graph import ComputationGraph


def flat_inputs(graph: ComputationGraph, args: tuple[Any, ...]) -> list[jax.Array]:
    """The graph's inputs.

    Raises:
        TypeError: where an argument differs from what was traced, or is a shape alone.
    """
    leaves, structure = _flat(args)
    traced, expected = _flat(graph.arguments)
    if structure != expected:
        raise TypeError(f"{graph.name} was traced with arguments of structure {expected}, got {structure}")
    inputs = []
    dynamic = [leaf for leaf, was in zip(leaves, traced, strict=True) if is_array_leaf(was)]
    for node, leaf in zip(graph.inputs, dynamic, strict=True):
        if isinstance(leaf, jax.ShapeDtypeStruct):
            raise TypeError(f"{node.name} is a shape: {graph.name} was traced without values, give arguments")
        shape = node.outputs[0]
        given = leaf if hasattr(leaf, "dtype") else jnp.asarray(leaf, shape.dtype)
        given = jnp.asarray(given) if not isinstance(given, jax.Array) else given
        if given.shape != shape.shape or given.dtype != shape.dtype:
            raise TypeError(
                f"{node.name} was traced as {shape.dtype}{list(shape.shape)}, "
                f"got {given.dtype}{list(given.shape)}"
            )
        inputs.append(given)
    return inputs


def flat_upstream(graph: ComputationGraph, dy: Any) -> list[jax.Array | None]:
    """One upstream gradient a result; None where none comes.

    Raises:
        ValueError: where dy is None and the result is not one floating-point number.
        TypeError: where dy differs from the results in structure, shape or dtype.
    """
    ends = graph.results
    if dy is None:
        if len(ends) != 1 or ends[0].shape != () or not jnp.issubdtype(ends[0].dtype, jnp.floating):
            said = ", ".join(f"{end.dtype}{list(end.shape)}" for end in ends) or "nothing"
            raise ValueError(
                f"dy must be given: {graph.name} does not return one floating-point number but {said}"
            )
        return [jnp.ones((), ends[0].dtype)]
    leaves, structure = _flat(dy)
    # A None that stands where the function returned None is no gradient but a part of the structure.
    template = jax.tree.unflatten(graph.structure, list(range(len(ends))))
    wanted, same = _flat(template)
    if structure != same:
        raise TypeError(f"dy has the structure {structure}, the results of {graph.name} have {same}")
    given = [leaf for leaf, place in zip(leaves, wanted, strict=True) if place is not None]
    return [_checked(graph.name, end, leaf) for end, leaf in zip(ends, given, strict=True)]


def _flat(tree: Any) -> tuple[list[Any], Any]:
    """Leaves, None among them, and structure."""
    flat: tuple[list[Any], Any] = jax.tree.flatten(tree, is_leaf=lambda leaf: leaf is None)
    return flat


def _checked(name: str, end: jax.ShapeDtypeStruct, leaf: Any) -> jax.Array | None:
    if leaf is None or not jnp.issubdtype(end.dtype, jnp.inexact):
        return None
    dy = jnp.asarray(leaf, None if hasattr(leaf, "dtype") else end.dtype)
    if dy.shape != end.shape or dy.dtype != end.dtype:
        raise TypeError(
            f"dy has a leaf {dy.dtype}{list(dy.shape)} where {name} gives {end.dtype}{list(end.shape)}"
        )
    return dy


def gradients_like(
    graph: ComputationGraph, arguments: tuple[Any, ...], gradients: dict[int, jax.Array]
) -> tuple[Any, ...]:
    """The gradients in the structure of the arguments: None where there is none, zeros where none came."""
    leaves, structure = jax.tree.flatten(arguments)
    inputs = iter(enumerate(graph.inputs))

    def gradient(leaf: Any) -> jax.Array | None:
        if not is_array_leaf(leaf):
            return None
        i, node = next(inputs)
        if not node.active[0]:
            return None
        return gradients[i] if i in gradients else jnp.zeros_like(node.outputs[0])

    found: tuple[Any, ...] = jax.tree.unflatten(structure, [gradient(leaf) for leaf in leaves])
    return found

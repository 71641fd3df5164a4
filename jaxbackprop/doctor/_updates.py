"""How large a step of the optimizer is beside what it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxbackprop.graph._graph import Graph

from ._findings import Finding, number
from ._measures import NodeHealth
from ._sweep import norm
from ._thresholds import threshold


def update_norms(
    optimizer: Any, state: Any, argument: Any, nodes: Sequence[int], gradients: Mapping[int, Any], values: Any
) -> dict[int, Any]:
    """The norm of the optimizer's update of each parameter; while being traced.

    Args:
        optimizer: an optax transformation.
        state: its state; None for a new one.
        argument: the parameters, as the function takes them.
        nodes: of the parameters, in the order of the argument's floating-point leaves.
        gradients: by node; none where none came.
        values: by node.
    """
    leaves, structure = jax.tree.flatten(argument)
    floating = [jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating) for leaf in leaves if _is_number(leaf)]
    parameters = [values[i] for i in nodes]
    grads = [gradients.get(i, jnp.zeros_like(values[i])) for i in nodes]
    # A module also holds keys and counters, which optimizers do not take.
    if len(floating) == len(leaves) and all(floating):
        parameters, grads = (jax.tree.unflatten(structure, leaf) for leaf in (parameters, grads))
    # optax multiplies counts by floats, which strict promotion would refuse.
    with jax.numpy_dtype_promotion("standard"):
        state = optimizer.init(parameters) if state is None else state
        updates, _ = optimizer.update(grads, state, parameters)
    return {i: norm(update) for i, update in zip(nodes, jax.tree.leaves(updates), strict=True)}


def _is_number(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return dtype is None or not jnp.issubdtype(dtype, jax.dtypes.extended)


def ratios(norms: Mapping[int, Any], sizes: Mapping[int, Any]) -> dict[int, float]:
    """Update by weight, for each parameter that is not 0."""
    return {i: float(norms[i]) / float(sizes[i]) for i in norms if float(sizes[i]) > 0}


def too_large(graph: Graph, healths: Sequence[NodeHealth]) -> list[Finding]:
    """The weight with the largest update, if that is larger than the weight."""
    # Biases and scales are few numbers near 0, and a step may well double them.
    ill = [
        h
        for h in healths
        if h.update_ratio is not None and h.update_ratio > threshold("update") and len(h.node.shape) >= 2
    ]
    if not ill:
        return []
    ill.sort(key=lambda h: -(h.update_ratio or 0.0))
    worst = ill[0]
    assert worst.update_ratio is not None
    return [
        Finding(
            "update",
            worst.node,
            worst.name,
            worst.source,
            worst.update_ratio,
            "norm of the update by that of the weight",
            f"one step of the optimizer changes it by {number(worst.update_ratio)} times its own "
            "size: what was "
            "learned is overwritten",
            f"a learning rate {number(worst.update_ratio / 1e-3)} times lower, for an update of a "
            "thousandth of "
            "the weight; warm-up; gradient clipping",
            tuple(h.node for h in ill),
            tuple(h.node for h in ill),
        )
    ]


def lost(healths: Sequence[NodeHealth]) -> list[str]:
    """What to say of updates that rounding swallows."""
    found = [
        h
        for h in healths
        if h.update_ratio is not None
        and 0 < h.update_ratio < threshold("update lost")
        and len(h.node.shape) >= 2
    ]
    if not found:
        return []
    least = min(found, key=lambda h: h.update_ratio or 0.0)
    return [
        f"the update of {least.name} is {number(least.update_ratio or 0.0)} of its size: in float32 "
        "most of it "
        "is lost to rounding (as it should be where training has converged)"
    ]

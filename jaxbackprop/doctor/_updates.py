"""The optimizer's step, compared with the parameters that it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from ._figures import norm
from ._findings import Finding, number
from ._node_health import NodeHealth
from ._thresholds import threshold

_USUAL_RATIO = 1e-3


@runtime_checkable
class Optimizer(Protocol):
    """An optax transformation."""

    def init(self, params: Any) -> Any: ...
    def update(self, updates: Any, state: Any, params: Any) -> tuple[Any, Any]: ...


def update_norms(
    optimizer: Optimizer,
    state: Any,
    argument: Any,
    nodes: Sequence[int],
    gradients: Mapping[int, jax.Array],
    values: Mapping[int, jax.Array],
) -> dict[int, jax.Array]:
    """The norm of the optimizer's update of each parameter, by node.

    Args:
        optimizer: an optax transformation.
        state: its state; None for a new one.
        argument: the argument of the function that holds the parameters.
        nodes: of the parameters, in the order of the argument's floating-point leaves.
        gradients: by node; a parameter without one has none here.
        values: by node.
    """
    leaves, structure = jax.tree.flatten(argument)
    floating = [jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating) for leaf in leaves if _is_number(leaf)]
    parameters: Any = [values[i] for i in nodes]
    grads: Any = [gradients.get(i, jnp.zeros_like(values[i])) for i in nodes]
    # A module also holds keys and counters, which optimizers do not take; then a list of parameters is given.
    if len(floating) == len(leaves) and all(floating):
        parameters, grads = (jax.tree.unflatten(structure, each) for each in (parameters, grads))
    # optax multiplies counts by floats, which strict promotion would refuse.
    with jax.numpy_dtype_promotion("standard"):
        state = optimizer.init(parameters) if state is None else state
        updates, _ = optimizer.update(grads, state, parameters)
    return {i: norm(update) for i, update in zip(nodes, jax.tree.leaves(updates), strict=True)}


def _is_number(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return dtype is None or not jnp.issubdtype(dtype, jax.dtypes.extended)


def update_ratios(norms: Mapping[int, jax.Array], sizes: Mapping[int, jax.Array]) -> dict[int, float]:
    """By node, the norm of the update by that of the parameter, where that is not 0."""
    return {i: float(norms[i]) / float(sizes[i]) for i in norms if float(sizes[i]) > 0}


def too_large(healths: Sequence[NodeHealth]) -> list[Finding]:
    """The weight with the largest update, if that is larger than the weight."""
    found = sorted(
        ((r, h) for r, h in _weight_ratios(healths) if r > threshold("update")), key=lambda each: -each[0]
    )
    if not found:
        return []
    ratio, worst = found[0]
    nodes = tuple(h.node for _, h in found)
    return [
        Finding(
            "update",
            worst.node,
            worst.name,
            worst.source,
            ratio,
            "norm of the update by that of the weight",
            f"one step of the optimizer changes it by {number(ratio)} times its own size: what was learned "
            "is overwritten",
            f"a learning rate {number(ratio / _USUAL_RATIO)} times lower, for an update of a thousandth of "
            "the weight; warm-up; gradient clipping",
            nodes,
            nodes,
        )
    ]


def lost(healths: Sequence[NodeHealth]) -> list[str]:
    """A note on updates that are lost to rounding."""
    found = [(r, h) for r, h in _weight_ratios(healths) if 0 < r < threshold("update lost")]
    if not found:
        return []
    ratio, least = min(found, key=lambda each: each[0])
    return [
        f"the update of {least.name} is {number(ratio)} of its size: in float32 most of it "
        "is lost to rounding (as it should be where training has converged)"
    ]


def _weight_ratios(healths: Sequence[NodeHealth]) -> list[tuple[float, NodeHealth]]:
    """The update ratio of each weight. Biases and scales are small, and a step may well double them."""
    return [(h.update_ratio, h) for h in healths if h.update_ratio is not None and len(h.node.shape) >= 2]

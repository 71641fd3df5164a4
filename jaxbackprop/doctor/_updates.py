"""The optimizer's step, compared with the parameters that it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from ._figures import UpdateFigures, is_narrow, norm
from ._findings import Finding, likewise, names_of, number, percent
from ._node_health import NodeHealth
from ._thresholds import threshold

_USUAL_RATIO = 1e-3
_MASTERS = (
    "float32 master weights: parameters and optimizer in float32, and layers that cast them for the "
    "computation (flax: dtype=jnp.bfloat16 and param_dtype=jnp.float32)"
)


@runtime_checkable
class Optimizer(Protocol):
    """An optax transformation."""

    def init(self, params: Any) -> Any: ...
    def update(self, updates: Any, state: Any, params: Any) -> tuple[Any, Any]: ...


def update_figures(
    optimizer: Optimizer,
    state: Any,
    argument: Any,
    nodes: Sequence[int],
    gradients: Mapping[int, jax.Array],
    values: Mapping[int, jax.Array],
) -> dict[int, UpdateFigures]:
    """What the optimizer's update does to each parameter, by node.

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
    return {
        i: UpdateFigures(norm(update), norm(values[i]), _lost_share(values[i], update))
        for i, update in zip(nodes, jax.tree.leaves(updates), strict=True)
    }


def _is_number(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return dtype is None or not jnp.issubdtype(dtype, jax.dtypes.extended)


def _lost_share(value: jax.Array, update: jax.Array) -> jax.Array | None:
    """Of the entries that have an update, the share that it leaves as they were."""
    if not is_narrow(value.dtype):
        return None
    limits = jnp.finfo(value.dtype)
    before, change = value.astype(jnp.float32), update.astype(jnp.float32)
    # Not by a cast there and back, which compilers leave out.
    after = jax.lax.reduce_precision(before + change, limits.nexp, limits.nmant)
    moved = change != 0
    # Below the normal numbers it rounds to 0, which the dtype does not.
    unmoved = moved & (after == before) & (jnp.abs(before) >= float(limits.tiny))
    return jnp.sum(unmoved, dtype=jnp.float32) / jnp.maximum(jnp.sum(moved, dtype=jnp.float32), 1)


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


def lost_entries(healths: Sequence[NodeHealth]) -> list[Finding]:
    """The parameter in 16 bits of whose update the largest share is lost to rounding, if that is too much."""
    found = [(h.update_lost, h) for h in healths if h.update_lost is not None]
    found = sorted(
        (each for each in found if each[0] > threshold("update lost, 16 bits")), key=lambda f: -f[0]
    )
    if not found:
        return []
    share, worst = found[0]
    message = (
        f"{percent(share)} of its entries stay as they are though they have an update: {_loses(worst)}"
    ) + likewise([h.name for _, h in found[1:]])
    nodes = tuple(h.node for _, h in found)
    unit = "share of entries whose update is lost"
    return [
        Finding("update", worst.node, worst.name, worst.source, share, unit, message, _MASTERS, nodes, nodes)
    ]


def narrow_parameters(healths: Sequence[NodeHealth]) -> list[str]:
    """A note on parameters in 16 bits, whose small updates are lost; how many, only an optimizer tells."""
    found = [h for h in healths if h.role == "parameter" and is_narrow(h.node.dtype)]
    if not found:
        return []
    names = names_of([h.name for h in found], 4)
    return [f"of the parameters {names}: {_loses(found[0])}; try {_MASTERS}"]


def _loses(health: NodeHealth) -> str:
    dtype = health.node.dtype
    least = float(jnp.finfo(dtype).eps) / 4
    return f"{dtype.name} loses an update below {number(least)} of the weight that it is added to"


def lost(healths: Sequence[NodeHealth]) -> list[str]:
    """A note on updates that are lost to rounding."""
    found = [
        (r, h)
        for r, h in _weight_ratios(healths)
        if 0 < r < threshold("update lost") and not is_narrow(h.node.dtype)
    ]
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

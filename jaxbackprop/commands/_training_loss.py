"""A model's training loss as a function of its parameters and a batch, for the graph and the doctor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx

# (model, batch, key) -> loss.
Loss = Callable[[Any, Mapping[str, Any], jax.Array], jax.Array]


def training_loss_of(
    model: Any, loss: Loss, key: jax.Array
) -> tuple[nnx.State, Callable[[nnx.State, Mapping[str, Any]], jax.Array]]:
    """The model's parameters, and the function of these and a batch that training minimizes with that key."""
    graphdef, *states = nnx.split(model, nnx.Param, ...)
    params, rest = states

    def training_loss(params: nnx.State, batch: Mapping[str, Any]) -> jax.Array:
        # Batch statistics can be changed only in the trace that made them: this one.
        variables = jax.tree.map(lambda leaf: leaf, rest)
        return loss(nnx.merge(graphdef, params, variables), batch, key)

    return params, training_loss

"""The gradients that the examined backward pass begins with."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxbackprop.graph import ComputationGraph


def upstream(graph: ComputationGraph) -> list[jax.Array | None]:
    """One gradient a result: 1 for a loss, which is the first result and one number; else 1 for every float.

    Raises:
        TypeError: where no result is a floating-point number.
    """
    ends = graph.results
    floats = [jnp.issubdtype(end.dtype, jnp.floating) for end in ends]
    if not any(floats):
        raise TypeError(f"{graph.name} returns no floating-point number: there is no gradient to examine")
    loss = ends[0].shape == () and floats[0]
    return [
        jnp.ones(end.shape, end.dtype) if (i == 0 if loss else floats[i]) else None
        for i, end in enumerate(ends)
    ]

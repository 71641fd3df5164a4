"""The passes that a page shows and the caller has not run."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxbackprop._jaxpr import is_array_leaf

from ..._errors import UnsupportedPrimitive
from ..._graph import ComputationGraph
from ...passes import Backward, Run, forward
from .._edge_values import Passes
from .._text import error_text


def complete_passes(
    graph: ComputationGraph, run: Run | Backward | None, dys: Sequence[jax.Array | None] | None = None
) -> tuple[Passes, str]:
    """Both passes as far as they can be run, and a remark on them.

    Args:
        graph: the graph to run.
        run: the passes there are: None, a `Run`, a `Backward`.
        dys: the gradients that a backward pass begins with, one a result; None begins with ones.

    Raises:
        TypeError: where run is none of these.
        ValueError: where run is of another graph.
    """
    passes = Passes.of(graph, run)
    if passes.back is not None:
        return passes, ""
    if passes.run is None:
        leaves = [leaf for leaf in jax.tree.leaves(graph.arguments) if is_array_leaf(leaf)]
        if len(leaves) != len(graph.inputs) or any(isinstance(x, jax.ShapeDtypeStruct) for x in leaves):
            return passes, "It was traced with shapes alone, so there are no numbers."
        try:
            passes = Passes(forward(graph, graph.arguments))
        # A function may call back to its author's code, which may raise anything.
        except Exception as error:
            return passes, f"The forward pass failed: {error_text(error)}"
    if graph.error is not None:
        return passes, f"The function failed where the graph ends: {error_text(graph.error)}"
    assert passes.run is not None
    return _with_backward(graph, passes.run, dys)


def _with_backward(
    graph: ComputationGraph, run: Run, dys: Sequence[jax.Array | None] | None
) -> tuple[Passes, str]:
    if not any(graph.active):
        remark = "No result depends on a floating-point argument by a gradient: nothing flows back."
        return Passes(run), remark
    scalar = len(graph.results) == 1 and graph.results[0].shape == ()
    remark = "" if scalar else "The result is not one number: the backward pass begins with ones."
    if dys is not None and any(dy is None and flows for dy, flows in zip(dys, graph.active, strict=True)):
        remark = "The backward pass begins at the first result, the loss, alone."
    try:
        ones = [jnp.ones(end.shape, end.dtype) for end in graph.results] if dys is None else dys
        begun = [dy if flows else None for dy, flows in zip(ones, graph.active, strict=True)]
        return Passes(run, run.pulled_back(begun)), remark
    except UnsupportedPrimitive as error:
        return Passes(run), f"There is no backward pass: {error}"
    # A rule may be its author's code too. Its error leaves the forward pass to be shown.
    except Exception as error:
        return Passes(run), f"The backward pass failed: {error_text(error)}"

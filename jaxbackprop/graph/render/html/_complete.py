"""The passes that a page shows, where the caller has not made them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxbackprop._jaxpr import is_array_leaf

from ..._errors import UnsupportedPrimitive
from ..._graph import Graph
from .._names import error_text
from .._passes import Passes


def complete(graph: Graph, run: Any, dys: Sequence[Any] | None = None) -> tuple[Passes, str]:
    """Both passes, as far as they can be made, and what is to be said of them.

    Args:
        graph: of which.
        run: what there is: None, a `Run`, a `Backward`.
        dys: the gradients that a backward pass begins with, one a result; None begins with ones.

    Raises:
        TypeError: where run is none of these.
        ValueError: where run is of another graph.
    """
    passes = Passes.of(graph, run)
    if passes.back is not None:
        return passes, ""
    if passes.run is None:
        leaves = jax.tree.leaves(graph.arguments)
        untold = len([leaf for leaf in leaves if is_array_leaf(leaf)]) != len(graph.inputs)
        if untold or any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves):
            return passes, "It was traced with shapes alone, so there are no numbers."
        try:
            passes = Passes.of(graph, graph.forward())
        # A function may call back to its author's code, which may raise anything.
        except Exception as error:
            return passes, f"The forward pass failed: {error_text(error)}"
    if graph.error is not None:
        return passes, f"The function failed where the graph ends: {error_text(graph.error)}"
    return _with_backward(graph, passes, dys)


def _with_backward(graph: Graph, passes: Passes, dys: Sequence[Any] | None) -> tuple[Passes, str]:
    assert passes.run is not None
    if not any(graph.active):
        return passes, "No result depends on a floating-point argument by a gradient: nothing flows back."
    scalar = len(graph.results) == 1 and graph.results[0].shape == ()
    remark = "" if scalar else "The result is not one number: the backward pass begins with ones."
    if dys is not None and any(dy is None and flows for dy, flows in zip(dys, graph.active, strict=True)):
        remark = "The backward pass begins at the first result, the loss, alone."
    try:
        ones = [jnp.ones(end.shape, end.dtype) for end, _ in _ends(graph)] if dys is None else dys
        begun = [dy if flows else None for dy, (_, flows) in zip(ones, _ends(graph), strict=True)]
        return Passes.of(graph, passes.run.pulled_back(begun)), remark
    except UnsupportedPrimitive as error:
        return passes, f"There is no backward pass: {error}"
    # A rule may be its author's code too, and its errors must not cost what is known of the graph.
    except Exception as error:
        return passes, f"The backward pass failed: {error_text(error)}"


def _ends(graph: Graph) -> list[tuple[jax.ShapeDtypeStruct, bool]]:
    return list(zip(graph.results, graph.active, strict=True))

"""The examination: one compiled pass forward and back, figures taken on the way, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxbackprop.graph import trace
from jaxbackprop.graph._graph import Graph, Port

from . import _detached, _flow, _nonfinite, _sequences, _units, _updates
from ._findings import Finding, ranked
from ._measures import NodeHealth, healths, places
from ._report import Report
from ._structure import parameter_inputs
from ._sweep import pull_back, walk
from ._thresholds import threshold
from ._upstream import upstream
from ._wanted import Wanted, wanted_of


def health(
    f: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] | None = None,
    optimizer: Any = None,
    opt_state: Any = None,
) -> Report:
    """Where the gradient of a model vanishes, explodes, dies or turns nan, and what may help.

    Both passes over the graph of f are made once, compiled, with a few numbers a node taken on the way:
    norms of values and gradients, shares of saturated and of dead units, and along loops the growth of the
    gradient a step. Values and gradients come from the graph and its hand-derived local gradients.

    Args:
        f: any function of JAX arrays: a loss that returns a number, perhaps with more behind it (a tuple
            whose first leaf is the loss). Of any other function all floating-point results get a gradient
            of 1.
        args: its arguments, with values: parameters, and a batch. Some 32 examples tell more than one.
        argnums: positions of the arguments that are parameters. Left out: the first that is a container of
            arrays (a dict, a list, a module), or all where none is.
        optimizer: an optax transformation, to measure updates by weights; the parameters must be one
            argument.
        opt_state: its state; a new one unless given.

    Returns:
        The report: what is wrong, most serious first, with place, figure and remedy; and what was measured.

    Raises:
        TypeError: where f is not callable or returns no floating-point number, an argument is a shape without
            values, or optimizer is no optax transformation.
        ValueError: where argnums is out of range, or is several arguments beside an optimizer.
        UnsupportedPrimitive: where a gradient must pass what has no rule.
        Exception: whatever f raises while it is traced.
    """
    chosen = _positions(argnums, args)
    _check_optimizer(optimizer, opt_state)
    for leaf in jax.tree.leaves(args):
        if isinstance(leaf, jax.ShapeDtypeStruct):
            raise TypeError("args holds a shape without values: health needs the numbers")
    graph = trace(f, *args)
    if graph.error is not None:
        raise graph.error
    return examine(graph, chosen, optimizer, opt_state)


def _positions(argnums: int | Sequence[int] | None, args: Sequence[Any]) -> tuple[int, ...] | None:
    if argnums is None:
        return None
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise ValueError(f"argnums holds {n}, but {len(args)} arguments came")
    return tuple(n % len(args) for n in numbers)


def _check_optimizer(optimizer: Any, state: Any) -> None:
    if optimizer is None:
        if state is not None:
            raise ValueError("opt_state is given, but no optimizer")
    elif not (callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None))):
        raise TypeError(f"optimizer must be an optax transformation, got {type(optimizer).__name__}")


def examine(
    graph: Graph, argnums: Sequence[int] | None = None, optimizer: Any = None, opt_state: Any = None
) -> Report:
    """The report of a graph that was traced with values."""
    arguments = graph.arguments
    parameters = sorted(parameter_inputs(arguments, graph, argnums))
    sure = argnums is not None or not all(jax.tree_util.all_leaves([arg]) for arg in arguments)
    numbers = {node.index: k for k, node in enumerate(graph.inputs)}
    wanted = wanted_of(graph, sum(1 << numbers[i] for i in parameters))
    dys = upstream(graph)
    inputs = input_values(graph)
    argument = None
    if optimizer is not None:
        argument = _of_optimizer(graph, arguments, parameters, argnums)
    run = measured(wanted, dys, parameters, optimizer, argument)
    ahead, back, updates, result = jax.device_get(run(inputs, opt_state))

    found = places(wanted, ahead, back)
    ratios = _updates.ratios(updates, ahead["size"])
    nodes = healths(found, threshold("examples"), ratios)
    sequences = _sequences.along(found)
    findings: list[Finding] = []
    notes: list[str] = []
    if not _is_finite(graph, ahead, back):
        findings += _nonfinite.nonfinite(graph, inputs, dys)
    findings += _detached.detached(found[0], found, parameters, sure)
    findings += _units.dead(nodes) + _units.saturated(found, nodes)
    findings += _sequences.over_time(sequences) + _flow.too_large(found) + _flow.by_depth(found)
    findings += _updates.too_large(graph, nodes)
    notes += _updates.lost(nodes) + _without_gradient(graph, parameters, nodes)
    return Report(
        graph.name,
        graph,
        ranked(findings),
        tuple(nodes),
        tuple(sequences),
        tuple(notes),
        None if result is None else float(result),
    )


def input_values(graph: Graph) -> list[Any]:
    """The values that a graph was traced with, one an input."""
    from jaxbackprop._jaxpr import is_array_leaf

    leaves = [leaf for leaf in jax.tree.leaves(graph.arguments) if is_array_leaf(leaf)]
    return [
        leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf, node.dtype)
        for node, leaf in zip(graph.inputs, leaves, strict=True)
    ]


def measured(
    wanted: Wanted, dys: Sequence[Any], parameters: Sequence[int], optimizer: Any, argument: Any
) -> Callable[..., Any]:
    """Both passes, compiled: figures forward, figures backward, norms of updates, and the loss."""
    graph = wanted.graph

    def run(inputs: Sequence[Any], state: Any) -> Any:
        values, kept, ahead = walk(wanted, inputs)
        _, gradients, back = pull_back(wanted, values, kept, dys)
        updates: dict[int, Any] = {}
        if optimizer is not None:
            own = {i: gradients[Port(i, 0)] for i in parameters if Port(i, 0) in gradients}
            mine = {i: values[i][0] for i in parameters}
            updates = _updates.update_norms(optimizer, state, argument, parameters, own, mine)
        loss = values[graph.outputs[0].node][graph.outputs[0].output]
        return ahead, back, updates, loss if loss.shape == () else None

    return jax.jit(run)


def _of_optimizer(
    graph: Graph, arguments: Sequence[Any], parameters: Sequence[int], argnums: Sequence[int] | None
) -> Any:
    if argnums is not None and len(argnums) == 1:
        return arguments[argnums[0]]
    owners = [arg for arg in arguments if not jax.tree_util.all_leaves([arg])]
    if argnums is None and owners:
        return next(
            arg
            for arg in owners
            if any(jnp.issubdtype(getattr(x, "dtype", float), jnp.floating) for x in jax.tree.leaves(arg))
        )
    if len(parameters) == 1:
        return arguments[0]
    raise ValueError("with an optimizer, argnums must name the one argument that holds the parameters")


def _is_finite(graph: Graph, ahead: Any, back: Any) -> bool:
    return _nonfinite.is_finite(
        ahead, back, graph.outputs, [node.index for node in graph.inputs if any(node.active)]
    )


def _without_gradient(graph: Graph, parameters: Sequence[int], nodes: Sequence[NodeHealth]) -> list[str]:
    """What to say of parameters whose gradient is exactly 0: a layer may have been started at 0."""
    own = set(parameters)
    still = [h.name for h in nodes if h.node.index in own and not h.inside and h.gradient_norm == 0]
    if not still:
        return []
    shown = ", ".join(still[:6]) + (", …" if len(still) > 6 else "")
    return [f"the gradient of {shown} is exactly 0 here"]

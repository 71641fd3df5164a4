"""The examination: one compiled forward and backward pass, its figures, and the findings they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.graph import Graph, Port, trace

from . import (
    _by_depth,
    _detached,
    _idle_units,
    _nonfinite,
    _recurrence,
    _underflow,
    _updates,
    _weight_gain,
)
from ._figures import BackwardFigures, ForwardFigures, UpdateFigures, port_key
from ._findings import Finding, names_of, ranked
from ._loops import loop_recurrences
from ._measured_graph import measured_graphs
from ._measured_passes import measured_backward, measured_forward
from ._measurement_plan import MeasurementPlan, plan_measurements
from ._node_health import NodeHealth, node_healths
from ._parameters import input_values, is_container, parameter_inputs
from ._report import Report
from ._unrolled import unrolled_recurrences
from ._upstream import upstream


def health(
    f: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] | None = None,
    optimizer: _updates.Optimizer | None = None,
    opt_state: Any = None,
) -> Report:
    """Where the gradient of a model vanishes, explodes, dies or turns nan, and what may help.

    Both passes over the graph of f are compiled and run once. On the way a few numbers are taken of each
    node: norms of values and gradients, shares of saturated and of dead units, and along loops the growth of
    the gradient a step. Values and gradients come from the graph and its hand-derived local gradients.

    Args:
        f: any function of JAX arrays: a loss that returns a number, perhaps with more behind it (a tuple
            whose first leaf is the loss). Of any other function all floating-point results get a gradient
            of 1.
        args: its arguments, with values: parameters, and a batch. About 32 examples tell more than one.
        argnums: positions of the arguments that are parameters. Left out: the first that is a container of
            arrays (a dict, a list, a module), or all where none is.
        optimizer: an optax transformation, to compare its updates with the weights; the parameters must be
            one argument.
        opt_state: its state; a new one unless given.

    Returns:
        The report: what is wrong, most serious first, with node, figure and remedy; and what was measured.

    Raises:
        TypeError: where f is not callable or returns no floating-point number, an argument is a shape without
            values, or optimizer is no optax transformation.
        ValueError: where argnums is out of range, or is several arguments beside an optimizer.
        UnsupportedPrimitive: where a gradient must pass what has no rule.
        Exception: whatever f raises while it is traced.
    """
    chosen = _positions(argnums, args)
    if optimizer is None and opt_state is not None:
        raise ValueError("opt_state is given, but no optimizer")
    if optimizer is not None and not isinstance(optimizer, _updates.Optimizer):
        raise TypeError(f"optimizer must be an optax transformation, got {type(optimizer).__name__}")
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(args)):
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


def examine(
    graph: Graph,
    argnums: Sequence[int] | None = None,
    optimizer: _updates.Optimizer | None = None,
    opt_state: Any = None,
) -> Report:
    """The report of a graph that was traced with values.

    Args:
        graph: of a function that did not fail while it was traced.
        argnums: as in `health`, not negative.
        optimizer: as in `health`.
        opt_state: as in `health`.

    Raises:
        TypeError: where the function returns no floating-point number.
        ValueError: where argnums is several arguments beside an optimizer.
        UnsupportedPrimitive: where a gradient must pass what has no rule.
    """
    parameters = parameter_inputs(graph, argnums)
    sure = argnums is not None or any(map(is_container, graph.arguments))
    bits = {node.index: 1 << k for k, node in enumerate(graph.inputs)}
    plan = plan_measurements(graph, sum(bits[i] for i in parameters))
    dys, inputs = upstream(graph), input_values(graph)
    argument = None if optimizer is None else _optimizer_argument(graph, parameters, argnums)
    run = _compiled(plan, dys, parameters, optimizer, argument)
    forward, backward, updates, value = jax.device_get(run(inputs, opt_state))

    measured = measured_graphs(plan, forward, backward)
    nodes = node_healths(measured, updates)
    sequences = [s for of in measured for s in (*loop_recurrences(of), *unrolled_recurrences(of))]
    findings: list[Finding] = []
    if not _is_finite(graph, forward, backward):
        findings += _nonfinite.nonfinite(graph, inputs, dys)
    findings += _detached.detached(measured[0], parameters, sure)
    findings += _idle_units.dead(nodes) + _idle_units.saturated(measured, nodes)
    findings += _recurrence.over_time(sequences)
    findings += _weight_gain.too_large(measured) + _by_depth.by_depth(measured)
    if not findings or findings[0].kind != "nonfinite":
        findings += _underflow.underflow(graph, inputs, dys)
    findings += _updates.too_large(nodes) + _updates.lost_entries(nodes)
    return Report(
        name=graph.name,
        graph=graph,
        findings=ranked(findings),
        nodes=tuple(nodes),
        sequences=tuple(sequences),
        notes=(
            *_updates.lost(nodes),
            *(_updates.narrow_parameters(nodes) if optimizer is None else ()),
            *_without_gradient(parameters, nodes),
        ),
        value=None if value is None else float(value),
    )


def _compiled(
    plan: MeasurementPlan,
    dys: Sequence[jax.Array | None],
    parameters: Sequence[int],
    optimizer: _updates.Optimizer | None,
    argument: Any,
) -> Callable[..., Any]:
    """Both passes, compiled: figures forward, figures backward, figures of updates, and the loss."""
    graph = plan.graph

    def run(inputs: Sequence[jax.Array], state: Any) -> Any:
        values, kept, forward = measured_forward(plan, inputs)
        _, gradients, backward = measured_backward(plan, values, kept, dys)
        updates: dict[int, UpdateFigures] = {}
        if optimizer is not None:
            grads = {i: gradients[Port(i, 0)] for i in parameters if Port(i, 0) in gradients}
            weights = {i: values[i][0] for i in parameters}
            updates = _updates.update_figures(optimizer, state, argument, parameters, grads, weights)
        loss = values[graph.outputs[0].node][graph.outputs[0].output]
        return forward, backward, updates, loss if loss.shape == () else None

    return jax.jit(run)


def _optimizer_argument(graph: Graph, parameters: Sequence[int], argnums: Sequence[int] | None) -> Any:
    """The one argument that holds the parameters."""
    arguments = graph.arguments
    if argnums is not None and len(argnums) == 1:
        return arguments[argnums[0]]
    containers = [arg for arg in arguments if is_container(arg)]
    if argnums is None and containers:
        return next(
            arg
            for arg in containers
            if any(jnp.issubdtype(getattr(x, "dtype", float), jnp.floating) for x in jax.tree.leaves(arg))
        )
    if len(parameters) == 1:
        return arguments[0]
    raise ValueError("with an optimizer, argnums must name the one argument that holds the parameters")


def _is_finite(graph: Graph, forward: ForwardFigures, backward: BackwardFigures) -> bool:
    """Whether the results and the gradients of the arguments are finite."""
    values = [forward.size.get(port.node) for port in graph.outputs]
    gradients = [backward.gradient.get(port_key(Port(node.index, 0))) for node in graph.inputs]
    return all(x is None or np.all(np.isfinite(x)) for x in (*values, *gradients))


def _without_gradient(parameters: Sequence[int], nodes: Sequence[NodeHealth]) -> list[str]:
    """A note on parameters whose gradient is exactly 0, as it is where a layer starts at 0."""
    own = set(parameters)
    names = [h.name for h in nodes if h.node.index in own and not h.inside and h.gradient_norm == 0]
    return [f"the gradient of {names_of(names, 6)} is exactly 0 here"] if names else []

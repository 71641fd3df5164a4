"""The node that made the first nan or infinity that reached the result or a gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.graph import ComputationGraph, Node, Port
from jaxbackprop.graph.passes import taken, walk
from jaxbackprop.graph.tracing import ScanOperation

from ._dependence import uncopied
from ._findings import Finding, finding_at, number
from ._measured_graph import MeasuredGraph, measured_graphs
from ._measured_passes import measured_backward, measured_forward
from ._measurement_plan import plan_measurements

_LOG = (
    "log of max(x, a small number); for probabilities log_softmax or logsumexp, which never leave the "
    "logarithm; for x log x jax.scipy.special.xlogy"
)
_REMEDIES = {
    "log": _LOG,
    "log1p": _LOG,
    "log2": _LOG,
    "div": "a denominator kept away from 0, such as max(|y|, 1e-6)",
    "sqrt": "a small number under the root (the slope at 0 is infinite); under a where, the safe value "
    "inside too",
    "rsqrt": "a small number under the root, as normalisation layers have it",
    "pow": "a base kept away from 0",
    "exp": "the largest exponent subtracted first, as softmax and logsumexp do; a bound on what goes in",
}
_REMEDY_OF_INPUT = (
    "an earlier checkpoint: these numbers came in; with parameters, a lower learning rate and gradient "
    "clipping before training reaches this point again; with data, a look at the file"
)
_OTHER_REMEDY = (
    "a lower learning rate, gradient clipping, smaller initial weights; float32 where it is float16"
)

_Step = tuple[int, ...]
"""A position on the axes of the loops that a graph stands in, outermost first."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Culprit:
    """The node that made a nan or infinity of finite numbers.

    Attributes:
        node: the node.
        inside: the nodes that it stands in, outermost first.
        step: of the innermost loop, in the order that steps are run; None outside loops.
        backward: whether it was made in the backward pass.
    """

    node: Node
    inside: tuple[Node, ...]
    step: int | None
    backward: bool


def nonfinite(
    graph: ComputationGraph, inputs: Sequence[jax.Array], dys: Sequence[jax.Array | None]
) -> list[Finding]:
    """The node that made the first nan or infinity.

    Args:
        graph: a graph with a result, or a gradient of an argument, that is not finite.
        inputs: its arguments.
        dys: the gradients that the backward pass begins with.
    """
    plan = plan_measurements(graph, 0, exhaustive=True)

    @jax.jit
    def run(inputs: Sequence[jax.Array]) -> Any:
        values, kept, forward = measured_forward(plan, inputs)
        return forward, measured_backward(plan, values, kept, dys)[2]

    forward, backward = run(inputs)
    (whole, *programs) = measured_graphs(plan, forward, backward)
    culprit = _forward_culprit(whole, programs, None) or _backward_culprit(whole, programs, None)
    return [] if culprit is None else [_finding(graph, inputs, culprit, whole)]


def _at(values: np.ndarray | None, step: _Step | None) -> float:
    """A figure in one step of a loop; the largest where the step is not known."""
    if values is None:
        return 0.0
    return float(np.max(values)) if step is None or values.ndim < len(step) else float(np.max(values[step]))


# ---- the forward pass -------------------------------------------------------------------------------------


def _forward_culprit(
    of: MeasuredGraph, programs: Sequence[MeasuredGraph], step: _Step | None
) -> _Culprit | None:
    """The first node that makes a result that is not finite of finite operands, and that a result uses."""
    graph = of.graph

    def size(port: Port) -> float:
        return _at(of.value(uncopied(graph, port).node), step)

    pending = [uncopied(graph, port).node for port in graph.outputs]
    seen: set[int] = set()
    culprits = []
    while pending:
        node = graph.nodes[pending.pop()]
        worst = _at(of.value(node.index), step)
        if node.index in seen or np.isfinite(worst):
            continue
        seen.add(node.index)
        operands = [size(port) for port in node.inputs]
        # An infinite operand may be meant, as in a mask before a softmax. A nan that is made of one is not.
        if np.all(np.isfinite(operands)) or (np.isnan(worst) and not np.any(np.isnan(operands))):
            culprits.append(node)
        pending += [
            uncopied(graph, port).node
            for port, large in zip(node.inputs, operands, strict=True)
            if not np.isfinite(large)
        ]
    # An infinity that is written in the code is meant.
    culprits = [node for node in culprits if node.kind != "constant"] or culprits
    if not culprits:
        return None
    first = min(culprits, key=lambda node: node.index)
    inner = _program_in(of, programs, first)
    if inner is not None:
        at = _first_step(inner, step, [inner.value(node.index) for node in inner.graph.nodes])
        found = _forward_culprit(inner, programs, at) if at is not None else None
        if found is not None and found.node.kind != "input":
            return found
    return _Culprit(first, of.inside, _step_number(of, step), backward=False)


# ---- the backward pass ------------------------------------------------------------------------------------


def _backward_culprit(
    of: MeasuredGraph, programs: Sequence[MeasuredGraph], step: _Step | None
) -> _Culprit | None:
    """The first node on the way back that is given a finite gradient and passes on one that is not."""
    for node in reversed(of.graph.nodes):
        if node.kind == "copy" or not any(node.active_inputs):
            continue
        came = [of.gradient(Port(node.index, k)) for k in range(len(node.outputs))]
        if all(c is None for c in came) or not all(np.isfinite(_at(c, step)) for c in came):
            continue
        passed = [of.gradient(p) for p, flows in zip(node.inputs, node.active_inputs, strict=True) if flows]
        if all(np.isfinite(_at(p, step)) for p in passed):
            continue
        inner = _program_in(of, programs, node)
        if inner is not None and inner.backward is not None:
            figures = [np.asarray(value, np.float64) for value in inner.backward.gradient.values()]
            at = _first_step(inner, step, figures, backward=True)
            found = _backward_culprit(inner, programs, at) if at is not None else None
            if found is not None:
                return found
        return _Culprit(node, of.inside, _step_number(of, step), backward=True)
    return None


# ---- programs and steps -----------------------------------------------------------------------------------


def _program_in(of: MeasuredGraph, programs: Sequence[MeasuredGraph], node: Node) -> MeasuredGraph | None:
    return next((inner for inner in programs if inner.inside == (*of.inside, node)), None)


def _first_step(
    of: MeasuredGraph, outer: _Step | None, figures: Sequence[np.ndarray | None], backward: bool = False
) -> _Step | None:
    """The step of the innermost loop in which something first is not finite; None where all is finite."""
    if not of.in_loop:
        return outer or ()
    depth = len(of.reverse)
    bad: np.ndarray | None = None
    for values in figures:
        if values is not None and values.ndim >= depth:
            own = ~np.isfinite(values)
            own = own[outer] if outer else own
            own = own.reshape(-1, own.shape[-1]).any(axis=0)
            bad = own if bad is None else bad | own
    if bad is None or not bad.any():
        return None
    positions = np.flatnonzero(bad)
    from_the_end = of.reverse[-1] != backward
    return (*(outer or ()), int(positions[-1] if from_the_end else positions[0]))


def _step_number(of: MeasuredGraph, step: _Step | None) -> int | None:
    """The number of a step in the order that steps are run; None outside loops."""
    if not step or not of.in_loop:
        return None
    scan = of.inside[-1].operation
    length = scan.length if isinstance(scan, ScanOperation) else 0
    return length - 1 - step[-1] if of.reverse[-1] else step[-1]


# ---- the finding ------------------------------------------------------------------------------------------


def _finding(
    graph: ComputationGraph, inputs: Sequence[jax.Array], culprit: _Culprit, whole: MeasuredGraph
) -> Finding:
    node = culprit.node
    figure, said = 1.0, ""
    if not culprit.inside:
        value, operands = _value_and_operands(graph, inputs, node)
        figure, said = (1.0, _smallest_operand(operands)) if culprit.backward else _counted(value, operands)
    where = "" if culprit.step is None else f", in step {culprit.step} of {culprit.inside[-1].name},"
    first = _first_nan(whole)
    if node.kind == "input":
        message = f"{said or 'nan or infinity'} among the numbers that came in"
    elif culprit.backward:
        message = f"its gradient{where} is not finite, though the gradient that came to it is{said}"
    else:
        message = f"it makes{where} {said or 'nan or infinity of finite numbers'}"
        if first is not None and first is not node:
            message += f"; the first nan is made of it by {first.name}"
    remedy = _REMEDY_OF_INPUT if node.kind == "input" else _REMEDIES.get(node.label, _OTHER_REMEDY)
    return finding_at(node, culprit.inside, "nonfinite", figure, "entries", message, remedy)


def _first_nan(whole: MeasuredGraph) -> Node | None:
    """The first node whose result holds a nan."""
    for node in whole.graph.nodes:
        values = whole.value(node.index)
        if values is not None and node.kind != "constant" and np.any(np.isnan(values)):
            return node
    return None


def _value_and_operands(
    graph: ComputationGraph, inputs: Sequence[jax.Array], node: Node
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A node's first result and its floating-point operands."""

    @jax.jit
    def run(inputs: Sequence[jax.Array]) -> Any:
        values, _ = walk(graph, inputs)
        return values[node.index][0], [
            x for x in taken(values, node.inputs) if jnp.issubdtype(x.dtype, jnp.inexact)
        ]

    value, operands = jax.device_get(run(inputs))
    return np.asarray(value), operands


def _smallest_operand(operands: Sequence[np.ndarray]) -> str:
    lowest = [float(np.min(np.abs(np.asarray(x, np.float64)))) for x in operands if np.size(x)]
    return f": the smallest number that goes in is {number(min(lowest))}" if lowest else ""


def _counted(value: np.ndarray, operands: Sequence[np.ndarray]) -> tuple[float, str]:
    """How many entries of a result are not finite, and a phrase about them and what they were made of."""
    value = value.astype(np.float64) if value.dtype.kind != "c" else value
    wrong = ~np.isfinite(value)
    kinds = [
        name
        for name, found in (
            ("nan", np.isnan(value)),
            ("infinity", np.isposinf(np.real(value))),
            ("minus infinity", np.isneginf(np.real(value))),
        )
        if found.any()
    ]
    said = f"{' and '.join(kinds)} ({int(wrong.sum())} of {value.size} entries)"
    if len(operands) == 1 and np.shape(operands[0]) == value.shape:
        cause = np.asarray(operands[0], np.float64)[wrong]
        if cause.size:
            low, high = float(np.min(cause)), float(np.max(cause))
            said += (
                f" of {number(low)}" if low == high else f" of numbers from {number(low)} to {number(high)}"
            )
    return float(wrong.sum()), said

"""Gradients that fall below the least number of a dtype of 16 bits, and come back under a scaled loss."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.graph import ComputationGraph, Node, Port

from ._dependence import origin
from ._figures import BackwardFigures, ForwardFigures, is_narrow, least_number
from ._findings import Finding, finding_at, names_of, number, path, percent
from ._measured_graph import MeasuredGraph, measured_graphs
from ._measured_passes import measured_backward, measured_forward
from ._measurement_plan import MeasurementPlan, plan_measurements
from ._thresholds import threshold

# A gradient that is so many times the least number on average loses far less of its norm than is a finding.
_SAFE = 16.0
# float32 itself ends at 2^127, and a gradient above 1 must fit too.
_LARGEST_EXPONENT = 100
# As far below overflow as loss scaling should begin.
_SPARE_EXPONENT = 4


def underflow(
    graph: ComputationGraph, inputs: Sequence[jax.Array], dys: Sequence[jax.Array | None]
) -> list[Finding]:
    """The first node on the way back whose gradient underflows, if there is one.

    The gradient is linear in what it begins with. So the backward pass is run again from as large a scale as
    does not overflow: what is then too small, but for the scale, is what the plain pass loses.

    Args:
        graph: of the function.
        inputs: its arguments.
        dys: the gradients that the backward pass begins with; finite, and what they lead to too.
    """
    plan = plan_measurements(graph, 0, exhaustive=True)
    if not _has_narrow(plan):
        return []

    @jax.jit
    def run(inputs: Sequence[jax.Array], scale: jax.Array) -> tuple[ForwardFigures, BackwardFigures]:
        values, kept, forward = measured_forward(plan, inputs)
        scaled = [None if dy is None else dy * scale.astype(dy.dtype) for dy in dys]
        return forward, measured_backward(plan, values, kept, scaled, scale)[2]

    def figures(exponent: int) -> list[_Gradient]:
        return _gradients(plan, *jax.device_get(run(inputs, jnp.float32(2.0**exponent))))

    if not any(gradient.is_small for gradient in figures(0)):
        return []
    exponent, gradients = _largest_finite(figures)
    damaged = _damaged(gradients)
    return [_finding(graph, damaged, _way_back(graph, gradients, damaged), exponent)] if damaged else []


@dataclasses.dataclass(frozen=True, eq=False)
class _Gradient:
    """The gradient of a result in 16 bits or fewer.

    Attributes:
        of: the graph that the node stands in.
        node: whose result it is.
        lost: norm of what underflows without the scale, over all steps of loops.
        whole: norm of the gradient, likewise.
        least: norm in the step where it is least.
    """

    of: MeasuredGraph
    node: Node
    lost: float
    whole: float
    least: float

    @property
    def is_first(self) -> bool:
        """Whether nothing before it is in 16 bits: an argument, or what is made of wider numbers."""
        nodes = self.of.graph.nodes
        if self.node.kind == "input":
            return not self.of.inside
        operands = zip(self.node.inputs, self.node.active_inputs, strict=True)
        wide = (not is_narrow(nodes[port.node].outputs[port.output].dtype) for port, on in operands if on)
        return any(wide)

    @property
    def underflows(self) -> bool:
        """Whether so much of it is lost that it leads elsewhere."""
        return self.lost > threshold("underflow") * self.whole

    @property
    def root_mean_square(self) -> float:
        """Of its entries."""
        return self.whole / math.sqrt(max(1, math.prod(self.node.shape)))

    @property
    def is_small(self) -> bool:
        """Whether it is, on average over its entries, so small that its dtype may not hold it."""
        entries = max(1, math.prod(self.node.shape))
        return self.least / math.sqrt(entries) < _SAFE * least_number(self.node.dtype)

    @property
    def place(self) -> tuple[int, ...]:
        """Where it stands in the order of the computation, programs inside others included."""
        return (*(each.index for each in self.of.inside), self.node.index)


def _has_narrow(plan: MeasurementPlan) -> bool:
    nodes = plan.graph.nodes
    return any(is_narrow(nodes[port.node].outputs[port.output].dtype) for port in plan.ports) or any(
        _has_narrow(program.plan) for program in plan.inner.values()
    )


def _gradients(plan: MeasurementPlan, forward: ForwardFigures, backward: BackwardFigures) -> list[_Gradient]:
    found = []
    for of in measured_graphs(plan, forward, backward):
        for (index, _), figures in of.underflow.items():
            lost, whole = (np.asarray(norms, np.float64) for norms in figures)
            node = of.graph.nodes[index]
            if node.kind != "copy":
                found.append(_Gradient(of, node, _over_steps(lost), _over_steps(whole), float(np.min(whole))))
    return found


def _over_steps(norms: np.ndarray) -> float:
    return float(np.sqrt(np.sum(np.square(norms))))


def _largest_finite(figures: Callable[[int], list[_Gradient]]) -> tuple[int, list[_Gradient]]:
    """The largest exponent of 2 whose backward pass is finite, and its gradients; none where that is 0."""
    low, high, gradients = 0, _LARGEST_EXPONENT + 1, list[_Gradient]()
    while high - low > 1:
        middle = (low + high) // 2
        found = figures(middle)
        if all(math.isfinite(gradient.whole) for gradient in found):
            low, gradients = middle, found
        else:
            high = middle
    return low, gradients


def _damaged(gradients: Sequence[_Gradient]) -> list[_Gradient]:
    """Those that underflow of what the computation in 16 bits begins with: arguments, and what is cast.

    Between them, a branch may be weak on purpose: what is lost there is nothing beside what other ways bring.
    One that is far smaller than the largest is judged as vanishing, or is 0 but for rounding, as that of the
    bias of an attention's keys.
    """
    first = [gradient for gradient in gradients if gradient.is_first]
    floor = threshold("vanishing by depth") * max((g.root_mean_square for g in first), default=0.0)
    return [gradient for gradient in first if gradient.underflows and gradient.root_mean_square >= floor]


def _way_back(
    graph: ComputationGraph, gradients: Sequence[_Gradient], damaged: Sequence[_Gradient]
) -> list[_Gradient]:
    """What underflows on the ways from the loss to what is damaged, the nearest to the loss first."""
    underflowing = [gradient for gradient in gradients if gradient.underflows]
    lost = {gradient.place[0] for gradient in underflowing}
    reached = {gradient.place[0] for gradient in damaged}
    for node in graph.nodes:
        on = node.kind == "copy" or node.index in lost
        if on and any(port.node in reached for port in node.inputs):
            reached.add(node.index)
    found = [gradient for gradient in underflowing if gradient.place[0] in reached]
    return sorted(found, key=lambda gradient: gradient.place, reverse=True)


def _finding(
    graph: ComputationGraph, damaged: Sequence[_Gradient], way: Sequence[_Gradient], exponent: int
) -> Finding:
    at, *others = way
    dtype, share = at.node.dtype, at.lost / at.whole
    power = max(1, exponent - _SPARE_EXPONENT)
    named = [
        path(each.node, each.of.inside)
        if each.of.inside
        else graph.nodes[origin(graph, Port(each.node.index, 0)).node].name
        for each in damaged
        if each is not at
    ]
    behind = f", and with it that of {names_of(list(dict.fromkeys(named)), 4)}" if named else ""
    message = (
        f"its gradient underflows: {percent(share)} of it is too small for {dtype.name}, whose least number "
        f"is {number(least_number(dtype))}, and is lost{behind}; where the loss is scaled, it is there"
    )
    remedy = (
        f"loss scaling: the loss times 2^{power}, and the gradients over it in float32 before the optimizer "
        "(jmp.DynamicLossScale finds the power)"
    )
    if least_number(dtype) > jnp.finfo(jnp.float32).tiny:
        remedy += "; bfloat16, which has float32's range; float32 for this part"
    nodes = [each.node for each in others]
    unit = "share of the gradient lost"
    return finding_at(at.node, at.of.inside, "underflow", share, unit, message, remedy, nodes)

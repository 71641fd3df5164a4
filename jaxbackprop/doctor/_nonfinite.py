"""The node that made the first nan or infinity that reached the result or a gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop.graph._graph import Graph, Node, Port
from jaxbackprop.graph.passes._sweep import taken
from jaxbackprop.graph.passes._sweep import walk as plain_walk

from ._findings import Finding, number
from ._measures import Place, places
from ._structure import uncopied
from ._sweep import key, pull_back, walk
from ._wanted import wanted_of

_REMEDIES = {
    "log": "log of max(x, a small number); for probabilities log_softmax or logsumexp, which never leave the "
    "logarithm; for x log x jax.scipy.special.xlogy",
    "div": "a denominator kept away from 0, such as max(|y|, 1e-6)",
    "sqrt": "a small number under the root (the slope at 0 is infinite); under a where, the safe "
    "value inside too",
    "rsqrt": "a small number under the root, as normalisation layers have it",
    "pow": "a base kept away from 0",
    "exp": "the largest exponent subtracted first, as softmax and logsumexp do; a bound on what goes in",
    "input": "an earlier checkpoint: these numbers came in; with parameters, a lower learning rate "
    "and gradient "
    "clipping before training reaches this point again; with data, a look at the file",
}
_OTHERWISE = "a lower learning rate, gradient clipping, smaller initial weights; float32 where it is float16"


@dataclasses.dataclass(frozen=True, eq=False)
class _Made:
    """Where something that is no finite number was made.

    Attributes:
        node: by which node.
        inside: in which.
        step: of the innermost loop; None outside loops.
        back: whether it was a gradient.
    """

    node: Node
    inside: tuple[Node, ...]
    step: int | None
    back: bool


def nonfinite(graph: Graph, inputs: Sequence[Any], dys: Sequence[Any]) -> list[Finding]:
    """Who made it; called where something that is no finite number reached the result or a gradient."""
    wanted = wanted_of(graph, 0, every=True)

    @jax.jit
    def run(inputs: Sequence[Any]) -> Any:
        values, kept, ahead = walk(wanted, inputs)
        return ahead, pull_back(wanted, values, kept, dys)[2]

    ahead, back = run(inputs)
    (whole, *rest) = places(wanted, ahead, back)
    made = _made_ahead(whole, rest, None) or _made_back(whole, rest, None)
    return [] if made is None else [_finding(graph, inputs, made, whole)]


def _at(values: np.ndarray | None, step: tuple[int, ...] | None) -> float:
    """A figure, in one step of a loop; the worst where it is open which."""
    if values is None:
        return 0.0
    return float(np.max(values)) if step is None or values.ndim < len(step) else float(np.max(values[step]))


def _made_ahead(
    place: Place, rest: Sequence[Place], step: tuple[int, ...] | None, ends: Sequence[Port] | None = None
) -> _Made | None:
    """The first node with a result that is not finite, of finite operands, on a way to the ends."""

    def size(port: Port) -> float:
        return _at(place.value(uncopied(place.graph, port).node), step)

    graph = place.graph
    pending = [uncopied(graph, port).node for port in (graph.outputs if ends is None else ends)]
    seen: set[int] = set()
    makers = []
    while pending:
        node = graph.nodes[pending.pop()]
        worst = _at(place.value(node.index), step)
        if node.index in seen or np.isfinite(worst):
            continue
        seen.add(node.index)
        operands = [size(port) for port in node.inputs]
        # An infinity may be meant (a mask before a softmax). A nan made of one is not.
        if np.all(np.isfinite(operands)) or (np.isnan(worst) and not np.any(np.isnan(operands))):
            makers.append(node)
        pending += [
            uncopied(graph, port).node
            for port, large in zip(node.inputs, operands, strict=True)
            if not np.isfinite(large)
        ]
    # What was written down as infinite was meant.
    makers = [node for node in makers if node.kind != "constant"] or makers
    if not makers:
        return None
    first = min(makers, key=lambda node: node.index)
    inner = _inner(place, rest, first)
    if inner is not None:
        at = _first_step(inner, step, [inner.value(node.index) for node in inner.graph.nodes])
        found = _made_ahead(inner, rest, at) if at is not None else None
        if found is not None and found.node.kind != "input":
            return found
    return _Made(first, place.inside, None if step is None else _taken(place, step), False)


def _made_back(place: Place, rest: Sequence[Place], step: tuple[int, ...] | None) -> _Made | None:
    """The first node, on the way back, that passes on a gradient that is not finite of one that is."""
    graph = place.graph
    for node in reversed(graph.nodes):
        if node.kind == "copy" or not any(node.active_inputs):
            continue
        came = [place.gradient(Port(node.index, k)) for k in range(len(node.outputs))]
        if all(c is None for c in came) or not all(np.isfinite(_at(c, step)) for c in came):
            continue
        passed = [place.gradient(p) for p, f in zip(node.inputs, node.active_inputs, strict=True) if f]
        if all(np.isfinite(_at(p, step)) for p in passed):
            continue
        inner = _inner(place, rest, node)
        if inner is not None and inner.back is not None:
            figures = [np.asarray(value, np.float64) for value in inner.back["gradient"].values()]
            at = _first_step(inner, step, figures, back=True)
            found = _made_back(inner, rest, at) if at is not None else None
            if found is not None:
                return found
        return _Made(node, place.inside, None if step is None else _taken(place, step), True)
    return None


def _inner(place: Place, rest: Sequence[Place], node: Node) -> Place | None:
    return next((inner for inner in rest if inner.inside == (*place.inside, node)), None)


def _first_step(
    place: Place,
    outer: tuple[int, ...] | None,
    figures: Sequence[np.ndarray | None],
    back: bool = False,
) -> tuple[int, ...] | None:
    """The first step of the innermost loop in which something is not finite."""
    if not place.in_loop:
        return outer or ()
    depth = len(place.reverse)
    bad: np.ndarray | None = None
    for values in figures:
        if values is not None and values.ndim >= depth:
            own = ~np.isfinite(values)
            own = own[outer] if outer else own
            own = own.reshape(-1, own.shape[-1]).any(axis=0)
            bad = own if bad is None else bad | own
    if bad is None or not bad.any():
        return None
    order = np.flatnonzero(bad)
    last = place.reverse[-1] != back
    return (*(outer or ()), int(order[-1] if last else order[0]))


def _taken(place: Place, step: tuple[int, ...]) -> int | None:
    """The number of a step in the order that they are taken."""
    if not step or not place.in_loop:
        return None
    length = getattr(place.inside[-1].operation, "length", 0)
    return length - 1 - step[-1] if place.reverse[-1] else step[-1]


def _finding(graph: Graph, inputs: Sequence[Any], made: _Made, whole: Place) -> Finding:
    node = made.node
    count, said = (1.0, "") if made.inside else _counted(graph, inputs, node, whole, made.back)
    where = "" if made.step is None else f", in step {made.step} of {made.inside[-1].name},"
    first = _first_nan(whole)
    if node.kind == "input":
        message = f"{said or 'nan or infinity'} among the numbers that came in"
    elif made.back:
        message = f"its gradient{where} is not finite, though the gradient that came to it is{said}"
    else:
        message = f"it makes{where or ''} {said or 'nan or infinity of finite numbers'}"
    if first is not None and not made.back and first is not node and node.kind != "input":
        message += f"; the first nan is made of it by {first.name}"
    name = "/".join([*(n.name for n in made.inside), node.name])
    label = "input" if node.kind == "input" else node.label
    remedy = _REMEDIES.get(label, _REMEDIES["log"] if label in ("log1p", "log2") else _OTHERWISE)
    outer = made.inside[0] if made.inside else node
    return Finding("nonfinite", node, name, node.source, count, "entries", message, remedy, (node,), (outer,))


def _first_nan(whole: Place) -> Node | None:
    """The first node of all whose result holds a nan."""
    for node in whole.graph.nodes:
        values = whole.value(node.index)
        if values is not None and node.kind != "constant" and np.any(np.isnan(values)):
            return node
    return None


def _counted(graph: Graph, inputs: Sequence[Any], node: Node, whole: Place, back: bool) -> tuple[float, str]:
    """How many entries of a node's result, or of its gradient's operands, are to blame, in words."""

    @jax.jit
    def run(inputs: Sequence[Any]) -> Any:
        values, _ = plain_walk(graph, inputs)
        return values[node.index][0], [
            x for x in taken(values, node.inputs) if jnp.issubdtype(x.dtype, jnp.inexact)
        ]

    value, operands = jax.device_get(run(inputs))
    value = np.asarray(value)
    if back:
        lowest = [float(np.min(np.abs(np.asarray(x, np.float64)))) for x in operands if np.size(x)]
        return 1.0, f": the smallest number that goes in is {number(min(lowest))}" if lowest else ""
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


def is_finite(ahead: Any, back: Any, ends: Sequence[Port], inputs: Sequence[int]) -> bool:
    """Whether the results and the gradients of the arguments are finite."""
    values = [ahead["size"][port.node] for port in ends if port.node in ahead["size"]]
    gradients = [back["gradient"][key(Port(i, 0))] for i in inputs if key(Port(i, 0)) in back["gradient"]]
    return all(np.all(np.isfinite(np.asarray(x))) for x in (*values, *gradients))

"""What the harness says of the hand-written VJPs in a graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax

from jaxbackprop.check import Report, check_pair

from ..._graph import ComputationGraph, Node
from ...passes import Run, results_of
from ...tracing import CustomVjpOperation, ScanOperation


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A rule that the harness finds wrong.

    Attributes:
        name: of the function.
        message: what is wrong, in a sentence.
        mistakes: what it looks like, likeliest first.
        inside: whether the rule belongs to a program inside the node.
    """

    name: str
    message: str
    mistakes: tuple[str, ...]
    inside: bool = False


_Judged = dict[Hashable, "Verdict | None"]


def verdicts(graph: ComputationGraph, run: Run) -> dict[int, Verdict]:
    """The nodes whose hand-written rules the harness finds wrong, by index.

    Each rule is checked at the values that its node had in the run; a rule that is called several times with
    the same shapes is checked once. This package's own operators are left out: `jaxbackprop verify` checks
    them more thoroughly.
    """
    return _verdicts(graph, run, {})


def _verdicts(graph: ComputationGraph, run: Run, judged: _Judged) -> dict[int, Verdict]:
    found = {}
    for node in graph.nodes:
        verdict = _verdict(node, run, judged)
        if verdict is not None:
            found[node.index] = verdict
    return found


def _verdict(node: Node, run: Run, judged: _Judged) -> Verdict | None:
    if not any(node.active_inputs):
        return None
    if isinstance(node.operation, CustomVjpOperation):
        if node.operator is not None:
            return None
        operands = run.of(node).operands
        results = tuple((made.shape, str(made.dtype)) for made in node.outputs)
        key = (node.label, node.formula, node.source, results, tuple(str(x.aval) for x in operands))
        if key not in judged:
            judged[key] = _judge(node, node.operation, operands)
        return judged[key]
    if not node.bodies:
        return None
    try:
        inner = run.inside(node, 0 if isinstance(node.operation, ScanOperation) else None)
    # A loop of no steps, or a node whose bodies cannot be entered.
    except ValueError:
        return None
    first = next(iter(_verdicts(inner.graph, inner, judged).values()), None)
    return None if first is None else dataclasses.replace(first, inside=True)


def _judge(node: Node, operation: CustomVjpOperation, operands: Sequence[jax.Array]) -> Verdict | None:
    f, f_vjp = _pair(node, operation)
    try:
        report = check_pair(f, f_vjp, *operands, oracle=f, in_axes=None, effort="quick")
    # The rule is its author's code and may raise anything outside its graph. That does not make it wrong.
    except Exception:
        return None
    return None if report.ok else _of_report(node, report)


def _pair(
    node: Node, operation: CustomVjpOperation
) -> tuple[Callable[..., Any], Callable[..., tuple[Any, ...]]]:
    """The function without its rule, and the rule, as `check_pair` takes them."""
    single = len(node.outputs) == 1

    def f(*operands: jax.Array) -> jax.Array | tuple[jax.Array, ...]:
        results = results_of(operation.plain, operands)
        return results[0] if single else tuple(results)

    def f_vjp(*operands_and_dy: Any) -> tuple[Any, ...]:
        *operands, dy = operands_and_dy
        results, kept = operation.forward(operands)
        return tuple(operation.backward(operands, results, kept, [dy] if single else list(dy)))

    return f, f_vjp


def _of_report(node: Node, report: Report) -> Verdict:
    worst = report.findings[0]
    message = worst.message
    if worst.got is not None and worst.want is not None:
        at = f" at {list(worst.index)}" if worst.index else ""
        message += f"; worst{at}: {worst.got:.5g} instead of {worst.want:.5g}"
    return Verdict(node.label, message, worst.mistakes)

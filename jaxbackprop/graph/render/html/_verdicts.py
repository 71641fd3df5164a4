"""What the harness says of the hand-written rules in a graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from jaxbackprop.check import Report, check_pair

from ..._graph import Graph, Node
from ...passes import results_of
from ...passes._run import Run
from ...tracing._operators import describe_rule
from ...tracing.operations import CustomVjpOperation, ScanOperation


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A rule that the harness finds wrong.

    Attributes:
        name: of the function.
        said: what is wrong, in a sentence.
        mistakes: what it looks like, likeliest first.
        inside: whether the rule belongs to a program inside the node.
    """

    name: str
    said: str
    mistakes: tuple[str, ...]
    inside: bool = False


def verdicts(graph: Graph, run: Run) -> dict[int, Verdict]:
    """The nodes whose hand-written rules the harness finds wrong, at the values that they had.

    This package's own operators are left out, which `jaxbackprop verify` holds to more. A rule that is called
    several times with the same shapes is checked once.
    """
    return _verdicts(graph, run, {})


_Known = dict[Any, "Verdict | None"]


def _verdicts(graph: Graph, run: Run, known: _Known) -> dict[int, Verdict]:
    found = {}
    for node in graph.nodes:
        verdict = _verdict(node, run, known)
        if verdict is not None:
            found[node.index] = verdict
    return found


def _verdict(node: Node, run: Run, known: _Known) -> Verdict | None:
    if not any(node.active_inputs):
        return None
    if isinstance(node.operation, CustomVjpOperation):
        if node.formula == describe_rule("", "", [node.label])[1]:
            return None
        shapes = tuple((port, shape.shape, str(shape.dtype)) for port, shape in enumerate(node.outputs))
        operands = run.of(node).operands
        key = (node.label, node.formula, node.source, shapes, tuple(str(x.aval) for x in operands))
        if key not in known:
            known[key] = _judged(node, node.operation, operands)
        return known[key]
    if not node.bodies:
        return None
    try:
        inner = run.inside(node, 0 if isinstance(node.operation, ScanOperation) else None)
    # There may be no step, and nothing inside that can be looked at by itself.
    except Exception:
        return None
    first = next(iter(_verdicts(inner.graph, inner, known).values()), None)
    return None if first is None else dataclasses.replace(first, inside=True)


def _judged(node: Node, operation: CustomVjpOperation, operands: Sequence[Any]) -> Verdict | None:
    f, f_vjp = _pair(node, operation)
    try:
        report = check_pair(f, f_vjp, *operands, oracle=f, in_axes=None, effort="quick")
    # A rule that cannot be judged by itself, whatever it raises then, is not one that is wrong.
    except Exception:
        return None
    return None if report.ok else _of(node, report)


def _pair(
    node: Node, operation: CustomVjpOperation
) -> tuple[Callable[..., Any], Callable[..., tuple[Any, ...]]]:
    """The function without its rule, and the rule, as `check_pair` takes them."""
    single = len(node.outputs) == 1

    def f(*operands: Any) -> Any:
        results = results_of(operation.plain, operands)
        return results[0] if single else tuple(results)

    def f_vjp(*operands_and_dy: Any) -> tuple[Any, ...]:
        *operands, dy = operands_and_dy
        results, kept = operation.forward(operands)
        return tuple(operation.backward(operands, results, kept, [dy] if single else list(dy)))

    return f, f_vjp


def _of(node: Node, report: Report) -> Verdict:
    worst = report.findings[0]
    said = worst.message
    if worst.got is not None and worst.want is not None:
        at = f" at {list(worst.index)}" if worst.index else ""
        said += f"; worst{at}: {worst.got:.5g} instead of {worst.want:.5g}"
    return Verdict(node.label, said, worst.mistakes)

"""The graph's rules through the harness: the hand-derived local gradient of each of JAX's primitives."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop._float64 import float64_on_cpu
from jaxbackprop._sharding import Like
from jaxbackprop.check import Evaluator, Layout, Point
from jaxbackprop.graph import Graph, trace
from jaxbackprop.graph.passes import ResidualSelection
from jaxbackprop.graph.rules import operand_names
from jaxbackprop.graph.rules.cases import ROWS, Row
from jaxbackprop.ops.catalogue import Case, RuledFunction

from ._checks import verify_operator
from ._operators import CannotVerify, side_by_side
from ._result import GradientResult


def verify_rules(
    names: Sequence[str] | None = None, *, effort: str = "quick", workers: int = 1
) -> list[GradientResult]:
    """Verifies rules and returns one result a way to use a primitive and differentiable operand.

    Args:
        names: primitives; None for all that have a rule.
        effort: "quick" or "thorough"; see `verify`. At ties and kinks the choice among the valid gradients
            must be `jax.grad`'s.
        workers: threads.

    Raises:
        CannotVerify: where a primitive has no row in the graph's catalogue.
    """
    known = {row.primitive for row in ROWS}
    for name in names or ():
        if name not in known:
            raise CannotVerify(f"--graph {name}: the graph has rules for {', '.join(sorted(known))}")
    rows = [row for row in ROWS if names is None or row.primitive in names]
    return side_by_side(lambda row: verify_row(row, effort), rows, workers)


def verify_row(row: Row, effort: str = "quick") -> list[GradientResult]:
    """One result a differentiable operand of one way to use a primitive."""
    places = list(row.special)
    if row.smooth:
        results = verify_operator(_ruled(row), None, effort)
    else:
        places.append(row.draw(np.random.default_rng(0)))
        floats = [i for i, x in enumerate(places[0]) if np.issubdtype(np.asarray(x).dtype, np.floating)]
        names = list(_signature(row).parameters)
        results = [GradientResult(row.name, names[i]) for i in floats]
    for args in places:
        try:
            _check_choice(row, args, results)
        except Exception as error:
            # A rule that raises where nobody expects it is wrong, and the others still have their turn.
            for result in results:
                result.blame(f"it raised {first_line(error)}, at {_said(args)}")
    return results


def _ruled(row: Row) -> RuledFunction:
    """The primitive with the graph's two passes as its hand-written rule; without it, its own oracle."""

    def op(*args: Any) -> Any:
        return row.f(*args)

    def forward(*args: Any) -> tuple[Any, Any]:
        graph, plan, inputs = _planned(row, args)
        results, kept = plan.forward(inputs)
        read = [x if i in plan.inputs else None for i, x in enumerate(inputs)]
        likes = [Like.of(jnp.asarray(x)) for x in args]
        return jax.tree.unflatten(graph.structure, results), (read, kept, likes)

    def backward(residuals: Any, dy: Any) -> tuple[Any, ...]:
        read, kept, likes = residuals
        _, plan, _ = _planned(row, [jax.ShapeDtypeStruct(like.shape, like.dtype) for like in likes])
        found = plan.backward(read, kept, jax.tree.leaves(dy))
        return tuple(found)

    with_rule = jax.custom_vjp(op)
    with_rule.defvjp(forward, backward)

    def called(*args: Any) -> Any:
        return with_rule(*args)

    called.__signature__ = _signature(row)  # type: ignore[attr-defined]
    return RuledFunction(
        name=row.name, op=called, oracle=row.f, cases=(Case(row.arguments),), special=row.special
    )


def _signature(row: Row) -> inspect.Signature:
    """With a name for each argument."""
    written = inspect.signature(row.f)
    if len(written.parameters) == len(row.arguments):
        return written
    names = operand_names(len(row.arguments))
    return inspect.Signature([inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names])


def _planned(row: Row, args: Sequence[Any]) -> tuple[Graph, ResidualSelection, list[Any]]:
    graph = trace(row.f, *args)
    if graph.error is not None:
        raise graph.error
    return (
        graph,
        ResidualSelection(graph, [node.active[0] for node in graph.inputs]),
        jax.tree.leaves(tuple(args)),
    )


def _check_choice(row: Row, args: tuple[Any, ...], results: list[GradientResult]) -> None:
    """At ties and kinks several gradients are valid: the graph's is to be JAX's."""
    rng = np.random.default_rng(0)
    layout = Layout.of(args, hold_integers=True)
    with float64_on_cpu():
        y = row.f(*args)
        dy = tuple(
            rng.uniform(0.5, 1.5, leaf.shape)
            for leaf in jax.tree.leaves(y)
            if np.issubdtype(leaf.dtype, np.floating)
        )
    point = Point(layout.leaves, dy)
    want, got = (Evaluator.of(f, layout, np.float64).run_one(point).gradient for f in (row.f, _ruled(row).op))
    for result, ours, theirs in zip(results, got, want, strict=True):
        if not np.allclose(ours, theirs, rtol=1e-12, atol=1e-14, equal_nan=True):
            result.blame(f"it gives {ours.tolist()} where jax.grad gives {theirs.tolist()}, at {_said(args)}")


def _said(args: tuple[Any, ...]) -> str:
    return ", ".join(str(np.asarray(x).tolist()) for x in args)

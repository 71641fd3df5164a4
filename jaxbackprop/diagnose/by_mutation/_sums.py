"""Edits of sums and of scattered rows: another axis, one entry for the sum, overwritten for accumulated."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax import lax

from ..mistakes import Mistake
from ._context import Change, Context
from ._evaluator import Edit, Meaning
from ._interpreter import Equation, Rule


def other_axes(context: Context, e: int, text: str) -> Iterator[Change]:
    """A sum over other axes that gives the same shape."""
    equation = context.equation(e)
    axes = tuple(equation.params["axes"])
    before, after = context.shape(equation.inputs[0]), context.shape(equation.outputs[0])
    for other in itertools.combinations(range(len(before)), len(axes)):
        left = tuple(n for d, n in enumerate(before) if d not in other)
        if other != axes and left == after:
            what = f"{text} is not over axis {other}" if context.repair else f"{text} is over axis {other}"
            yield Change(what, lambda x, other=other: (np.sum(x, axis=other),))


def one_entry(context: Context, e: int, text: str) -> Iterator[Change]:
    """One entry of an axis where the sum over it is due."""
    if context.repair:
        return
    equation = context.equation(e)
    axes = tuple(equation.params["axes"])
    for axis in (a for a in axes if context.shape(equation.inputs[0])[a] > 1):
        for entry in (0, -1):
            yield Change(
                f"{text} takes one entry of axis {axis} and does not sum",
                lambda x, axis=axis, entry=entry: (np.sum(np.take(x, [entry], axis), axis=axes),),
            )


def unsummed(context: Context) -> Iterator[Edit]:
    """A sum that is broadcast back left out: the diagonal of what mixes entries."""
    for e in context.live:
        equation = context.equation(e)
        if equation.name != "reduce_sum":
            continue
        before = context.shape(equation.inputs[0])
        rules: dict[int, Rule] = {e: lambda x: (x,)}
        for later in context.program.reached(frozenset([e]))[0]:
            after = context.equation(later)
            narrow = after.name == "reduce_sum" and np.size(context.at(after.inputs[0])) == np.size(
                context.at(after.outputs[0])
            )
            if narrow or after.name in ("reshape", "broadcast_in_dim", "squeeze"):
                rules[later] = lambda x, run=after.run, before=before: (
                    (x,) if np.shape(x) == before else run(x)
                )
        said, more = context.words.equation(e), context.doubt(equation.outputs[0])
        if context.repair:
            labels = (Mistake.EXTRA_SUM, Mistake.WRONG_DERIVATIVE)
            yield Edit(Meaning(f"{said} sums what must be kept", more, labels), rules=rules)
        else:
            labels = (Mistake.DIAGONAL_ONLY, Mistake.MISSING_SUM)
            yield Edit(Meaning(f"{said} is not summed", more, labels), rules=rules)


def overwritten(context: Context, e: int, text: str) -> Iterator[Change]:
    """Repeated indices overwrite where they should accumulate."""
    if not context.repair:
        rule = _scattered(lax.scatter, context.equation(e))
        yield Change(f"{text} overwrites where it should accumulate", rule)


def accumulated(context: Context, e: int, text: str) -> Iterator[Change]:
    """What overwrites accumulates."""
    if context.repair and context.is_float(context.result(e)):
        equation = context.equation(e)
        updates = context.at(equation.inputs[2])
        partly = () if np.size(updates) and np.ptp(updates) else (Mistake.PARTLY_WRONG,)
        rule = _scattered(lax.scatter_add, equation)
        what = f"{text} overwrites where it should accumulate"
        yield Change(what, rule, (*partly, Mistake.SET_NOT_ADD))


def _scattered(scatter: Callable[..., jax.Array], equation: Equation) -> Rule:
    """Another scatter of the same updates to the same places."""
    numbers, mode = equation.params["dimension_numbers"], equation.params["mode"]
    return lambda *arrays: (np.asarray(scatter(*arrays, numbers, mode=mode)),)


def unset(context: Context, e: int, text: str) -> Iterator[Change]:
    """Entries that are overwritten stay as they were."""
    fit = context.fitted(e)
    yield Change(f"{text} changes some entries only", lambda x, *rest: fit(x))

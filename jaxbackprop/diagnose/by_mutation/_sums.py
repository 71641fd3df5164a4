"""Edits of sums and of scattered rows: another axis, one entry for the sum, overwritten for accumulated."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from ..mistakes import Mistake
from ._context import Change, Context
from ._evaluator import Edit, Meaning
from ._interpreter import Rule
from ._numpy_rules import RULES


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
    params = context.equation(e).params
    if not context.repair:
        what = f"{text} overwrites where it should accumulate"
        yield Change(what, lambda *x: (RULES["scatter"](params, *x),))


def accumulated(context: Context, e: int, text: str) -> Iterator[Change]:
    """What overwrites accumulates."""
    equation = context.equation(e)
    if context.repair:
        updates = context.at(equation.inputs[2])
        partly = () if np.size(updates) and np.ptp(updates) else (Mistake.PARTLY_WRONG,)
        what = f"{text} overwrites where it should accumulate"
        rule = RULES["scatter-add"]
        yield Change(what, lambda *x: (rule(equation.params, *x),), (*partly, Mistake.SET_NOT_ADD))


def unset(context: Context, e: int, text: str) -> Iterator[Change]:
    """Entries that are overwritten stay as they were."""
    fit = context.fitted(e)
    yield Change(f"{text} changes some entries only", lambda x, *rest: fit(x))

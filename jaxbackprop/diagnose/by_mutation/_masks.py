"""Edits of what decides which entries count: masks, comparisons, winners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..mistakes import Mistake as M
from ._context import Change, Context, filled, function_of, of_value
from ._evaluator import Edit, Labels

_OPPOSITE = {"gt": np.less, "ge": np.less_equal, "lt": np.greater, "le": np.greater_equal, "eq": np.not_equal}
_OTHER_EXTREME: dict[str, Callable[..., Any]] = {
    **{"reduce_max": np.min, "reduce_min": np.max, "argmax": np.argmin, "argmin": np.argmax}
}


def cases(context: Context, e: int, text: str) -> Iterator[Change]:
    """Cases exchanged, or the mask not heeded."""
    equation, fit = context.equation(e), context.fitted(e)
    if len(equation.inputs) != 3:
        return
    mask, *both = equation.inputs
    given = not context.on_floats(mask)
    chosen = [np.asarray(values[mask]) for values in context.program.values]
    idle = 0.7 if all(np.all(c) for c in chosen) or not any(np.any(c) for c in chosen) else 0.0
    labels: Labels = (M.WRONG_MASK, M.PADDING) if given else (M.WRONG_MASK,)
    exchanged = f"the cases of {text} are exchanged"
    yield Change(exchanged, lambda p, x, y: fit(np.where(p, x, y)), labels, idle - 0.05)
    unheeded = (M.PADDING, M.WRONG_MASK) if given else (M.WRONG_MASK, M.WRONG_WINNER)
    what = f"{text} has a mask too many" if context.repair else f"{text} lacks its mask"
    for k, case in enumerate(both, 1):
        stale = given and not context.repair and case < context.program.leaves
        labels = (M.STALE_RESIDUAL, *unheeded) if stale else unheeded
        yield Change(what, lambda *x, k=k: fit(x[k]), labels, idle)


def comparisons(context: Context, e: int, text: str) -> Iterator[Change]:
    """A comparison turned round, or with another bound."""
    equation, fit = context.equation(e), context.fitted(e)
    opposite = _OPPOSITE[equation.name]
    yield Change(f"the comparison {text} is the wrong way round", lambda x, y: fit(opposite(x, y)))
    for k, bound in enumerate(equation.inputs):
        if not context.is_constant(bound) or not context.is_float(bound):
            continue
        for c in (0.0, 1.0, -1.0, np.inf, -np.inf):

            def against(*x: Any, c: float = c, k: int = k) -> tuple[Any, ...]:
                return equation.run(*x[:k], np.full_like(x[k], c), *x[k + 1 :])

            yield Change(f"{text} compares with another bound", against, more=0.15)


def winners(context: Context, e: int, text: str) -> Iterator[Change]:
    """The mask of a maximum that falls on a fixed entry, the smallest, the runner-up."""
    result = context.result(e)
    if context.repair or not context.has_kind(context.equation(e).inputs[0], "fi"):
        return
    above = [context.program.equation(i) for i in context.program.above[result]]
    axes = {m.params["axes"] for m in above if m is not None and m.name in ("reduce_max", "reduce_min")}
    shape = context.shape(result)
    for axis in (a[0] for a in axes if len(a) == 1 and a[0] < len(shape) and shape[a[0]] > 1):
        for rank in (0, -1, -2, 1):
            for ordered in (False, True):

                def winner(x: Any, y: Any, axis: Any = axis, rank: Any = rank, ordered: Any = ordered) -> Any:
                    x, y = np.broadcast_arrays(x, y)
                    full = x if np.ptp(x, axis=axis).any() else y
                    places = np.argsort(full, axis, kind="stable") if ordered else np.indices(shape)[axis]
                    mask = np.zeros(shape, bool)
                    np.put_along_axis(mask, np.take(places, [rank], axis), True, axis)
                    return (mask,)

                yield Change(f"{text} picks the wrong entry", winner)


def extremes(context: Context, e: int, text: str) -> Iterator[Change]:
    """The other extreme, or an entry of another rank."""
    equation, fit = context.equation(e), context.fitted(e)
    axes, what = tuple(equation.params["axes"]), f"{text} finds the wrong entry"
    other = _OTHER_EXTREME[equation.name]
    if equation.name in ("reduce_max", "reduce_min"):
        yield Change(what, lambda x: fit(other(x, axis=axes)))
        return
    (axis,) = axes
    yield Change(what, lambda x: fit(other(x, axis=axis)))
    n = context.shape(equation.inputs[0])[axis]
    for rank in (-2, 0, -1, 1):

        def ranked(x: Any, rank: int = rank) -> tuple[Any, ...]:
            return fit(np.argsort(x, axis, kind="stable").take(rank % n, axis))

        yield Change(what, ranked, more=0.1)


def indices(context: Context) -> Iterator[Edit]:
    """Indices, labels and winners shifted by one."""
    for i in context.program.uses:
        if context.has_kind(i, "i") and i not in context.flat.constants:
            # An entry of a sorted array is a winner.
            is_sorted = "sort" in context.program.names_above(i)
            labels: Labels = (M.OFF_BY_ONE, M.WRONG_WINNER)
            labels = labels[::-1] if is_sorted else labels
            for step in (1, -1):
                operand = function_of(lambda x, by: x + np.asarray(by, x.dtype), step)
                yield from of_value(context, i, operand, f"{context.words.name(i)} is shifted by one", labels)


def conditions(context: Context) -> Iterator[Edit]:
    """A condition inverted, or not heeded."""
    for i in (i for i in context.program.uses if context.has_kind(i, "b")):
        what = f"the condition {context.words.name(i)}"
        wrong = (M.WRONG_MASK,)
        yield from of_value(context, i, function_of(np.logical_not), f"{what} is inverted", wrong)
        labels = wrong if context.on_dy(i) else context.mask_labels(i)
        for value in (False, True):
            yield from of_value(context, i, filled(value), f"{what} is not heeded", labels, 0.1)

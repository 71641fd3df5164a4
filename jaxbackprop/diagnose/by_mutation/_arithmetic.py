"""Edits of products, sums and scattered rows: a factor or a term left out, another axis, no sum."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax import lax

from ..mistakes import Mistake as M
from ._context import Change, Context
from ._evaluator import Edit, Labels, Meaning
from ._interpreter import Equation, Rule


def products(context: Context, e: int, text: str) -> Iterator[Change]:
    """A factor left out, or on the wrong side of a division."""
    equation, fit = context.equation(e), context.fitted(e)
    if not context.is_float(equation.outputs[0]):
        return
    a, b = equation.inputs
    multiplies = equation.name == "mul"
    labels, more = _left_out_factor(context, a, b, multiplies)
    yield Change(_says(context, "factor", b, text), lambda x, y: fit(x), labels, more)
    labels, more = _left_out_factor(context, b, a, multiplies)
    rule = (lambda x, y: fit(y)) if multiplies else (lambda x, y: fit(1 / y))
    yield Change(_says(context, "factor", a, text), rule, labels, more)
    formula = (M.WRONG_DERIVATIVE,)
    if not multiplies:
        yield Change(f"{text} has its factors upside down", lambda x, y: fit(x * y), formula, 0.5)
    elif a != b:
        yield Change(f"{text} divides where it should multiply", lambda x, y: fit(x / y), formula, 0.5)


def terms(context: Context, e: int, text: str) -> Iterator[Change]:
    """A term left out."""
    equation, fit = context.equation(e), context.fitted(e)
    a, b = equation.inputs
    if a == b or not context.is_float(equation.outputs[0]):
        return
    labels, more = _left_out_term(context, a, b, equation.name)
    yield Change(_says(context, "term", b, text), lambda x, y: fit(x), labels, more)
    labels, more = _left_out_term(context, b, a, equation.name)
    rule = (lambda x, y: fit(-y)) if equation.name == "sub" else (lambda x, y: fit(y))
    yield Change(_says(context, "term", a, text), rule, labels, more)


def _says(context: Context, kind: str, i: int, text: str) -> str:
    name = context.words.name(i)
    return f"{text} has the {kind} {name} too many" if context.repair else f"{text} lacks the {kind} {name}"


def _left_out_factor(context: Context, kept: int, lost: int, multiplies: bool) -> tuple[Labels, float]:
    """What it means to leave one operand of a product out, and how unlikely it is."""
    if kept == lost and multiplies:
        squared = (M.UPSTREAM_SQUARED,) if context.on_dy(kept) else ()
        return (*squared, M.WRONG_DERIVATIVE), 0.2
    if context.is_constant(lost):
        if context.repair and not np.any(context.at(lost)):
            return (M.PATH_FORGOTTEN, M.MISSING_TERM), 0.05
        return (M.CONSTANT_FACTOR,), 0.05
    if context.is_mask(lost):
        return context.mask_labels(lost), 0.0
    if context.repair:
        if not context.on_dy(lost):
            return (M.WRONG_DERIVATIVE, M.MISSING_FACTOR), 0.25
        if multiplies:
            return (M.UPSTREAM_SQUARED, M.WRONG_DERIVATIVE), 0.1
        return (M.NON_LINEAR, M.WRONG_DERIVATIVE), 0.0
    if context.on_dy(lost) and not context.on_dy(kept):
        return (M.UPSTREAM_IGNORED, M.MISSING_FACTOR), 0.1
    if not multiplies and _normalises(context, kept, lost):
        return (M.UNNORMALISED, M.MISSING_FACTOR), -0.05
    if _counts_winners(context, lost):
        return (M.WRONG_WINNER, M.MISSING_FACTOR), 0.0
    return (M.MISSING_FACTOR, M.WRONG_DERIVATIVE), 0.0


def _counts_winners(context: Context, i: int) -> bool:
    """Whether a value counts how many entries share a maximum."""
    value = np.asarray(context.at(i))
    return {"eq", "reduce_max"} <= context.program.names_above(i) and bool(np.all(value == np.round(value)))


def _normalises(context: Context, part: int, total: int) -> bool:
    """Whether one value is, broadcast, the sum of the other."""
    if part not in context.program.above[total]:
        return False
    a, b = np.asarray(context.at(part)), np.asarray(context.at(total))
    return bool(np.all(a >= 0)) and any(
        np.ndim(b) in (0, a.ndim)
        and np.allclose(np.broadcast_to(np.sum(a, axis, keepdims=True), a.shape), np.broadcast_to(b, a.shape))
        for axis in range(a.ndim)
    )


def _left_out_term(context: Context, kept: int, lost: int, name: str) -> tuple[Labels, float]:
    """What it means to leave one operand of a sum out, and how unlikely it is."""
    given = not context.on_floats(lost)
    if given and np.max(np.abs(context.at(lost)), initial=0.0) < 0.02:
        return (M.SMALL_CONSTANT,), -0.05
    if context.repair:
        return (M.WRONG_DERIVATIVE, M.MISSING_TERM), 0.3
    if given:
        return (M.WRONG_DERIVATIVE, M.MISSING_TERM), 0.2
    if context.on_dy(lost) and (_is_multiple(context, kept, lost) or _is_multiple(context, lost, kept)):
        # u + u f is the derivative of one function, written as a product: u (1 + f).
        return (M.WRONG_DERIVATIVE, M.MISSING_TERM, M.PATH_FORGOTTEN), 0.05
    if name == "add_any":
        return (M.PATH_FORGOTTEN, M.MISSING_TERM), 0.0
    return (M.MISSING_TERM, M.PATH_FORGOTTEN), 0.0


def _is_multiple(context: Context, i: int, j: int) -> bool:
    """Whether the second of two values is the first times something."""
    maker = context.program.equation(j)
    return maker is not None and maker.name == "mul" and i in maker.inputs and i != j


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
            sizes = np.size(context.at(after.inputs[0])), np.size(context.at(after.outputs[0]))
            narrow = after.name == "reduce_sum" and sizes[0] == sizes[1]
            if narrow or after.name in ("reshape", "broadcast_in_dim", "squeeze"):
                rules[later] = lambda x, run=after.run, before=before: (
                    (x,) if np.shape(x) == before else run(x)
                )
        said, more = context.words.equation(e), context.doubt(equation.outputs[0])
        meaning = Meaning(f"{said} is not summed", more, (M.DIAGONAL_ONLY, M.MISSING_SUM))
        if context.repair:
            meaning = Meaning(f"{said} sums what must be kept", more, (M.EXTRA_SUM, M.WRONG_DERIVATIVE))
        yield Edit(meaning, rules=rules)


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
        partly = () if np.size(updates) and np.ptp(updates) else (M.PARTLY_WRONG,)
        rule = _scattered(lax.scatter_add, equation)
        yield Change(f"{text} overwrites where it should accumulate", rule, (*partly, M.SET_NOT_ADD))


def _scattered(scatter: Callable[..., jax.Array], equation: Equation) -> Rule:
    """Another scatter of the same updates to the same places."""
    numbers, mode = equation.params["dimension_numbers"], equation.params["mode"]
    return lambda *arrays: (np.asarray(scatter(*arrays, numbers, mode=mode)),)


def unset(context: Context, e: int, text: str) -> Iterator[Change]:
    """Entries that are overwritten stay as they were."""
    fit = context.fitted(e)
    yield Change(f"{text} changes some entries only", lambda x, *rest: fit(x))

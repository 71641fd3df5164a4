"""Edits that bring something in: a value that is available added, multiplied with, or divided by."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..mistakes import Mistake
from ._context import Context
from ._evaluator import Edit, Labels, Meaning, MutantValues, Operand, Solve, Use
from ._pool import Available, wider

_FUNCTIONS = {"factor": np.multiply, "divisor": np.divide}


def combined(context: Context) -> Iterator[Edit]:
    """A value with what is there in either program."""
    return _with_each(context, context.pool)


def combined_with_sums(context: Context) -> Iterator[Edit]:
    """A value with sums and functions of what is there."""
    if context.repair:
        yield from _with_each(context, wider(context.pool))


def _with_each(context: Context, pool: Sequence[Available]) -> Iterator[Edit]:
    for i in context.floats:
        if i in context.flat.constants:
            continue
        for other in pool:
            for arrays in _fitted(other.arrays, context.shape(i)):
                if other.on_dy == context.on_dy(i):
                    yield _added(context, i, arrays, other)
                for kind in ("factor",) if other.on_dy else ("factor", "divisor"):
                    yield _multiplied(context, i, kind, arrays, other)


def _added(context: Context, i: int, arrays: list[np.ndarray], other: Available) -> Edit:
    labels: Labels = (Mistake.WRONG_DERIVATIVE,)
    if context.repair:
        labels = (Mistake.MISSING_TERM, Mistake.PATH_FORGOTTEN)
    doubt, what = context.doubt(i), _says(context, i, "term", other)

    def operands(c: float) -> dict[Use, Operand]:
        return context.everywhere(i, lambda values, x: x + c * arrays[values.sample])

    def meaning(c: float) -> Meaning:
        return Meaning(what, doubt + (0.0 if abs(abs(c) - 1) < 1e-6 else 0.25), labels)

    return Edit(None, operands(1.0), solve=Solve(operands, 0.0, 1.0, meaning))


def _multiplied(context: Context, i: int, kind: str, arrays: list[np.ndarray], other: Available) -> Edit:
    function = _FUNCTIONS[kind]
    labels, more = _factor_labels(context, kind, other)

    def operand(values: MutantValues, x: Any) -> Any:
        return function(x, arrays[values.sample])

    meaning = Meaning(_says(context, i, kind, other), more + context.doubt(i), labels)
    return Edit(meaning, context.everywhere(i, operand))


def _factor_labels(context: Context, kind: str, other: Available) -> tuple[Labels, float]:
    """What a factor that was brought in means, and how unlikely it is."""
    if not context.repair:
        return (Mistake.UPSTREAM_SQUARED if other.on_dy else Mistake.WRONG_DERIVATIVE,), 0.2
    if other.on_dy:
        return (Mistake.UPSTREAM_IGNORED, Mistake.MISSING_FACTOR), 0.0
    if all(np.all((a == 0) | (a == 1)) for a in other.arrays):
        given = (Mistake.PADDING,) if other.given else ()
        return (*given, Mistake.WRONG_MASK, Mistake.MISSING_FACTOR), -0.1
    return (Mistake.MISSING_FACTOR,), -0.05 if kind == "factor" else 0.0


def _says(context: Context, i: int, kind: str, other: Available) -> str:
    name = context.words.name(i)
    if context.repair:
        return f"{name} lacks the {kind} {other.said}"
    return f"{name} has the {kind} {other.said} too many"


def _fitted(arrays: list[np.ndarray], shape: tuple[int, ...]) -> Iterator[list[np.ndarray]]:
    """Arrays as they broadcast to a shape, in every way that keeps the order of axes."""
    own = arrays[0].shape
    if own == shape:
        yield arrays
    elif arrays[0].size == 1:
        yield [a.reshape(()) for a in arrays]
    elif len(own) == len(shape) and all(a in (1, b) for a, b in zip(own, shape, strict=True)):
        yield arrays
    elif len(own) < len(shape):
        for dims in itertools.combinations(range(len(shape)), len(own)):
            if all(shape[d] == n for d, n in zip(dims, own, strict=True)):
                spread = [shape[d] if d in dims else 1 for d in range(len(shape))]
                yield [a.reshape(spread) for a in arrays]

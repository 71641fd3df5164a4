"""Edits of one value: its sign, its axes, its order, a function of it, nothing or a number in its stead."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from .._arrays import shifted as moved
from .._arrays import spread, without
from ..mistakes import Mistake as M
from ._context import MOVES, Context, filled, function_of, of_value
from ._evaluator import Edit, Labels, Meaning, MutantEvaluator, Operand, Solve, Use

# Up to this relative change a constant is a rounded one.
_SMALL = 0.02
_BOUNDS = {"gt", "lt", "ge", "le", "max", "min", "clamp"}
# Of Gauss and Newton, who find another value of a constant at one sample.
_STEPS = 8
# What these make of a value does not change with its sign, or not as a derivative does.
_DECIDING = {"argmax", "argmin", "sort", "gt", "lt", "ge", "le", "eq", "reduce_max", "reduce_min"}


def flipped_sign(context: Context) -> Iterator[Edit]:
    """A value negated."""
    for i in _varying(context):
        decides = all(
            not context.is_end(e) and context.equation(e).name in _DECIDING for e, _ in context.uses(i)
        )
        if not decides:
            what = f"the sign of {context.words.name(i)} is flipped"
            yield from of_value(context, i, function_of(np.negative), what, more=context.doubt(i))


def transposed(context: Context) -> Iterator[Edit]:
    """Two axes of the same length exchanged."""
    for i in _varying(context):
        shape, final = context.shape(i), all(context.is_end(e) for e, _ in context.uses(i))
        near = final or "dot_general" in context.users(i)
        more = 0.3 * context.doubt(i) + (0.0 if near else 0.4)
        for a, b in itertools.combinations(range(len(shape)), 2):
            if not shape[a] == shape[b] > 1:
                continue
            label = M.TRANSPOSED_RESULT if final else M.MISSING_TRANSPOSE
            if any(np.all(np.ptp(context.at(i), axis=d) == 0) for d in (a, b)):
                label = M.WRONG_AXIS
            what = f"{context.words.name(i)} is not transposed as it should be"
            yield from of_value(context, i, function_of(np.swapaxes, a, b), what, (label,), more)


def left_out(context: Context) -> Iterator[Edit]:
    """Zeros instead of a value."""
    several = context.flat.inputs - context.program.leaves > 1
    for i in _varying(context):
        name, labels = context.words.name(i), _left_out_labels(context, i, several)
        missing, extra = f"what comes through {name} is left out", f"the term {name} should not be there"
        what = extra if context.repair else missing
        for operands, more in context.scopes(i, function_of(np.zeros_like)):
            sure = -0.25 if labels == (M.OUTPUT_IGNORED,) and not more else 0.0
            yield Edit(Meaning(what, context.doubt(i) + more + sure, labels), operands)


def _left_out_labels(context: Context, i: int, several: bool) -> Labels:
    if context.repair:
        maker = context.program.equation(i)
        if maker is not None and maker.name == "slice":
            return (M.PADDING, M.OFF_BY_ONE)
        return (M.WRONG_DERIVATIVE, M.PADDING)
    if all(context.is_end(e) for e, _ in context.uses(i)):
        return (M.DETACHED,)
    if several and context.program.leaves <= i < context.flat.inputs:
        return (M.OUTPUT_IGNORED,)
    if context.on_dy(i):
        return (M.PATH_FORGOTTEN, M.MISSING_TERM)
    return (M.MISSING_TERM, M.PATH_FORGOTTEN)


def taken_as_one(context: Context) -> Iterator[Edit]:
    """Ones instead of what comes from upstream."""
    for i in _varying(context):
        if context.on_dy(i) and not context.repair:
            labels: Labels = (M.UPSTREAM_IGNORED,)
            if not _is_moved_dy(context, i):
                labels = (M.MISSING_FACTOR, *labels)
            what = f"{context.words.name(i)} is taken as one"
            yield from of_value(context, i, filled(1), what, labels, context.doubt(i))


def reversed_order(context: Context) -> Iterator[Edit]:
    """The entries along an axis from the last to the first."""
    for i, axis in _axes(context):
        what = f"{context.words.name(i)} is in reversed order along axis {axis}"
        yield from of_value(context, i, function_of(np.flip, axis), what, more=context.doubt(i))


def shifted(context: Context) -> Iterator[Edit]:
    """The entries along an axis moved by one: round, or with a zero where none comes."""
    for i, axis in _axes(context):
        labels: Labels = (M.OFF_BY_ONE, M.TIME_SHIFT)
        labels = labels[::-1] if _is_time(context, axis) else labels
        what = f"{context.words.name(i)} is shifted by one along axis {axis}"
        for step in (1, -1):
            for wrap in (True, False):
                operand = function_of(moved, step, axis, wrap)
                yield from of_value(context, i, operand, what, labels, context.doubt(i))


def summed(context: Context) -> Iterator[Edit]:
    """The sum or the mean over an axis instead of each entry."""
    for i, axis in _axes(context):
        for how, f in (("summed", np.sum), ("averaged", np.mean)):
            said = f"{how} over axis {axis}"
            name, label = context.words.name(i), M.MISSING_SUM if context.repair else M.EXTRA_SUM
            what = f"{name} is not {said}" if context.repair else f"{name} is {said}"
            yield from of_value(context, i, function_of(spread, f, axis), what, (label,), context.doubt(i))


def lost_edge(context: Context) -> Iterator[Edit]:
    """The first or the last entry along an axis left out."""
    for i, axis in _axes(context):
        labels: Labels = (M.PADDING, M.OFF_BY_ONE)
        if not context.repair:
            labels = (M.PARTLY_WRONG,)
            labels = (M.TIME_SHIFT, *labels) if _is_time(context, axis) else labels
        for entry in (0, context.shape(i)[axis] - 1):
            what = f"entry {entry} of {context.words.name(i)} along axis {axis} counts wrongly"
            yield from of_value(context, i, function_of(without, entry, axis), what, labels, context.doubt(i))


def _varying(context: Context) -> Iterator[int]:
    """The float values that are no scalar constants."""
    return (i for i in context.floats if context.shape(i) or not context.is_constant(i))


def _axes(context: Context) -> Iterator[tuple[int, int]]:
    """The float values and their axes of more than one entry."""
    return ((i, axis) for i in context.floats for axis, n in enumerate(context.shape(i)) if n > 1)


def _is_moved_dy(context: Context, i: int) -> bool:
    """Whether a value is the cotangent itself, its entries moved about."""
    while i >= context.flat.inputs:
        maker = context.program.equation(i)
        if maker is None or maker.name not in MOVES:
            return False
        i = maker.inputs[0]
    return i >= context.program.leaves


def _is_time(context: Context, axis: int) -> bool:
    return context.flat.loops and axis == 0


def other_constants(context: Context) -> Iterator[Edit]:
    """A constant of another value, everywhere or in one place."""
    for i in context.program.uses:
        if i not in context.flat.constants or not context.is_float(i) or context.shape(i):
            continue
        old, uses = float(context.at(i)), context.uses(i)
        if np.isfinite(old):
            for chosen in {tuple(uses), *((use,) for use in uses[:6])}:
                yield _other_constant(context, old, chosen)


def _other_constant(context: Context, old: float, uses: tuple[Use, ...]) -> Edit:
    takers = {context.equation(e).name for e, _ in uses if not context.is_end(e)}
    users = [context.users(context.result(e)) for e, _ in uses]

    def operands(c: float) -> dict[Use, Operand]:
        return dict.fromkeys(uses, lambda values, x: np.asarray(c))

    def meaning(c: float) -> Meaning:
        wrong, right = (old, c) if context.repair else (c, old)
        plain = f"{wrong:.6g}", f"{right:.6g}"
        said = plain if plain[0] != plain[1] else (f"{wrong:.12g}", f"{right:.12g}")
        what = f"the constant {said[0]} should be {said[1]}"
        size = max(abs(old), abs(c))
        if old != 1 and abs(c - old) <= _SMALL * size or size < 1e-3:
            return Meaning(what, 0.0, (M.SMALL_CONSTANT,))
        if takers <= {"mul", "div"}:
            if wrong == 0:
                return Meaning(what, 0.2, (M.PATH_FORGOTTEN, M.MISSING_TERM))
            labels = (M.CONSTANT_FACTOR, M.WRONG_DERIVATIVE)
            partly = (M.PARTLY_WRONG,) if any("select_n" in names for names in users) else ()
            return Meaning(what, 0.2, (*partly, *labels))
        if takers <= _BOUNDS:
            return Meaning(what, 0.3, (M.WRONG_MASK,))
        return Meaning(what, 0.45, (M.WRONG_DERIVATIVE, M.CONSTANT_FACTOR))

    return Edit(None, operands(old), solve=Solve(operands, old, meaning))


def solved(program: MutantEvaluator, solve: Solve) -> Meaning | None:
    """What a family of edits means where one of them explains the evidence at all samples; else None.

    Raises `DoesNotFit` where an equation cannot take what the edit gives it.
    """
    s, c = program.screen, solve.start
    sizes = [max(gap, 1e3 * t) for gap, t in zip(program.gaps[s], program.tolerance[s], strict=True)]

    def residual(c: float) -> np.ndarray:
        answers = program.answer(Edit(None, solve.operands(c)), s)
        gaps = zip(answers, program.targets[s], sizes, strict=True)
        return np.concatenate([np.ravel((a - t) / size) for a, t, size in gaps])

    other = c * 1.01 + (1e-3 if c == 0 else 0)
    here = residual(c)
    start = float(here @ here)
    for step in range(_STEPS):
        slope = (residual(other) - here) / (other - c)
        steep = float(slope @ slope)
        if not np.isfinite(steep) or steep == 0:
            return None
        c -= float(slope @ here) / steep
        here = residual(c)
        left = float(here @ here)
        hopeless = step == 0 and left > 0.3 * start or step == 2 and left > 1e-2 * start
        if not np.isfinite(left) or hopeless:
            return None
        if left < 1e-14 * start:
            break
        other = c + 1e-4 * (abs(c - solve.start) + 1e-6 * abs(c) + 1e-12)
    return solve.meaning(c) if program.explains(Edit(None, solve.operands(c))) else None

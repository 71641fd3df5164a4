"""Edits with a number that is found: a constant of another value, a value off by a factor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..mistakes import Mistake
from ._context import Context
from ._evaluator import Edit, Meaning, Operand, Solve, Use

_SMALL = 0.02
_BOUNDS = {"gt", "lt", "ge", "le", "max", "min", "clamp"}


def other_constants(context: Context) -> Iterator[Edit]:
    """A constant of another value, everywhere or in one place."""
    for i in context.program.uses:
        if i not in context.flat.constants or not context.is_float(i) or context.shape(i):
            continue
        old, uses = float(context.at(i)), context.uses(i)
        if np.isfinite(old):
            for chosen in {tuple(uses), *((use,) for use in uses[:6])}:
                yield _other_constant(context, old, chosen)


def other_factors(context: Context) -> Iterator[Edit]:
    """A value off by a factor."""
    for i in context.floats:
        if i not in context.flat.constants:
            yield _other_factor(context, i)


def _other_constant(context: Context, old: float, uses: tuple[Use, ...]) -> Edit:
    takers = {context.equation(e).name for e, _ in uses if not context.is_end(e)}
    users = [context.users(context.result(e)) for e, _ in uses]

    def operands(c: float) -> dict[Use, Operand]:
        return dict.fromkeys(uses, lambda values, x: np.asarray(c))

    def meaning(c: float) -> Meaning:
        wrong, right = (old, c) if context.repair else (c, old)
        what = f"the constant {wrong:.6g} should be {right:.6g}"
        size = max(abs(old), abs(c))
        if old != 1 and abs(c - old) <= _SMALL * size or size < 1e-3:
            return Meaning(what, 0.0, (Mistake.SMALL_CONSTANT,))
        if takers <= {"mul", "div"}:
            if wrong == 0:
                return Meaning(what, 0.2, (Mistake.PATH_FORGOTTEN, Mistake.MISSING_TERM))
            labels = (Mistake.CONSTANT_FACTOR, Mistake.WRONG_DERIVATIVE)
            partly = (Mistake.PARTLY_WRONG,) if any("select_n" in names for names in users) else ()
            return Meaning(what, 0.2, (*partly, *labels))
        if takers <= _BOUNDS:
            return Meaning(what, 0.3, (Mistake.WRONG_MASK,))
        return Meaning(what, 0.45, (Mistake.WRONG_DERIVATIVE, Mistake.CONSTANT_FACTOR))

    near = old * 1.01 + (1e-3 if old == 0 else 0)
    return Edit(None, operands(old), solve=Solve(operands, old, near, meaning))


def _other_factor(context: Context, i: int) -> Edit:
    def operands(c: float) -> dict[Use, Operand]:
        return context.everywhere(i, lambda values, x: c * x)

    def meaning(c: float) -> Meaning | None:
        if not 1e-9 <= abs(c) <= 1e9:
            return None
        factor, doubt = 1 / c if context.repair else c, context.doubt(i)
        what = f"{context.words.name(i)} is {factor:.6g} times what it should be"
        if abs(factor + 1) < 1e-6:
            return Meaning(what, doubt, (Mistake.SIGN,))
        if abs(factor - 1) < _SMALL:
            return Meaning(what, doubt + 0.05, (Mistake.SMALL_CONSTANT,))
        partly = (Mistake.PARTLY_WRONG,) if context.users(i) == {"select_n"} else ()
        return Meaning(what, doubt, (*partly, Mistake.CONSTANT_FACTOR))

    return Edit(None, operands(1.0), solve=Solve(operands, 1.0, 0.5, meaning))

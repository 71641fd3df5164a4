"""Edits of constants: another value in the place of one, found by Gauss and Newton at one sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..mistakes import Mistake
from ._context import Context
from ._evaluator import Edit, Meaning, MutantEvaluator, Operand, Solve, Use

_SMALL = 0.02
_BOUNDS = {"gt", "lt", "ge", "le", "max", "min", "clamp"}
_STEPS = 8


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

    return Edit(None, operands(old), solve=Solve(operands, old, meaning))


def solved(program: MutantEvaluator, solve: Solve) -> Meaning | None:
    """What a family of edits means where one of them explains the evidence.

    Args:
        program: what is edited.
        solve: the edits.

    Returns:
        The meaning at the number that was found; None where none explains at all samples.

    Raises:
        DoesNotFit: an equation cannot take what the edit gives it.
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

"""The number of an edit, found by Gauss and Newton at one sample; the others must then agree."""

from __future__ import annotations

import numpy as np

from ._evaluator import Edit, Meaning, MutantEvaluator, Solve

_STEPS = 8


def solved(program: MutantEvaluator, solve: Solve) -> Meaning | None:
    """What a family of edits means where one of them explains the evidence.

    Args:
        program: what is edited.
        solve: the edits.

    Returns:
        The meaning at the number that was found; None where none explains.

    Raises:
        DoesNotFit: an equation cannot take what the edit gives it.
    """
    s = program.screen
    targets, floor = program.targets[s], [1e3 * t for t in program.tolerance[s]]
    sizes = [max(gap, least) for gap, least in zip(program.gaps[s], floor, strict=True)]

    def residual(c: float) -> np.ndarray:
        answers = program.answer(Edit(None, solve.operands(c)), s)
        return np.concatenate(
            [np.ravel((a - t) / z) for a, t, z in zip(answers, targets, sizes, strict=True)]
        )

    c, other = solve.null, solve.near
    here = np.concatenate(
        [
            np.ravel((program.values[s][i] - t) / z)
            for i, t, z in zip(program.flat.outputs, targets, sizes, strict=True)
        ]
    )
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
        other = c + 1e-4 * (abs(c - solve.null) + 1e-6 * abs(c) + 1e-12)
    return solve.meaning(c) if program.explains(Edit(None, solve.operands(c))) else None

"""Which equations of a program are the steps of one loop."""

from __future__ import annotations

import itertools
from typing import Any

from ._evaluator import MutantEvaluator


def steps_of_loops(evaluator: MutantEvaluator) -> dict[int, tuple[int, ...]]:
    """For each equation that a wrong result depends on, those that stand for it in all steps of its loop.

    Loops in Python count where each step depends on the one before; a helper that is called twice is none.
    """
    by_line: dict[Any, list[int]] = {}
    for e in sorted(evaluator.live - {evaluator.end}):
        by_line.setdefault(_line(evaluator, e), []).append(e)
    groups = [tuple(group) for group in by_line.values()]
    lengths = {len(g) for g in groups if len(g) > 1 and _chained(evaluator, g)}
    steps: dict[int, tuple[int, ...]] = {}
    for group in groups:
        # Beside the chain itself, a loop holds equations that one of its steps may lack.
        near = {len(group) - 1, len(group), len(group) + 1} & lengths
        if near or evaluator.flat.equations[group[0]].step >= 0:
            steps.update(dict.fromkeys(group, group))
        else:
            steps.update({e: (e,) for e in group})
    return steps


def _chained(evaluator: MutantEvaluator, group: tuple[int, ...]) -> bool:
    """Whether each equation depends on the one before."""
    equations = evaluator.flat.equations
    return all(
        set(equations[a].outputs) & evaluator.above[equations[b].outputs[0]]
        for a, b in itertools.pairwise(group)
    )


def _line(evaluator: MutantEvaluator, e: int) -> Any:
    """What an equation shares with those that stand for it in a loop's other steps."""
    equation = evaluator.flat.equations[e]
    if equation.step >= 0:
        return equation.place
    makers = tuple(
        "constant"
        if i in evaluator.flat.constants
        else maker.name
        if (maker := evaluator.equation(i))
        else "input"
        for i in equation.inputs
    )
    return (equation.place, makers, equation.outputs[0] in evaluator.on_dy)

"""Which equations of a program are one line of the source: the steps of a loop, or calls of one helper."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

from ._evaluator import MutantEvaluator


@dataclasses.dataclass(frozen=True)
class Loops:
    """Equations that belong together.

    Attributes:
        steps: for each equation, those that stand for it in all steps of its loop; itself alone outside.
        twins: for equations that share a line of the source though it is no loop, all of that line.
    """

    steps: dict[int, tuple[int, ...]]
    twins: dict[int, tuple[int, ...]]


def loops(evaluator: MutantEvaluator) -> Loops:
    """Finds the loops among the equations that a wrong result depends on."""
    by_line: dict[Any, list[int]] = {}
    for e in sorted(evaluator.live - {evaluator.end}):
        by_line.setdefault(_line(evaluator, e), []).append(e)
    groups = [tuple(group) for group in by_line.values()]
    equations = evaluator.flat.equations
    lengths = {len(g) for g in groups if len(g) > 1 and _chained(evaluator, g)}
    steps, twins = {}, {}
    for group in groups:
        # Beside the chain itself, a loop holds equations that one of its steps may lack.
        near = {len(group) - 1, len(group), len(group) + 1} & lengths
        if len(group) == 1 or near or equations[group[0]].step >= 0:
            steps.update(dict.fromkeys(group, group))
        else:
            steps.update({e: (e,) for e in group})
            twins.update(dict.fromkeys(group, group))
    return Loops(steps, twins)


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

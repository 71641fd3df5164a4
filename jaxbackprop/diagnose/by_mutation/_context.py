"""What a mutation is given: a program to edit, its values and their names, the steps of its loops."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..mistakes import Mistake
from ._evaluator import Edit, Labels, Meaning, MutantEvaluator, Operand, Use
from ._expressions import Words
from ._interpreter import Equation, Flat, Rule

# Primitives that only move entries about.
MOVES = set("rev reshape transpose broadcast_in_dim squeeze slice concatenate pad step gather".split())


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
        m.name if (m := evaluator.equation(i)) else "constant" if i in evaluator.flat.constants else "input"
        for i in equation.inputs
    )
    return (equation.place, makers, equation.outputs[0] in evaluator.on_dy)


@dataclasses.dataclass(frozen=True)
class Context:
    """One program to be edited.

    What an edit means depends on which program it is. Where the right one is edited (`repair` false), the
    edit is the mistake; where the wrong rule's own is (`repair` true), the edit undoes the mistake.
    """

    program: MutantEvaluator  # evaluated at every sample
    words: Words  # its values as expressions
    steps: dict[int, tuple[int, ...]]  # for each equation, those of all steps of its loop; itself outside
    repair: bool  # whether it is the wrong rule's own program

    @property
    def flat(self) -> Flat:
        """The program's equations."""
        return self.program.flat

    def at(self, i: int) -> Any:
        """A value at the sample that is tried first."""
        return self.program.values[self.program.screen][i]

    def shape(self, i: int) -> tuple[int, ...]:
        """The shape of a value."""
        return np.shape(self.at(i))

    def has_kind(self, i: int, kinds: str) -> bool:
        """Whether a value is an array of one of NumPy's kinds: "f", "i", "b"."""
        v = self.at(i)
        return isinstance(v, np.ndarray | np.generic) and v.dtype.kind in kinds

    def is_float(self, i: int) -> bool:
        """Whether a value is a floating-point array."""
        return self.has_kind(i, "f")

    def is_mask(self, i: int) -> bool:
        """Whether a value holds zeros and ones alone, at every sample, and neither alone."""
        if not self.has_kind(i, "fib"):
            return False
        own = [values[i] for values in self.program.values]
        binary = all(np.all((v == 0) | (v == 1)) for v in own)
        return binary and any(0 < np.mean(v) < 1 for v in own if v.size)

    def is_constant(self, i: int) -> bool:
        """Whether a value is a number written into the program, or follows from its settings alone."""
        return i in self.flat.constants or not self.on_floats(i) and np.ndim(self.at(i)) == 0

    def on_dy(self, i: int) -> bool:
        """Whether a value depends on a cotangent."""
        return i in self.program.on_dy

    def on_floats(self, i: int) -> bool:
        """Whether a value depends on a cotangent or a differentiable argument."""
        return i in self.program.on_floats

    def equation(self, e: int) -> Equation:
        """The equation at a position."""
        return self.flat.equations[e]

    def uses(self, i: int) -> list[Use]:
        """Where a value is taken."""
        return self.program.uses.get(i, [])

    def users(self, i: int) -> set[str]:
        """The primitives that take a value."""
        return {self.equation(e).name for e, _ in self.uses(i) if e < self.program.end}

    def is_end(self, e: int) -> bool:
        """Whether a position stands for the return."""
        return e == self.program.end

    def result(self, e: int) -> int:
        """The first value that an equation gives; -1 for the return."""
        return -1 if self.is_end(e) else self.equation(e).outputs[0]

    @functools.cached_property
    def live(self) -> tuple[int, ...]:
        """The equations that a wrong result depends on, in order."""
        return tuple(sorted(self.program.live - {self.program.end}))

    @functools.cached_property
    def floats(self) -> tuple[int, ...]:
        """Every float value that a wrong result depends on; those behind the cotangent first, last first."""
        found = [i for i in self.program.uses if self.is_float(i) and np.size(self.at(i))]
        return tuple(sorted(found, key=lambda i: (not self.on_dy(i), -i)))

    def doubt(self, i: int) -> float:
        """Edits of what depends on the cotangent are likelier: backward rules get the forward right."""
        return 0.0 if self.on_dy(i) else 0.1 if self.repair else 0.3

    def scopes(self, i: int, operand: Operand) -> Iterator[tuple[dict[Use, Operand], float]]:
        """A value replaced everywhere, then in one place only; in all steps of a loop where it is of one.

        Each with how much less likely it is.
        """
        steps = self.in_every_step(i)
        if len(steps) > 1:
            if steps[0] == i:
                yield {use: operand for j in steps for use in self.uses(j)}, 0.0
            return
        uses = self.uses(i)
        yield dict.fromkeys(uses, operand), 0.0
        if 1 < len(uses) <= 6:
            for use in uses:
                yield {use: operand}, 0.15
        backward = [(e, k) for e, k in uses if self.is_end(e) or self.on_dy(self.result(e))]
        if 1 < len(backward) < len(uses):
            yield dict.fromkeys(backward, operand), 0.1

    def in_every_step(self, i: int) -> list[int]:
        """The values that stand in a loop's steps where this one stands."""
        e = self.program.maker.get(i)
        if e is None or e not in self.steps:
            return [i]
        k = self.equation(e).outputs.index(i)
        return [self.equation(step).outputs[k] for step in self.steps[e]]

    def fitted(self, e: int) -> Callable[[Any], tuple[Any, ...]]:
        """What an array becomes as the result of an equation."""
        shape = self.shape(self.result(e))
        return lambda x: (np.broadcast_to(x, shape),)

    def mask_labels(self, i: int) -> Labels:
        """What a mask left out means."""
        labels = (Mistake.WRONG_MASK, Mistake.MISSING_FACTOR)
        return labels if self.on_floats(i) else (Mistake.PADDING, *labels)


@dataclasses.dataclass(frozen=True)
class Change:
    """What one equation computes instead, and what that means (as in `Meaning`)."""

    what: str
    rule: Rule
    labels: Labels = ()
    more: float = 0.0


def of_value(
    context: Context, i: int, operand: Operand, what: str, labels: Labels = (), more: float = 0.0
) -> Iterator[Edit]:
    """A value replaced, in every scope."""
    for operands, farther in context.scopes(i, operand):
        yield Edit(Meaning(what, more + farther, labels), operands)


def of_equations(
    changes: Callable[[Context, int, str], Iterator[Change]], primitives: frozenset[str], context: Context
) -> Iterator[Edit]:
    """Every equation of some primitives changed, the last first; in all steps of a loop together."""
    for e in reversed(context.live):
        steps = context.steps[e]
        if context.equation(e).name not in primitives or steps[-1] != e:
            continue
        for change in changes(context, e, context.words.equation(e)):
            more = change.more + context.doubt(context.result(e))
            yield Edit(Meaning(change.what, more, change.labels), rules=dict.fromkeys(steps, change.rule))


def function_of(f: Callable[..., Any], *args: Any) -> Operand:
    """A function of an operand, taken instead of it."""
    return lambda values, x: f(x, *args)


def another(i: int) -> Operand:
    """Another value, taken instead of an operand."""
    return lambda values, x: values[i]


def filled(value: Any) -> Operand:
    """One number instead of every entry of an operand."""
    return lambda values, x: np.full_like(x, value)

"""A program at every sample, and what an edit of it answers there."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxbackprop._float64 import Arrays

from .._evidence import Evidence
from ..mistakes import Mistake
from ._interpreter import Equation, Flat, Rule, flatten, plain


class MutantValues:
    """The values of an edited program at one sample, by number: what it changes, and the rest as it was."""

    def __init__(self, original: Sequence[Any]):
        self.original = original
        self.changed: dict[int, Any] = {}

    def __getitem__(self, i: int) -> Any:
        return self.changed[i] if i in self.changed else self.original[i]


Labels = tuple[Mistake, ...]
# Takes the mutant's values, and the operand as it stands; gives the operand that is taken instead.
Operand = Callable[[MutantValues, Any], Any]
# An operand of an equation; the equation after the last is the return.
Use = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What an edit says about the mistake."""

    what: str  # the change, as the rest of a sentence
    more: float = 0.0  # how much less likely it is than the likeliest of its kind
    labels: Labels = ()  # the mistake, likeliest first, where it is not the one that its kind stands for


@dataclasses.dataclass(frozen=True)
class Edit:
    """One change of a program, and what it would mean."""

    meaning: Meaning | None  # what it says about the mistake; None where a number is to be found first
    operands: dict[Use, Operand] = dataclasses.field(default_factory=dict)  # taken instead of operands
    rules: dict[int, Rule] = dataclasses.field(default_factory=dict)  # by equation, what is computed instead
    solve: Solve | None = None  # the family of edits that it is one of

    def touched(self) -> frozenset[int]:
        """The equations it changes."""
        return frozenset({e for e, _ in self.operands} | set(self.rules))


@dataclasses.dataclass(frozen=True)
class Solve:
    """A family of edits with one number, which is to be found."""

    operands: Callable[[float], dict[Use, Operand]]  # the change for a value of the number
    start: float  # where nothing is changed
    meaning: Callable[[float], Meaning]  # what a solution means


class MutantEvaluator:
    """A flat program, evaluated at every sample, with the answers that mutants are held against."""

    def __init__(self, evidence: Evidence, program: Callable[..., Any], own: str, target: str):
        """Traces a program of (leaves, dy) and evaluates it.

        It should answer with the field `own` of a sample, its mutants with `target`. Raises `NotTraceable`
        where jax cannot trace it, `DoesNotFit` where an equation cannot take what it is given.
        """
        samples, wrong = evidence.samples, evidence.wrong
        self.evidence = evidence
        self.flat: Flat = flatten(program, samples[0].leaves, samples[0].dy)
        # The inputs after these are cotangents; the position after the last equation stands for the return.
        self.leaves, self.end = len(samples[0].leaves), len(self.flat.equations)
        # By sample and number; all below by sample and result.
        self.values = [self.flat.evaluate([plain(leaf) for leaf in (*s.leaves, *s.dy)]) for s in samples]
        answers: list[Arrays] = [getattr(s, own) for s in samples]
        self.targets: list[Arrays] = [getattr(s, target) for s in samples]
        pairs = zip(self.targets, answers, strict=True)
        self.gaps = [[_largest(t - a) for t, a in zip(*both, strict=True)] for both in pairs]
        # How far a mutant may be from its target.
        self.tolerance = [
            [
                max(1e-9 * _largest(t), min(_largest(noise), 1e-2 * gap if i in wrong else np.inf), 1e-300)
                for i, (t, noise, gap) in enumerate(zip(targets, s.noise, gaps, strict=True))
            ]
            for s, targets, gaps in zip(samples, self.targets, self.gaps, strict=True)
        ]
        # An edit is tried first where every wrong result is clearly wrong.
        both = zip(self.gaps, self.tolerance, strict=True)
        clear = [all(gaps[i] > 10 * tolerance[i] for i in wrong) for gaps, tolerance in both]
        self.screen = clear.index(True) if any(clear) else 0
        # The equations that a wrong result depends on, and the return; by value, who of these takes it.
        self.live = {*self.flat.needed_for([self.flat.outputs[i] for i in wrong]), self.end}
        uses: dict[int, list[Use]] = {}
        for e, equation in enumerate(self.flat.equations):
            for k, i in enumerate(equation.inputs):
                uses.setdefault(i, []).extend([(e, k)] if e in self.live else [])
        for k in wrong:
            uses.setdefault(self.flat.outputs[k], []).append((self.end, k))
        self.uses = {i: places for i, places in uses.items() if places}
        # By value, the equation that gives it; then the values that depend on a cotangent, or any float.
        self.maker = {i: e for e, equation in enumerate(self.flat.equations) for i in equation.outputs}
        cotangents = range(self.leaves, self.flat.inputs)
        self.on_dy = self.flat.depending_on(cotangents)
        self.on_floats = self.flat.depending_on([*evidence.slots, *cotangents])
        # By sample, whether the program answers there what the evidence says it does.
        judged = zip(self.values, answers, self.gaps, self.tolerance, strict=True)
        self.reproduced = [
            all(
                bool(np.all(np.abs(values[i] - answer[k]) <= 1e-3 * gaps[k] + 10 * tolerance[k]))
                for k, i in enumerate(self.flat.outputs)
            )
            for values, answer, gaps, tolerance in judged
        ]
        # The wrong results first: most mutants miss them.
        self._compared = sorted(range(len(self.flat.outputs)), key=lambda k: k not in wrong)
        self._cancelling = {e for e in range(self.end) if self._cancels(e)}
        self._reached: dict[frozenset[int], tuple[list[int], set[int]]] = {}

    def _cancels(self, e: int) -> bool:
        """Whether a sum is zero at every sample though its terms are not.

        As what reaches the maximum that a softmax subtracts. No derivation follows such a path, and a mutant
        must not open it.
        """
        equation = self.flat.equations[e]
        if equation.name not in ("reduce_sum", "add_any") or equation.outputs[0] not in self.on_dy:
            return False
        total, terms = equation.outputs[0], equation.inputs
        return all(
            np.size(v[total]) > 0 and _largest(v[total]) < 1e-13 * max(_largest(v[i]) for i in terms)
            for v in self.values
        )

    def equation(self, i: int) -> Equation | None:
        """The equation that gives a value; None for inputs and constants."""
        return self.flat.equations[self.maker[i]] if i in self.maker else None

    @functools.cached_property
    def above(self) -> dict[int, set[int]]:
        """For each value, all that it depends on, itself included."""
        found: dict[int, set[int]] = {i: {i} for i in (*range(self.flat.inputs), *self.flat.constants)}
        for equation in self.flat.equations:
            ancestors = set().union(*(found[i] for i in equation.inputs))
            for i in equation.outputs:
                found[i] = ancestors | {i}
        return found

    def names_above(self, i: int) -> set[str]:
        """The primitives that a value is computed by."""
        return {self.flat.equations[self.maker[j]].name for j in self.above[i] if j in self.maker}

    def reached(self, touched: frozenset[int]) -> tuple[list[int], set[int]]:
        """The equations that edits of these ones reach, in order, and which results."""
        if touched not in self._reached:
            changed: set[int] = set()
            order = []
            for e, equation in enumerate(self.flat.equations):
                fed = e in self.live and e not in self._cancelling and changed.intersection(equation.inputs)
                if e in touched or fed:
                    changed.update(equation.outputs)
                    order.append(e)
            results = {k for k, i in enumerate(self.flat.outputs) if i in changed}
            self._reached[touched] = order, results
        return self._reached[touched]

    def answer(self, edit: Edit, sample: int) -> list[Any]:
        """What the edited program answers at a sample; raises `DoesNotFit` where it cannot be evaluated."""
        values = MutantValues(self.values[sample])
        changed, original = values.changed, values.original
        replaced: dict[int, list[tuple[int, Operand]]] = {}
        for (e, k), operand in edit.operands.items():
            replaced.setdefault(e, []).append((k, operand))
        for e in self.reached(edit.touched())[0]:
            equation = self.flat.equations[e]
            taken = [changed[i] if i in changed else original[i] for i in equation.inputs]
            for k, operand in replaced.get(e, ()):
                taken[k] = operand(values, taken[k])
            results = edit.rules.get(e, equation.run)(*taken)
            for i, value in zip(equation.outputs, results, strict=True):
                changed[i] = value
        answers = [values[i] for i in self.flat.outputs]
        for k, operand in replaced.get(self.end, ()):
            answers[k] = operand(values, answers[k])
        return answers

    def reaches_all_wrong(self, edit: Edit) -> bool:
        """Whether every wrong result depends on what the edit changes."""
        results = self.reached(edit.touched())[1] | {k for e, k in edit.operands if e == self.end}
        return results.issuperset(self.evidence.wrong)

    def explains(self, edit: Edit) -> bool:
        """Whether the mutant answers what is looked for, at every sample."""
        for s in sorted(range(len(self.values)), key=lambda s: s != self.screen):
            answers, targets, tolerance = self.answer(edit, s), self.targets[s], self.tolerance[s]
            for k in self._compared:
                fits = np.shape(answers[k]) == targets[k].shape
                if not (fits and _largest(answers[k] - targets[k]) <= tolerance[k]):
                    return False
        return True


def _largest(x: Any) -> float:
    return float(np.max(np.abs(x), initial=0.0))

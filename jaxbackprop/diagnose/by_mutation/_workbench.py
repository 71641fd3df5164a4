"""A program at every sample, and what an edit of it answers there."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxbackprop._float64 import Arrays

from .._evidence import Evidence
from ._interpreter import Equation, Flat, flatten, needed_for, plain, used_by

# Takes the mutant's values by number, and the operand as it stands; gives the operand that is taken instead.
Operand = Callable[[Callable[[int], Any], Any], Any]


@dataclasses.dataclass
class Edit:
    """One change of a program, and what it would mean.

    Attributes:
        labels: the mistake, likeliest first.
        cost: lower is likelier.
        what: the change, as the rest of a sentence.
        operands: by equation and operand, what is taken instead. The equation after the last is the return.
        rules: by equation, what is computed instead.
        solve: the change for a number that is to be found, and labels for it once it is (None: implausible).
        about: the equation the sentence names.
    """

    labels: tuple[str, ...]
    cost: float
    what: str
    operands: dict[tuple[int, int], Operand] = dataclasses.field(default_factory=dict)
    rules: dict[int, Callable[..., tuple[Any, ...]]] = dataclasses.field(default_factory=dict)
    solve: Solve | None = None
    about: int = -1

    def touched(self) -> set[int]:
        """The equations it changes."""
        return {e for e, _ in self.operands} | set(self.rules)


@dataclasses.dataclass(frozen=True)
class Solve:
    """A family of edits with one number.

    Attributes:
        edit: the change for a value of the number.
        null: where nothing is changed.
        near: another value to begin with.
        labels: what a solution means, with its cost and text; None where it is no explanation.
    """

    edit: Callable[[float], Edit]
    null: float
    near: float
    labels: Callable[[float], tuple[tuple[str, ...], float, str] | None]


class Bench:
    """A flat program, evaluated at every sample, with the answers that mutants are held against."""

    def __init__(self, evidence: Evidence, program: Callable[..., Any], own: str, wanted: str):
        first = evidence.samples[0]
        self.evidence = evidence
        self.flat: Flat = flatten(program, first.leaves, first.dy)
        self.leaves = len(first.leaves)
        self.end = len(self.flat.equations)
        self.outputs = self.flat.outputs
        self.values = [
            self.flat.evaluate([plain(leaf) for leaf in (*s.leaves, *s.dy)]) for s in evidence.samples
        ]
        self.targets: list[Arrays] = [getattr(s, wanted) for s in evidence.samples]
        self.scales = [
            [float(np.max(np.abs(t - getattr(s, own)[i]), initial=0.0)) for i, t in enumerate(targets)]
            for s, targets in zip(evidence.samples, self.targets, strict=True)
        ]
        self.tolerance = [
            [
                max(
                    1e-9 * float(np.max(np.abs(t), initial=0.0)),
                    min(
                        float(np.max(s.noise[i], initial=0.0)), 1e-2 * gap if i in evidence.wrong else np.inf
                    ),
                    1e-300,
                )
                for i, (t, gap) in enumerate(zip(targets, gaps, strict=True))
            ]
            for s, targets, gaps in zip(evidence.samples, self.targets, self.scales, strict=True)
        ]
        self.screen = max(
            range(len(evidence.samples)),
            key=lambda s: (
                (min((self.scales[s][i] / self.tolerance[s][i] for i in evidence.wrong), default=0.0) > 10)
                - 0.01 * s
            ),
        )
        uses = used_by(self.flat)
        for k, i in enumerate(self.outputs):
            uses.setdefault(i, []).append((self.end, k))
        wrong = [self.outputs[i] for i in evidence.wrong]
        self.live = set(needed_for(self.flat, wrong)) | {self.end}
        self.uses = {
            i: [(e, k) for e, k in places if e in self.live and (e < self.end or k in evidence.wrong)]
            for i, places in uses.items()
        }
        self.uses = {i: places for i, places in self.uses.items() if places}
        self.maker = {i: e for e, equation in enumerate(self.flat.equations) for i in equation.outputs}
        self.on_dy = self._depending(range(self.leaves, self.flat.inputs))
        self.on_floats = self._depending(evidence.slots) | self.on_dy
        self.frozen = {e for e in range(self.end) if self._cancels(e)}
        self.reproduced = [
            all(
                bool(np.all(np.abs(values[i] - getattr(s, own)[k]) <= 1e-3 * gaps[k] + 10 * tolerance[k]))
                for k, i in enumerate(self.outputs)
            )
            for s, values, gaps, tolerance in zip(
                evidence.samples, self.values, self.scales, self.tolerance, strict=True
            )
        ]
        self.sample = 0  # which one is being answered: operands that bring in other arrays look here
        self._order: dict[Any, tuple[list[int], set[int]]] = {}

    def _cancels(self, e: int) -> bool:
        """Whether a sum is zero at every sample though its terms are not.

        As what reaches the maximum that a softmax subtracts. No derivation follows such a path, and a mutant
        must not open it.
        """
        equation = self.flat.equations[e]
        if equation.name not in ("reduce_sum", "add_any") or equation.outputs[0] not in self.on_dy:
            return False
        return all(
            np.size(values[equation.outputs[0]]) > 0
            and np.max(np.abs(values[equation.outputs[0]]))
            < 1e-13 * max(float(np.max(np.abs(values[i]), initial=0.0)) for i in equation.inputs)
            for values in self.values
        )

    def _depending(self, roots: Sequence[int] | range) -> set[int]:
        found = set(roots)
        for equation in self.flat.equations:
            if found.intersection(equation.inputs):
                found.update(equation.outputs)
        return found

    def equation(self, value: int) -> Equation | None:
        """The equation that gives a value; None for inputs and constants."""
        return self.flat.equations[self.maker[value]] if value in self.maker else None

    @functools.cached_property
    def above(self) -> dict[int, set[int]]:
        """For each value, all that it depends on, itself included."""
        found: dict[int, set[int]] = {}
        for i in (*range(self.flat.inputs), *self.flat.constants):
            found[i] = {i}
        for equation in self.flat.equations:
            ancestors = set().union(*(found[i] for i in equation.inputs)) if equation.inputs else set()
            for i in equation.outputs:
                found[i] = ancestors | {i}
        return found

    def order(self, touched: frozenset[int]) -> tuple[list[int], set[int]]:
        """The equations that edits of these ones reach, in order, and which results."""
        if touched not in self._order:
            changed: set[int] = set()
            reached = []
            for e, equation in enumerate(self.flat.equations):
                if e in touched or e not in self.frozen and changed.intersection(equation.inputs):
                    if e in self.live or e in touched:
                        changed.update(equation.outputs)
                        reached.append(e)
            results = {k for k, i in enumerate(self.outputs) if i in changed}
            self._order[touched] = reached, results
        return self._order[touched]

    def answer(self, edit: Edit, sample: int) -> list[Any]:
        """What the edited program answers at a sample."""
        self.sample = sample
        base = self.values[sample]
        changed: dict[int, Any] = {}

        def get(i: int) -> Any:
            return changed[i] if i in changed else base[i]

        by_equation: dict[int, list[tuple[int, Operand]]] = {}
        for (e, k), operand in edit.operands.items():
            by_equation.setdefault(e, []).append((k, operand))
        equations = self.flat.equations
        for e in self.order(frozenset(edit.touched()))[0]:
            equation = equations[e]
            args = [changed[i] if i in changed else base[i] for i in equation.inputs]
            for k, operand in by_equation.get(e, ()):
                args[k] = operand(get, args[k])
            outputs = edit.rules.get(e, equation.run)(*args)
            for i, value in zip(equation.outputs, outputs, strict=True):
                changed[i] = value
        results = [get(i) for i in self.outputs]
        for k, operand in by_equation.get(self.end, ()):
            results[k] = operand(get, results[k])
        return results

    def reaches_all_wrong(self, edit: Edit) -> bool:
        """Whether every wrong leaf depends on what the edit changes."""
        touched = edit.touched()
        results = self.order(frozenset(touched))[1] | {k for e, k in edit.operands if e == self.end}
        return results.issuperset(self.evidence.wrong)

    def explains(self, edit: Edit, sample: int, results: list[Any] | None = None) -> bool:
        """Whether the mutant answers what is looked for at a sample."""
        results = self.answer(edit, sample) if results is None else results
        wrong = self.evidence.wrong
        targets, tolerance = self.targets[sample], self.tolerance[sample]
        for i in (*wrong, *(i for i in range(len(targets)) if i not in wrong)):
            target = targets[i]
            if np.shape(results[i]) != target.shape:
                return False
            if target.size and not np.max(np.abs(results[i] - target)) <= tolerance[i]:
                return False
        return True

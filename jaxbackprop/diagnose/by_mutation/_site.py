"""Where a program is edited: what its values are, in which places they stand, which equations form a loop."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ._expressions import Words
from ._numpy_rules import RULES
from ._workbench import Bench, Edit, Operand

# Labels, cost, the sentence, and what an equation computes instead.
Change = tuple[tuple[str, ...], float, str, Callable[..., tuple[Any, ...]]]
MOVES = {
    "rev",
    "reshape",
    "transpose",
    "broadcast_in_dim",
    "squeeze",
    "slice",
    "concatenate",
    "pad",
    "step",
    "gather",
}


@dataclasses.dataclass(frozen=True)
class Available:
    """What an edit may bring in.

    Attributes:
        arrays: its value at every sample.
        said: in words.
        on_dy: whether the cotangent is in it.
        given: whether no differentiable argument is in it.
    """

    arrays: list[Any]
    said: str
    on_dy: bool
    given: bool


class Site:
    """One program to be edited.

    Labels depend on which program it is. Where the right one is edited (`repair` false), the edit is the
    mistake; where the wrong rule's own is (`repair` true), the edit undoes the mistake.
    """

    def __init__(self, bench: Bench, *, repair: bool, pool: list[Available]):
        self.bench = bench
        self.repair = repair
        self.words = Words(bench)
        self.pool = pool
        self.flat = bench.flat
        self.wider: list[Available] = []
        # Whether one step of a loop is edited at a time, or all of them together.
        self.singly = False
        self.groups: dict[Any, list[int]] = {}
        self._group_of: dict[int, Any] = {}
        # Equations that one line stands behind though it is no loop: a helper called twice.
        self.twins: dict[int, list[int]] = {}
        for e in sorted(bench.live - {bench.end}):
            self._group_of[e] = self._loop(e)
            self.groups.setdefault(self._group_of[e], []).append(e)
        self._dissolve()

    def _dissolve(self) -> None:
        """Takes apart what is no loop: where none of a line's equations depends on another of that line."""
        flat, above = self.flat, self.bench.above
        lengths = {
            len(g)
            for g in self.groups.values()
            if len(g) > 1
            and all(
                set(flat.equations[a].outputs) & above[flat.equations[b].outputs[0]]
                for a, b in itertools.pairwise(g)
            )
        }
        for key, group in list(self.groups.items()):
            if (
                len(group) > 1
                and flat.equations[group[0]].step < 0
                and not {len(group) - 1, len(group), len(group) + 1} & lengths
            ):
                del self.groups[key]
                self.twins.update(dict.fromkeys(group, group))
                for e in group:
                    self._group_of[e] = ("alone", e)
                    self.groups["alone", e] = [e]

    def _loop(self, e: int) -> Any:
        """What an equation shares with those that stand for it in a loop's other steps."""
        equation = self.flat.equations[e]
        if equation.step >= 0:
            return equation.place
        makers = tuple(
            "constant"
            if i in self.flat.constants
            else maker.name
            if (maker := self.bench.equation(i))
            else "input"
            for i in equation.inputs
        )
        return (equation.place, makers, equation.outputs[0] in self.bench.on_dy)

    def _at(self, i: int) -> Any:
        return self.bench.values[self.bench.screen][i]

    def _float(self, i: int) -> bool:
        v = self._at(i)
        return isinstance(v, np.ndarray | np.generic) and np.asarray(v).dtype.kind == "f"

    def _kind(self, i: int, kinds: str) -> bool:
        v = self._at(i)
        return isinstance(v, np.ndarray | np.generic) and np.asarray(v).dtype.kind in kinds

    def _mask(self, i: int) -> bool:
        """Whether a value holds zeros and ones alone, at every sample, and neither alone."""
        own = [np.asarray(values[i]) for values in self.bench.values if not hasattr(values[i], "unwrap")]
        return (
            all(np.all((v == 0) | (v == 1)) for v in own)
            and len({v.tobytes() for v in own}) > 0
            and any(0 < np.mean(v) < 1 for v in own if v.size)
        )

    def _mask_labels(self, i: int) -> tuple[str, ...]:
        given = i not in self.bench.on_floats
        return ("padding", "wrong mask", "missing factor") if given else ("wrong mask", "missing factor")

    def _on_dy(self, i: int) -> bool:
        return i in self.bench.on_dy

    def _constant(self, i: int) -> bool:
        return i in self.flat.constants or i not in self.bench.on_floats and np.ndim(self._at(i)) == 0

    def _result(self, e: int) -> int:
        return self.flat.equations[e].outputs[0] if e < self.bench.end else -1

    def _values(self) -> Iterator[int]:
        """Every float value that a wrong result depends on, those behind the cotangent last first."""
        found = [i for i in self.bench.uses if self._float(i) and np.size(self._at(i))]
        return iter(sorted(found, key=lambda i: (not self._on_dy(i), -i)))

    def _extra(self, i: int) -> float:
        """Edits of what depends on the cotangent are likelier: backward rules get the forward right."""
        return 0.0 if self._on_dy(i) else 0.1 if self.repair else 0.3

    def _everywhere(self, i: int, operand: Operand) -> dict[tuple[int, int], Operand]:
        return dict.fromkeys(self.bench.uses.get(i, ()), operand)

    def _scopes(self, i: int, operand: Operand) -> Iterator[tuple[dict[tuple[int, int], Operand], float]]:
        """A value replaced everywhere, then in one place only; in all steps of a loop where it is of one."""
        uses = self.bench.uses.get(i, [])
        group = self._alike(i)
        if len(group) > 1:
            if group[0] == i and not self.singly:
                together: dict[tuple[int, int], Operand] = {}
                for j in group:
                    together.update(self._everywhere(j, operand))
                yield together, 0.0
            if not self.singly:
                return
        elif self.singly:
            return
        yield self._everywhere(i, operand), 0.0
        if 1 < len(uses) <= 6:
            for use in uses:
                yield {use: operand}, 0.15
        backward = [(e, k) for e, k in uses if e == self.bench.end or self._on_dy(self._result(e))]
        if 1 < len(backward) < len(uses):
            yield dict.fromkeys(backward, operand), 0.1
        twins = self.twins.get(self.bench.maker.get(i, -1), [])
        if twins and self._result(twins[0]) == i:
            both = [self._everywhere(self._result(e), operand) for e in twins]
            yield {use: operand for uses_of_one in both for use in uses_of_one}, 0.15

    def _alike(self, i: int) -> list[int]:
        """The values that stand in a loop's other steps where this one stands."""
        e = self.bench.maker.get(i)
        if e is None:
            return [i]
        k = self.flat.equations[e].outputs.index(i)
        group = self.groups.get(self._group_of.get(e), [])
        return [self.flat.equations[g].outputs[k] for g in group] or [i]

    def _edit(
        self,
        labels: tuple[str, ...],
        cost: float,
        what: str,
        operands: dict[tuple[int, int], Operand] | None = None,
        rules: dict[int, Callable[..., tuple[Any, ...]]] | None = None,
        about: int = -1,
    ) -> Edit:
        return Edit(labels, cost, what, operands or {}, rules or {}, None, about)

    def _fitted(self, e: int) -> Callable[[Any], tuple[Any, ...]]:
        """What an array becomes as the result of an equation."""
        shape = np.shape(self._at(self.flat.equations[e].outputs[0]))
        return lambda x: (np.broadcast_to(x, shape),)

    def _says(self, what: str, i: int, text: str) -> str:
        return (
            f"{text} has the {what} {self.words.name(i)} too many"
            if self.repair
            else f"{text} lacks the {what} {self.words.name(i)}"
        )

    def _by_rank(self, i: int, labels: tuple[str, ...]) -> tuple[str, ...]:
        """An entry of a sorted array is a winner."""
        ranked = any(
            e is not None and e.name == "sort" for e in map(self.bench.equation, self.bench.above[i])
        )
        return ("wrong winner", *labels) if ranked else labels


def moved(f: Callable[..., Any], *args: Any) -> Operand:
    """A function of one array as what is taken instead of an operand."""
    return lambda get, x: f(x, *args)


def taken(i: int) -> Operand:
    """Another value instead of an operand."""
    return lambda get, x: get(i)


def filled(value: Any) -> Operand:
    """One number instead of every entry of an operand."""
    return lambda get, x: np.full_like(x, value)


def rolled(x: Any, step: int, axis: int) -> Any:
    """Entries moved along an axis, the last first."""
    return np.roll(x, step, axis)


def shifted(x: Any, step: int, axis: int) -> Any:
    """Entries moved along an axis, zeros where none comes."""
    out = np.roll(x, step, axis)
    at = [slice(None)] * out.ndim
    at[axis] = slice(0, step) if step > 0 else slice(step, None)
    out[tuple(at)] = 0
    return out


def numpy_rule(name: str) -> Callable[..., Any]:
    """The rule of another primitive."""
    return RULES[name]

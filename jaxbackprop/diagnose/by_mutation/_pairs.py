"""Edits that bring two values together: one in the other's place, added to it, multiplied with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ._site import MOVES, Available, Site, taken
from ._workbench import Edit, Operand, Solve

_BENDS = {
    "max",
    "min",
    "clamp",
    "abs",
    "sign",
    "tanh",
    "sqrt",
    "rsqrt",
    "log",
    "exp",
    "log1p",
    "pow",
    "reduce_max",
}
_ACTIVATIONS = {
    "tanh",
    "logistic",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "expm1",
    "log1p",
    "sin",
    "cos",
    "erf",
    "square",
}


class Pairs(Site):
    """Edits that take another value that is there."""

    def replaced(self) -> Iterator[Edit]:
        """Another value of the same shape in the place of one."""
        bench = self.bench
        candidates = [
            w for w in range(len(bench.values[0])) if w not in self.flat.constants and self._known(w)
        ]
        by_shape: dict[Any, list[int]] = {}
        seen: set[Any] = set()
        for w in candidates:
            key = tuple(np.asarray(bench.values[s][w]).tobytes() for s in (0, -1))
            if key not in seen:
                seen.add(key)
                by_shape.setdefault(np.shape(self._at(w)), []).append(w)
        for v in self._values():
            for w in by_shape.get(np.shape(self._at(v)), ()):
                if v == w or self._on_dy(w) and not self._on_dy(v) and not self.repair:
                    continue
                labels, cost, what = self.relation(v, w)
                operand = taken(w)
                ancestors = bench.above[w]
                uses = [
                    (e, k)
                    for e, k in bench.uses.get(v, ())
                    if e == bench.end or not ancestors.intersection(self.flat.equations[e].outputs)
                ]
                if not uses:
                    continue
                scopes = [(uses, 0.0)]
                if 1 < len(uses) <= 6:
                    scopes += [([u], 0.15) for u in uses]
                for chosen, more in scopes:
                    yield self._edit(
                        labels,
                        cost + more + (0.0 if self.repair else self._extra(v)),
                        what,
                        dict.fromkeys(chosen, operand),
                        about=chosen[0][0],
                    )

    def _known(self, w: int) -> bool:
        return all(values[w] is not None for values in self.bench.values) and self._float(w)

    def columns(self) -> Iterator[Edit]:
        """In all steps of a loop at once, what stands there in another step or on another line."""
        loops = [g for g in self.groups.values() if len(g) > 1]
        columns: dict[tuple[int, ...], None] = {}
        places: list[tuple[list[int], int, tuple[int, ...]]] = []
        for group in loops:
            group = sorted(group, key=lambda e: self.flat.equations[e].step)
            for k in range(len(self.flat.equations[group[0]].inputs)):
                column = tuple(self.flat.equations[e].inputs[k] for e in group)
                if all(map(self._float, column)):
                    places.append((group, k, column))
                    columns[column] = None
            made = tuple(self._result(e) for e in group)
            if all(map(self._float, made)):
                columns[made] = None
        for group, k, column in places:
            others = [c for c in columns if c != column and len(c) == len(column)]
            if len(set(column)) > 1:
                others += [(column[0],) * len(column), (column[-1],) * len(column)]
                others += [column[1:] + column[-1:], column[:1] + column[:-1]]
            for other in others:
                if any(
                    np.shape(self._at(i)) != np.shape(self._at(j)) for i, j in zip(column, other, strict=True)
                ):
                    continue
                if any(self._on_dy(j) and not self._on_dy(i) for i, j in zip(column, other, strict=True)):
                    continue
                labels, cost, what = self._column_relation(column, other)
                operands: dict[tuple[int, int], Operand] = {
                    (e, k): taken(j) for e, j in zip(group, other, strict=True)
                }
                yield self._edit(labels, cost, what, operands, about=group[0])

    def _column_relation(
        self, column: tuple[int, ...], other: tuple[int, ...]
    ) -> tuple[tuple[str, ...], float, str]:
        wrong, right = (column, other) if self.repair else (other, column)
        said = f"{self.words.name(wrong[-1])} stands where {self.words.name(right[-1])} should, in every step"
        overlap = wrong[1:] == right[:-1] or wrong[:-1] == right[1:]
        if overlap:
            return ("time shift", "off by one"), 1.0, said
        if len(set(wrong)) == 1:
            return ("stale residual", "time shift"), 1.1, said
        labels, cost, said = self.relation(column[-1], other[-1])
        return labels, cost + 0.1, said + ", in every step"

    def relation(self, v: int, w: int) -> tuple[tuple[str, ...], float, str]:
        """What it means that v stands where w should (repair), or w where v should."""
        wrong, right = (v, w) if self.repair else (w, v)
        above = self.bench.above
        said = f"{self.words.name(wrong)} stands where {self.words.name(right)} should"
        flat = self.flat
        pairs = [(values[wrong], values[right]) for values in self.bench.values]
        if all(np.size(a) and np.max(np.abs(a - b)) < 0.02 * np.max(np.abs(b)) for a, b in pairs):
            return ("small constant",), 1.0, said
        if wrong in above[right] and wrong != right:  # an earlier value was taken
            between = self.words.between(wrong, right)
            names = {flat.equations[e].name for e in between}
            if len(between) <= 6:
                if names <= MOVES | {"concatenate"}:
                    return self._moves(names), 1.05, said
                found = self._by_path(wrong, right, between, names)
                if found:
                    return found[0], found[1], said
            if right in self.words.results and wrong < flat.inputs:
                return ("input for output", "stale residual"), 1.05, said
            if right in self.words.results:
                return ("stale residual", "input for output"), 1.1, said
            if names <= _ACTIVATIONS:
                return ("input for output", "stale residual"), 1.1, said
            if wrong < flat.inputs:
                return ("stale residual", "input for output"), 1.1, said
            return ("stale residual", "input for output", "missing factor"), 1.25, said
        if right in above[wrong]:  # a later value was taken
            between = self.words.between(right, wrong)
            names = {flat.equations[e].name for e in between}
            if names <= MOVES:
                return self._moves(names), 1.05, said
            if self._on_dy(right) and names & _BENDS:
                return ("non-linear in cotangent",), 1.0, said
            if self._same_line(wrong, right) and not self._on_dy(wrong):
                return ("time shift", "output for input"), 1.1, said
            if self._on_dy(wrong) and self._on_dy(right):
                if (
                    names <= {"reduce_sum", "broadcast_in_dim", "reshape", "mul", "div"}
                    and "reduce_sum" in names
                ):
                    return ("extra sum",), 1.0, said
                return ("wrong derivative formula", "missing factor"), 1.5, said
            if wrong in self.words.results and right < flat.inputs:
                if "dot_general" in names:
                    return ("output for input", "time shift"), 1.05, said
                return ("output for input",), 1.05, said
            if names <= {"reduce_sum", "broadcast_in_dim", "reshape"} and "reduce_sum" in names:
                return ("extra sum",), 1.0, said
            return ("output for input", "stale residual"), 1.25, said
        if self._on_dy(wrong) != self._on_dy(right):
            return ("upstream ignored",) if self._on_dy(right) else ("wrong derivative formula",), 1.6, said
        if flat.loops and self._same_line(wrong, right):
            return ("time shift", "off by one"), 1.2, said
        if wrong < flat.inputs and right < flat.inputs:
            return ("arguments swapped", "stale residual"), 1.5, said
        if self._on_dy(wrong):
            return ("path forgotten", "wrong derivative formula"), 1.6, said
        return ("stale residual", "wrong derivative formula"), 1.5, said

    @staticmethod
    def _moves(names: set[str]) -> tuple[str, ...]:
        if "transpose" in names:
            return ("missing transpose", "transposed result")
        if "rev" in names:
            return ("order reversed", "off by one")
        return ("off by one", "time shift")

    def _same_line(self, i: int, j: int) -> bool:
        e, f = self.bench.equation(i), self.bench.equation(j)
        return e is not None and f is not None and e.place == f.place

    def _by_path(
        self, start: int, stop: int, between: list[int], names: set[str]
    ) -> tuple[tuple[str, ...], float] | None:
        """The label where the right value is the wrong one and a little more."""
        flat = self.flat
        dy = self._on_dy(start)
        light = {"broadcast_in_dim", "reshape", "convert_element_type", "squeeze"}
        core = names - light
        others = (
            {i for e in between for i in flat.equations[e].inputs}
            - {start}
            - {o for e in between for o in flat.equations[e].outputs}
        )
        constant = all(
            self._constant(i) or i not in self.bench.on_floats and not np.ndim(self._at(i)) for i in others
        )
        if core <= {"mul", "div", "sub", "add"} and constant and core:
            if core <= {"mul", "div"}:
                return ("constant factor",), 1.1
            sizes = [abs(float(np.max(self._at(i)))) for i in others]
            if max(sizes, default=1.0) < 0.02:
                return ("small constant",), 1.0
            return ("smoothing forgotten", "missing term", "wrong derivative formula"), 1.05
        if "select_n" in core or core == {"mul"} and any(map(self._mask, others)):
            masks = [i for i in others if self._mask(i) or self._kind(i, "b")]
            given = all(i not in self.bench.on_floats for i in masks)
            if start < flat.inputs and not dy:
                return ("stale residual", "wrong mask", "padding"), 1.1
            return ("padding", "wrong mask", "missing factor") if given else (
                "wrong mask",
                "missing factor",
            ), 1.1
        if core == {"mul"} or core == {"div"}:
            return (
                ("stale residual", "missing factor")
                if start < flat.inputs and not dy
                else ("missing factor",)
            ), 1.1
        if core <= {"div", "reduce_sum"} and "div" in core and "reduce_sum" in core:
            return ("unnormalised", "missing factor"), 0.9
        if (
            core <= {"div", "reduce_sum", "exp", "sub", "reduce_max", "max", "stop_gradient"}
            and "exp" in core
            and "div" in core
        ):
            return ("input for output", "unnormalised", "stale residual"), 1.1
        if core <= {"add", "sub", "add_any"} and core:
            return (("path forgotten", "missing term") if dy else ("stale residual", "missing term")), 1.1
        if core == {"reduce_sum"}:
            return ("diagonal only", "missing sum"), 1.0
        if core == {"transpose"}:
            return ("missing transpose", "transposed result"), 0.95
        if core == {"rev"}:
            return ("order reversed",), 1.0
        if dy and core <= {"mul", "div", "sub", "add", "add_any", "neg", "integer_pow", "square"}:
            if any(self._on_dy(i) and start not in self.bench.above[i] for i in others) or self._branches(
                between
            ):
                return ("path forgotten", "missing term", "missing factor"), 1.15
            return ("missing factor", "wrong derivative formula", "path forgotten"), 1.1
        if dy:
            return ("missing factor", "path forgotten"), 1.4
        return None

    def _branches(self, between: list[int]) -> bool:
        """Whether autodiff's fan-in adds terms that share no line of the source."""
        found = [self.flat.equations[e] for e in between if self.flat.equations[e].name == "add_any"]
        return any(
            len({maker.place[2:] for i in e.inputs if (maker := self.bench.equation(i)) is not None}) > 1
            for e in found
        )

    def combined(self, *, wide: bool = False) -> Iterator[Edit]:
        """A value that is available added, or multiplied with, or divided by."""
        for v in self._values():
            if v in self.flat.constants:
                continue
            shape = np.shape(self._at(v))
            for other in self.wider if wide else self.pool:
                u_dy, said = other.on_dy, other.said
                for fitted in _fit(other.arrays, shape):
                    for op in ("+", "*", "/"):
                        if op == "+" and u_dy != self._on_dy(v) or op == "/" and u_dy:
                            continue
                        labels, cost = self._joined(op, other)
                        yield self._combined(
                            v, op, fitted, labels, cost + self._extra(v) + (0.1 if wide else 0.0), said
                        )

    def combined_wider(self) -> Iterator[Edit]:
        """As `combined`, with sums and functions of what is available."""
        if self.repair:
            yield from self.combined(wide=True)

    def _joined(self, op: str, other: Available) -> tuple[tuple[str, ...], float]:
        if op == "+":
            return (("missing term", "path forgotten") if self.repair else ("wrong derivative formula",)), 1.2
        if not self.repair:
            return (("upstream squared",) if other.on_dy else ("wrong derivative formula",)), 1.4
        if other.on_dy:
            return ("upstream ignored", "missing factor"), 1.2
        if all(np.all((a == 0) | (a == 1)) for a in other.arrays):
            return (
                ("padding", "wrong mask", "missing factor")
                if other.given
                else ("wrong mask", "missing factor")
            ), 1.1
        return ("missing factor",), 1.15 if op == "*" else 1.2

    def _combined(
        self, v: int, op: str, fitted: list[Any], labels: tuple[str, ...], cost: float, said: str
    ) -> Edit:
        bench = self.bench
        function: Any = {"+": np.add, "*": np.multiply, "/": np.divide}[op]
        name = self.words.name(v)
        word = {"+": "term", "*": "factor", "/": "divisor"}[op]
        what = f"{name} lacks the {word} {said}" if self.repair else f"{name} has the {word} {said} too many"

        def operand(get: Callable[[int], Any], x: Any) -> Any:
            return function(x, fitted[bench.sample])

        made = self._edit(labels, cost, what, self._everywhere(v, operand), about=bench.maker.get(v, -1))
        if op == "+":

            def scaled(c: float) -> Edit:
                return self._edit((), 0, "", self._everywhere(v, lambda get, x: x + c * fitted[bench.sample]))

            made.solve = Solve(
                scaled, 0.0, 1.0, lambda c: (labels, cost + (0.0 if abs(abs(c) - 1) < 1e-6 else 0.25), what)
            )
        return made


def _fit(arrays: list[Any], shape: tuple[int, ...]) -> Iterator[list[Any]]:
    """Arrays as they broadcast to a shape, in every way that keeps the order of axes."""
    own = arrays[0].shape
    if own == shape:
        yield arrays
    elif arrays[0].size == 1:
        yield [a.reshape(()) for a in arrays]
    elif len(own) == len(shape) and all(a in (1, b) for a, b in zip(own, shape, strict=True)):
        yield arrays
    elif len(own) < len(shape):
        for dims in itertools.combinations(range(len(shape)), len(own)):
            if all(shape[d] == n for d, n in zip(dims, own, strict=True)):
                spread = [shape[d] if d in dims else 1 for d in range(len(shape))]
                yield [a.reshape(spread) for a in arrays]

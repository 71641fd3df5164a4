"""Edits of one value wherever it is used: its sign, its order, its place, its sum, nothing in its stead."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ._arithmetic import BY_NAME
from ._equations import Equations
from ._site import MOVES, filled, moved, rolled, shifted
from ._workbench import Edit


class Values(Equations):
    """Edits that change a value, and those of equations."""

    def unary(self) -> Iterator[Edit]:
        """A value negated, transposed, reversed, shifted, summed, zeroed."""
        for i in self._values():
            cost, name = self._extra(i), self.words.name(i)
            shape = np.shape(self._at(i))
            uses = self.bench.uses.get(i, [])
            if self._constant(i) and not shape:
                continue
            into_dot = any(
                e < self.bench.end and self.flat.equations[e].name == "dot_general" for e, _ in uses
            )
            final = all(e == self.bench.end for e, _ in uses)
            deciding = {"argmax", "argmin", "sort", "gt", "lt", "ge", "le", "eq", "reduce_max", "reduce_min"}
            blind = all(e < self.bench.end and self.flat.equations[e].name in deciding for e, _ in uses)
            for operands, more in self._scopes(i, lambda get, x: -x) if not blind else ():
                yield self._edit(("sign",), 1.0 + cost + more, f"the sign of {name} is flipped", operands)
            for a, b in itertools.combinations(range(len(shape)), 2):
                if shape[a] == shape[b] > 1:
                    label = "transposed result" if final else "missing transpose"
                    flat = any(np.all(np.ptp(self._at(i), axis=d) == 0) for d in (a, b))
                    label = "wrong axis" if flat else label
                    operand = moved(np.swapaxes, a, b)
                    far = 0.0 if final or into_dot else 0.4
                    for operands, more in self._scopes(i, operand):
                        yield self._edit(
                            (label,),
                            0.9 + 0.3 * cost + more + far,
                            f"{name} is not transposed as it should be",
                            operands,
                        )

            def zero(get: Callable[[int], Any], x: Any) -> Any:
                return np.zeros_like(x)

            for operands, more in self._scopes(i, zero):
                labels = self._zero_labels(i, final)
                price = 0.9 if labels[0] == "output ignored" and not more else 1.15
                yield self._edit(labels, price + cost + more, self._zero_words(i), operands)
            if self._on_dy(i) and not self.repair:
                for operands, more in self._scopes(i, filled(1)):
                    ones = (
                        ("upstream ignored",) if self._moved_dy(i) else ("missing factor", "upstream ignored")
                    )
                    yield self._edit(ones, 1.2 + cost + more, f"{name} is taken as one", operands)
        for e in sorted(self.bench.live - {self.bench.end}, reverse=True):
            yield from self._of_equation(e)
        yield from self._integers()
        if not self.singly:
            yield from self._axes()
            for e in sorted(self.bench.live - {self.bench.end}):
                yield from self._unsummed(e)
                yield from self._in_other_order(e)

    def moved(self) -> Iterator[Edit]:
        """A value shifted, reversed or summed along an axis; normalised, or a function of itself."""
        for i in self._values():
            for axis, n in enumerate(np.shape(self._at(i))):
                if n > 1:
                    yield from self._along(i, axis, n, self._extra(i))
        if self.repair and not self.singly:
            yield from self._inserted()

    def steps(self) -> Iterator[Edit]:
        """What `unary` does to all steps of a loop, to one at a time."""
        if any(len(g) > 1 for g in self.groups.values()):
            self.singly = True
            yield from self.unary()
            yield from self.moved()

    def _inserted(self) -> Iterator[Edit]:
        """A value normalised, or replaced by a function of itself, or by one minus itself."""
        functions: list[tuple[str, Callable[[Any], Any]]] = [
            ("exp", np.exp),
            ("log", np.log),
            ("sqrt", np.sqrt),
            ("square", np.square),
            ("tanh", np.tanh),
            ("sigmoid", BY_NAME["logistic"]),
            ("one over", BY_NAME["one over"]),
            ("one minus", lambda x: 1 - x),
            ("one plus", lambda x: 1 + x),
            ("one minus square", lambda x: 1 - x * x),
            ("cos", np.cos),
            ("sin", np.sin),
            ("x(1-x)", lambda x: x * (1 - x)),
            ("sech²", lambda x: 1 - np.tanh(x) ** 2),
            ("sign", np.sign),
            ("abs", np.abs),
            ("cube", lambda x: x**3),
            ("half", lambda x: x * np.abs(x)),
        ]
        for i in self._values():
            if self._constant(i) or self._on_dy(i):
                continue
            name, x = self.words.name(i), np.asarray(self._at(i))
            if np.all(x >= 0):
                for axis in range(x.ndim):
                    for operands, more in self._scopes(i, moved(_normalised, axis)):
                        label = ("wrong winner",) if self._mask(i) else ("unnormalised", "missing factor")
                        yield self._edit(label, 0.95 + more, f"{name} is not normalised", operands)
            for said, f in functions:
                for operands, more in self._scopes(i, moved(f)):
                    yield self._edit(
                        ("wrong derivative formula",), 1.25 + more, f"{said} of {name} is due", operands
                    )

    def _moved_dy(self, i: int) -> bool:
        """Whether a value is the cotangent itself, its entries moved about."""
        while i >= self.flat.inputs:
            maker = self.bench.equation(i)
            if maker is None or maker.name not in MOVES:
                return False
            i = maker.inputs[0]
        return i >= self.bench.leaves

    def _zero_labels(self, i: int, final: bool) -> tuple[str, ...]:
        if self.repair:
            piece = (maker := self.bench.equation(i)) is not None and maker.name == "slice"
            return ("padding", "off by one") if piece else ("wrong derivative formula", "padding")
        if final:
            return ("detached",)
        if self.bench.leaves <= i < self.flat.inputs and self.flat.inputs - self.bench.leaves > 1:
            return ("output ignored",)
        return ("path forgotten", "missing term") if self._on_dy(i) else ("missing term", "path forgotten")

    def _zero_words(self, i: int) -> str:
        if self.repair:
            return f"the term {self.words.name(i)} should not be there"
        return f"what comes through {self.words.name(i)} is left out"

    def _along(self, i: int, axis: int, n: int, cost: float) -> Iterator[Edit]:
        name = self.words.name(i)
        for operands, more in self._scopes(i, moved(lambda x: np.flip(x, axis))):
            yield self._edit(
                ("order reversed",),
                1.1 + cost + more,
                f"{name} is in reversed order along axis {axis}",
                operands,
            )
        timed = self.flat.loops and axis == 0
        labels = ("time shift", "off by one") if timed else ("off by one", "time shift")
        for step in (1, -1):
            for move in (rolled, shifted):
                for operands, more in self._scopes(i, moved(move, step, axis)):
                    yield self._edit(
                        labels, 1.2 + cost + more, f"{name} is shifted by one along axis {axis}", operands
                    )
        for how, f in (("summed", np.sum), ("averaged", np.mean)):
            operand = moved(_spread, f, axis)
            label = "missing sum" if self.repair else "extra sum"
            for operands, more in self._scopes(i, operand):
                text = (
                    f"{name} is not {how} over axis {axis}"
                    if self.repair
                    else f"{name} is {how} over axis {axis}"
                )
                yield self._edit((label,), 1.25 + cost + more, text, operands)
        for kept in (0, n - 1):

            def edge(x: Any, kept: int = kept) -> Any:
                out = np.array(x)
                out[(slice(None),) * axis + (kept,)] = 0
                return out

            spoilt = ("time shift", "partly wrong") if timed else ("partly wrong",)
            for operands, more in self._scopes(i, moved(edge)):
                yield self._edit(
                    ("padding", "off by one") if self.repair else spoilt,
                    1.35 + cost + more,
                    f"entry {kept} of {name} along axis {axis} counts wrongly",
                    operands,
                )

    def _integers(self) -> Iterator[Edit]:
        """Indices, labels and winners shifted by one; conditions inverted."""
        for i in list(self.bench.uses):
            if self._kind(i, "i") and i not in self.flat.constants:
                for d in (1, -1):
                    for operands, more in self._scopes(i, moved(_stepped, d)):
                        yield self._edit(
                            self._by_rank(i, ("off by one", "wrong winner")),
                            1.0 + more,
                            f"{self.words.name(i)} is shifted by one",
                            operands,
                        )
            elif self._kind(i, "b"):
                for operands, more in self._scopes(i, lambda get, x: ~np.asarray(x)):
                    yield self._edit(
                        ("wrong mask",),
                        1.0 + more,
                        f"the condition {self.words.name(i)} is inverted",
                        operands,
                    )
                for value in (False, True):
                    labels = self._mask_labels(i) if not self._on_dy(i) else ("wrong mask",)
                    for operands, more in self._scopes(i, filled(value)):
                        yield self._edit(
                            labels, 1.1 + more, f"the condition {self.words.name(i)} is not heeded", operands
                        )


def _normalised(x: Any, axis: int) -> Any:
    return x / np.sum(x, axis, keepdims=True)


def _spread(x: Any, reduction: Callable[..., Any], axis: int) -> Any:
    return np.broadcast_to(reduction(x, axis=axis, keepdims=True), x.shape)


def _stepped(x: Any, step: int) -> Any:
    return x + np.asarray(step, x.dtype)

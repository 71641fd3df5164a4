"""Edits with a number that is found: a constant of another value, a factor, an epsilon."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ._site import Site
from ._workbench import Edit, Solve

_SMALL = 0.02


class Numbers(Site):
    """Edits that are a family with one number."""

    def constants(self) -> list[tuple[int, float]]:
        """The scalar constants that a wrong result depends on."""
        return [
            (i, float(self._at(i)))
            for i in self.bench.uses
            if i in self.flat.constants
            and self._float(i)
            and np.ndim(self._at(i)) == 0
            and 1e-12 < abs(self._at(i)) < 1e12
        ]

    def solved(self) -> Iterator[Edit]:
        """A constant of another value, a value off by a factor, an epsilon left out."""
        for i in list(self.bench.uses):
            if i in self.flat.constants and self._float(i) and np.ndim(self._at(i)) == 0:
                old = float(self._at(i))
                if np.isfinite(old):
                    for uses in {tuple(self.bench.uses[i]), *((u,) for u in self.bench.uses[i][:6])}:
                        yield self._solved_constant(i, old, uses)
        for i in self._values():
            if i in self.flat.constants:
                continue
            yield self._solved_factor(i)
        for e in sorted(self.bench.live - {self.bench.end}):
            eq = self.flat.equations[e]
            k = {"sqrt": 0, "rsqrt": 0, "log": 0, "div": 1, "pow": 0, "integer_pow": 0}.get(eq.name)
            if k is not None and self._float(eq.inputs[k]) and not self._on_dy(eq.inputs[k]):
                yield self._solved_shift(e, k)

    def _solved_constant(self, i: int, old: float, uses: tuple[tuple[int, int], ...]) -> Edit:
        names = {self.flat.equations[e].name for e, _ in uses if e < self.bench.end}

        def edit(c: float) -> Edit:
            return self._edit((), 0, "", dict.fromkeys(uses, lambda get, x: np.asarray(c)))

        def labels(c: float) -> tuple[tuple[str, ...], float, str] | None:
            wrong, right = (old, c) if self.repair else (c, old)
            says = f"the constant {wrong:.6g} should be {right:.6g}"
            if old != 1 and abs(c - old) <= _SMALL * max(abs(old), abs(c)) or max(abs(c), abs(old)) < 1e-3:
                return ("small constant",), 0.9, says
            if names <= {"mul", "div"}:
                if wrong == 0:
                    return ("path forgotten", "missing term"), 1.1, says
                after = {
                    self.flat.equations[f].name
                    for e, _ in uses
                    for f, _ in self.bench.uses.get(self._result(e), ())
                    if f < self.bench.end
                }
                if "select_n" in after:
                    return ("partly wrong", "constant factor", "wrong derivative formula"), 1.1, says
                return ("constant factor", "wrong derivative formula"), 1.1, says
            if names <= {"gt", "lt", "ge", "le", "max", "min", "clamp"}:
                return ("wrong mask",), 1.2, says
            return ("wrong derivative formula", "constant factor"), 1.35, says

        solve = Solve(edit, old, old * 1.01 + (1e-3 if old == 0 else 0), labels)
        return Edit((), 0.9, "", dict(edit(old).operands), {}, solve, uses[0][0])

    def _solved_factor(self, i: int) -> Edit:
        def edit(c: float) -> Edit:
            return self._edit((), 0, "", self._everywhere(i, lambda get, x: c * x))

        def labels(c: float) -> tuple[tuple[str, ...], float, str] | None:
            if abs(c) < 1e-9 or abs(c) > 1e9:
                return None
            factor = 1 / c if self.repair else c
            says = f"{self.words.name(i)} is {factor:.6g} times what it should be"
            if abs(factor + 1) < 1e-6:
                return ("sign",), 1.05 + self._extra(i), says
            if abs(factor - 1) < 0.02:
                return ("small constant",), 1.1 + self._extra(i), says
            after = {self.flat.equations[e].name for e, _ in self.bench.uses[i] if e < self.bench.end}
            if after == {"select_n"}:
                return ("partly wrong", "constant factor"), 1.05 + self._extra(i), says
            return ("constant factor",), 1.05 + self._extra(i), says

        return Edit(
            (),
            1.05,
            "",
            dict(edit(1.0).operands),
            {},
            Solve(edit, 1.0, 0.5, labels),
            self.bench.maker.get(i, -1),
        )

    def _solved_shift(self, e: int, k: int) -> Edit:
        scale = float(np.mean(np.abs(self._at(self.flat.equations[e].inputs[k]))))

        def edit(c: float) -> Edit:
            group = self.groups.get(self._group_of.get(e), [e])
            return self._edit((), 0, "", {(g, k): lambda get, x: x + c for g in group})

        def labels(c: float) -> tuple[tuple[str, ...], float, str] | None:
            beside = self.words.name(self.flat.equations[e].inputs[k])
            says = f"{c if self.repair else -c:.6g} is left out beside {beside}"
            if abs(c) < 0.05 * scale or abs(c) < 1e-2:
                return ("small constant",), 0.95, says
            return ("wrong derivative formula", "missing term"), 1.3, says

        return Edit((), 0.95, "", dict(edit(0.0).operands), {}, Solve(edit, 0.0, 1e-4 * scale, labels), e)

"""Edits of one equation, by its primitive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ._arithmetic import FUNCTIONS, Arithmetic
from ._layout import Layout
from ._masks import Masks
from ._site import Change
from ._workbench import Edit

_METHODS = {
    **dict.fromkeys(("mul", "div"), "_products"),
    **dict.fromkeys(("add", "sub", "add_any"), "_terms"),
    **dict.fromkeys(FUNCTIONS, "_functions"),
    "integer_pow": "_powers",
    "pow": "_real_powers",
    "select_n": "_cases",
    **dict.fromkeys(("gt", "ge", "lt", "le", "eq"), "_comparisons"),
    **dict.fromkeys(("and", "or"), "_conditions"),
    **dict.fromkeys(("max", "min", "clamp"), "_bounds"),
    **dict.fromkeys(("reduce_max", "reduce_min", "argmax", "argmin"), "_extremes"),
    "reduce_sum": "_other_sums",
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin"), "_running_sums"),
    **dict.fromkeys(("scatter-add", "scatter_add"), "_accumulations"),
    "scatter": "_settings",
    "slice": "_other_slices",
    "pad": "_pads",
    **dict.fromkeys(("concatenate", "stack"), "_pieces"),
    **dict.fromkeys(("split", "unstack"), "_splits"),
    "rev": "_reversals",
    "transpose": "_transposes",
    "broadcast_in_dim": "_other_broadcasts",
}
# What the result must be made of, where the primitive does not say.
_NEEDED = {**dict.fromkeys(("mul", "div", "add", "sub", "add_any"), "f"), "and": "b", "or": "b"}


class Equations(Arithmetic, Masks, Layout):
    """Edits that change what an equation computes."""

    def _of_equation(self, e: int) -> Iterator[Edit]:
        group = self.groups.get(self._group_of.get(e), [e])
        if len(group) > 1 and not self.singly and group[-1] != e:
            return
        for labels, cost, what, rule in self._rules(e):
            result = self._result(e)
            cost += self._extra(result)
            group = self.groups.get(self._group_of.get(e), [e])
            if len(group) > 1 and not self.singly:
                rules = dict.fromkeys(group, rule)
                yield self._edit(labels, cost, what, rules=rules, about=e)
            elif (len(group) > 1) == self.singly:
                yield self._edit(
                    labels, cost + (0.15 if len(group) > 1 else 0), what, rules={e: rule}, about=e
                )
                twins = self.twins.get(e, [])
                if twins and twins[0] == e:
                    yield self._edit(labels, cost + 0.15, what, rules=dict.fromkeys(twins, rule), about=e)

    def _rules(self, e: int) -> Iterator[Change]:
        equation = self.flat.equations[e]
        name = equation.name
        if name in ("add", "sub", "add_any") and equation.inputs[0] == equation.inputs[1]:
            return self._doubled(e, self.words.equation(e))
        needed = _NEEDED.get(name, "")
        if name in _METHODS and (not needed or self._kind(equation.outputs[0], needed)):
            return getattr(self, _METHODS[name])(e, self.words.equation(e))
        return iter(())

    def _in_other_order(self, e: int) -> Iterator[Edit]:
        """A constant added before a function of one entry instead of after it, or the reverse."""
        eq = self.flat.equations[e]
        single = {*FUNCTIONS, "integer_pow", "pow"}

        def constants(i: int) -> int | None:
            maker = self.bench.equation(i)
            if maker is None or maker.name not in ("add", "sub"):
                return None
            return next(
                (k for k in (0, 1) if self._constant(maker.inputs[k]) and self._float(maker.inputs[1 - k])),
                None,
            )

        if eq.name in single or eq.name == "mul" and eq.inputs[0] == eq.inputs[1]:
            k = constants(eq.inputs[0])
            inner = self.bench.equation(eq.inputs[0])
            if k is None or inner is None:
                return
            count, first, other = len(eq.inputs), inner, 1 - k

            def swapped(x: Any, *rest: Any) -> tuple[Any, ...]:
                return (x,)

            def operand(get: Callable[[int], Any], _: Any) -> Any:
                args = [get(i) for i in first.inputs]
                rest = [get(i) for i in eq.inputs[1:]] if eq.name == "pow" else [args[other]] * (count - 1)
                args[other] = eq.run(args[other], *rest)[0]
                return first.run(*args)[0]

            yield self._edit(
                ("wrong derivative formula",),
                1.2,
                f"{self.words.equation(e)} adds its constant on the wrong side",
                {(e, 0): operand},
                {e: swapped},
                e,
            )
        k = constants(eq.outputs[0])
        if k is not None:
            inner = self.bench.equation(eq.inputs[1 - k])
            if inner is None or not (
                inner.name in {*FUNCTIONS, "integer_pow"}
                or inner.name == "mul"
                and inner.inputs[0] == inner.inputs[1]
            ):
                return
            last = inner

            def outer(get: Callable[[int], Any], x: Any) -> Any:
                return get(last.inputs[0])

            def composed(*args: Any) -> tuple[Any, ...]:
                return last.run(*[eq.run(*args)[0]] * len(last.inputs))

            yield self._edit(
                ("wrong derivative formula",),
                1.2,
                f"{self.words.equation(e)} adds its constant on the wrong side",
                {(e, 1 - k): outer},
                {e: composed},
                e,
            )

    def simple(self) -> list[Edit]:
        """Edits that are tried in pairs: terms, factors, signs, sums and transposes of the backward part."""
        kinds = {
            "missing term",
            "path forgotten",
            "missing factor",
            "sign",
            "missing transpose",
            "diagonal only",
        }
        kinds |= {"stale residual", "input for output"}
        found = []
        for e in sorted(self.bench.live - {self.bench.end}, reverse=True):
            found += [
                edit
                for edit in self._of_equation(e)
                if edit.labels[0] in kinds and edit.cost < (1.2 if not self.repair else 1.45)
            ]
        return found[:60]

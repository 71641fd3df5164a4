"""Edits of one equation: masks, comparisons, bounds, winners."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._site import Change, Site

_OPPOSITE = {"gt": "less", "ge": "less_equal", "lt": "greater", "le": "greater_equal", "eq": "not_equal"}


class Masks(Site):
    """Edits of what decides which entries count."""

    def _cases(self, e: int, text: str) -> Iterator[Change]:
        """Cases exchanged, or the mask not heeded."""
        if len(self.flat.equations[e].inputs) != 3:
            return
        eq = self.flat.equations[e]
        inputs = eq.inputs
        fit = self._fitted(e)
        given = inputs[0] not in self.bench.on_floats
        both = ("padding", "wrong mask") if given else ("wrong mask", "wrong winner")
        chosen = [np.asarray(values[inputs[0]]) for values in self.bench.values]
        idle = 0.7 if all(np.all(c) for c in chosen) or not any(np.any(c) for c in chosen) else 0.0
        yield (
            ("wrong mask", *both[:1]),
            0.95 + idle,
            f"the cases of {text} are exchanged",
            lambda p, x, y: fit(np.where(p, x, y)),
        )
        for case in (1, 2):
            stale = given and not self.repair and inputs[case] < self.bench.leaves
            yield (
                ("stale residual", *both) if stale else both,
                1.0 + idle,
                f"{text} lacks its mask" if not self.repair else f"{text} has a mask too many",
                lambda *x, c=case: fit(x[c]),
            )

    def _comparisons(self, e: int, text: str) -> Iterator[Change]:
        """A comparison turned round, or with another bound."""
        eq = self.flat.equations[e]
        name = eq.name
        inputs = eq.inputs
        fit = self._fitted(e)
        compare = getattr(np, _OPPOSITE[name])
        if name == "eq" and not self.repair:
            yield from self._other_winners(e, text)
        yield (
            ("wrong mask",),
            1.0,
            f"the comparison {text} is the wrong way round",
            lambda x, y: fit(compare(x, y)),
        )
        for c in (0.0, 1.0, -1.0, np.inf, -np.inf):
            for k in (0, 1):
                if self._constant(inputs[k]):

                    def against(x: Any, y: Any, c: float = c, k: int = k) -> tuple[Any, ...]:
                        return (
                            eq.run(np.full_like(x, c, dtype=float), y)
                            if k == 0
                            else eq.run(x, np.full_like(y, c, dtype=float))
                        )

                    if self._kind(inputs[k], "f"):
                        yield ("wrong mask",), 1.15, f"{text} compares with another bound", against
        if self._kind(inputs[0], "f"):
            yield (
                ("wrong mask",),
                1.2,
                f"{text} takes the wrong side",
                lambda x, y: fit(eq.run(np.abs(x), np.abs(y))[0]),
            )

    def _conditions(self, e: int, text: str) -> Iterator[Change]:
        """One of two conditions not heeded."""
        fit = self._fitted(e)
        for kept in (0, 1):
            yield (
                ("wrong mask",),
                1.0,
                f"one condition of {text} counts wrongly",
                lambda *x, k=kept: fit(x[k]),
            )

    def _bounds(self, e: int, text: str) -> Iterator[Change]:
        """A bound not heeded."""
        eq = self.flat.equations[e]
        name = eq.name
        inputs = eq.inputs
        fit = self._fitted(e)
        for kept in range(len(inputs)):
            if not self._constant(inputs[kept]):
                if self._on_dy(inputs[kept]) and self.repair:
                    yield (
                        ("non-linear in cotangent", "wrong mask"),
                        0.95,
                        f"{text} bounds the cotangent",
                        lambda *x, k=kept: fit(x[k]),
                    )
                    continue
                labels = (
                    ("small constant", "wrong mask")
                    if any(abs(float(np.max(self._at(i)))) < 1e-3 and self._constant(i) for i in inputs)
                    else ("wrong mask", "wrong derivative formula")
                )
                yield labels, 1.2, f"{text} is not bounded as it should be", lambda *x, k=kept: fit(x[k])
        if name != "clamp":
            yield (
                ("wrong mask", "wrong winner"),
                1.2,
                f"{text} takes the other extreme",
                lambda x, y: fit((np.minimum if name == "max" else np.maximum)(x, y)),
            )

    def _extremes(self, e: int, text: str) -> Iterator[Change]:
        """The other extreme, or an entry of another rank."""
        eq = self.flat.equations[e]
        name = eq.name
        params = eq.params
        inputs = eq.inputs
        fit = self._fitted(e)
        other = {"reduce_max": "min", "reduce_min": "max", "argmax": "argmin", "argmin": "argmax"}[name]
        axes = tuple(params["axes"])
        yield (
            ("wrong winner",),
            1.0,
            f"{text} finds the wrong entry",
            lambda x: fit(getattr(np, other)(x, axis=axes if len(axes) > 1 else axes[0])),
        )
        if name.startswith("arg"):
            n = np.shape(self._at(inputs[0]))[axes[0]]
            for c in (-2, 0, -1, 1):
                yield (
                    ("wrong winner",),
                    1.1,
                    f"{text} finds the wrong entry",
                    lambda x, c=c: fit(np.argsort(x, axis=axes[0], kind="stable").take(c % n, axes[0])),
                )

    def _other_winners(self, e: int, text: str) -> Iterator[Change]:
        """The mask of a maximum that falls on a fixed entry, the smallest, the runner-up, or all."""
        eq = self.flat.equations[e]
        axes = {
            tuple(m.params["axes"])
            for i in self.bench.above[eq.outputs[0]]
            if (m := self.bench.equation(i)) is not None and m.name in ("reduce_max", "reduce_min")
        }
        for axis in {a[0] for a in axes if len(a) == 1}:
            for rank in (0, -1, -2, 1):
                for ordered in (False, True):

                    def winner(
                        x: Any, y: Any, axis: int = axis, rank: int = rank, ordered: bool = ordered
                    ) -> tuple[Any, ...]:
                        full = x if np.ptp(x, axis=axis).any() else y
                        where = (
                            np.argsort(full, axis, kind="stable")
                            if ordered
                            else np.broadcast_to(np.indices(full.shape)[axis], full.shape)
                        )
                        out = np.zeros(full.shape, bool)
                        np.put_along_axis(out, np.take(where, [rank], axis), True, axis)
                        return (out,)

                    yield ("wrong winner", "wrong mask"), 1.0, f"{text} picks the wrong entry", winner

"""Edits of one equation: other axes, other places, sums over more or fewer entries."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ._site import Change, Site, numpy_rule
from ._workbench import Edit


class Layout(Site):
    """Edits of sums, slices, pieces and their order."""

    def _running_sums(self, e: int, text: str) -> Iterator[Change]:
        """The other direction, another axis, the whole sum, none."""
        eq = self.flat.equations[e]
        name = eq.name
        params = eq.params
        fit = self._fitted(e)
        shape = np.shape(self._at(eq.outputs[0]))
        yield (
            ("order reversed",),
            1.0,
            f"{text} runs in the wrong direction",
            lambda x: fit(_against(eq, x)),
        )
        yield (
            ("missing sum",) if not self.repair else ("extra sum",),
            1.2,
            f"{text} accumulates wrongly",
            lambda x: fit(x),
        )
        if name == "cumsum":
            axis = params["axis"]
            yield (
                ("extra sum",),
                1.0,
                f"{text} takes the whole sum",
                lambda x: fit(np.sum(x, axis, keepdims=True)),
            )
            for other in range(len(shape)):
                if other != axis:
                    rule = numpy_rule("cumsum")
                    yield (
                        ("wrong axis",),
                        0.95,
                        f"{text} runs along the wrong axis",
                        lambda x, o=other, rule=rule: fit(rule({"axis": o, "reverse": params["reverse"]}, x)),
                    )

    def _accumulations(self, e: int, text: str) -> Iterator[Change]:
        """Repeated indices overwrite."""
        eq = self.flat.equations[e]
        params = eq.params
        if not self.repair:
            yield (
                ("set instead of add",),
                0.9,
                f"{text} overwrites where it should accumulate",
                lambda *x: (numpy_rule("scatter")(params, *x),),
            )

    def _settings(self, e: int, text: str) -> Iterator[Change]:
        """What overwrites should accumulate, or should not be there."""
        eq = self.flat.equations[e]
        params = eq.params
        inputs = eq.inputs
        fit = self._fitted(e)
        if self.repair:
            idle = np.ptp(self._at(inputs[2])) == 0 if np.size(self._at(inputs[2])) else True
            labels = ("partly wrong", "set instead of add") if idle else ("set instead of add",)
            yield (
                labels,
                0.9,
                f"{text} overwrites where it should accumulate",
                lambda *x: (numpy_rule("scatter-add")(params, *x),),
            )
        yield ("partly wrong",), 1.1, f"{text} changes some entries only", lambda x, *y: fit(x)

    def _pads(self, e: int, text: str) -> Iterator[Change]:
        """Padding moved by one."""
        eq = self.flat.equations[e]
        params = eq.params
        fit = self._fitted(e)
        for axis, (low, high, inner) in enumerate(params["padding_config"]):
            for d in (1, -1):
                config = list(params["padding_config"])
                config[axis] = (low + d, high - d, inner)
                yield (
                    ("off by one", "time shift"),
                    1.1,
                    f"{text} is shifted by one",
                    lambda x, z, c=tuple(config): fit(numpy_rule("pad")({"padding_config": c}, x, z)),
                )

    def _pieces(self, e: int, text: str) -> Iterator[Change]:
        """A piece left out, pieces reversed or moved by one."""
        eq = self.flat.equations[e]
        name = eq.name
        inputs = eq.inputs
        np.shape(self._at(eq.outputs[0]))
        for k in range(len(inputs)):
            label = "padding" if self.repair else "partly wrong"
            yield (
                (label, "off by one"),
                1.15,
                f"one piece of {text} should be zero" if self.repair else f"one piece of {text} is left out",
                lambda *x, k=k: eq.run(*x[:k], np.zeros_like(x[k]), *x[k + 1 :]),
            )
        if len({np.shape(self._at(i)) for i in inputs}) == 1 and len(inputs) > 1:
            timed = (
                ("time shift", "off by one")
                if self.flat.loops or name == "stack"
                else ("off by one", "time shift")
            )
            yield (
                ("order reversed",),
                1.05,
                f"the pieces of {text} are in reversed order",
                lambda *x: eq.run(*x[::-1]),
            )
            for d in (1, -1):
                yield (
                    timed,
                    1.2,
                    f"the pieces of {text} are shifted by one",
                    lambda *x, d=d: eq.run(*x[d:], *x[:d]),
                )

    def _splits(self, e: int, text: str) -> Iterator[Change]:
        """Pieces reversed or moved by one."""
        eq = self.flat.equations[e]
        np.shape(self._at(eq.outputs[0]))
        if len({np.shape(self._at(i)) for i in eq.outputs}) == 1:
            yield (
                ("order reversed",),
                1.0,
                f"the pieces of {text} are in reversed order",
                lambda *x: eq.run(*x)[::-1],
            )
            yield (
                ("off by one", "order reversed"),
                1.15,
                f"the pieces of {text} are shifted by one",
                lambda *x: (*eq.run(*x)[1:], eq.run(*x)[0]),
            )

    def _reversals(self, e: int, text: str) -> Iterator[Change]:
        """Order left as it is."""
        fit = self._fitted(e)
        yield ("order reversed",), 1.0, f"{text} is in the wrong order", lambda x: fit(x)

    def _transposes(self, e: int, text: str) -> Iterator[Change]:
        """Axes left as they are."""
        eq = self.flat.equations[e]
        inputs = eq.inputs
        fit = self._fitted(e)
        shape = np.shape(self._at(eq.outputs[0]))
        if np.shape(self._at(inputs[0])) == shape:
            yield (
                ("missing transpose", "transposed result"),
                1.0,
                f"{text} should not be transposed" if self.repair else f"{text} is not transposed",
                lambda x: fit(x),
            )

    def _other_sums(self, e: int, text: str) -> Iterator[Change]:
        eq = self.flat.equations[e]
        axes = tuple(eq.params["axes"])
        before, after = np.shape(self._at(eq.inputs[0])), np.shape(self._at(eq.outputs[0]))
        for other in itertools.combinations(range(len(before)), len(axes)):
            left = tuple(n for d, n in enumerate(before) if d not in other)
            if other != axes and left == after:
                yield (
                    ("wrong axis",),
                    0.95,
                    f"{text} is not over axis {other}" if self.repair else f"{text} is over axis {other}",
                    lambda x, o=other: (np.sum(x, axis=o),),
                )
        for ax in axes:
            rest = tuple(a for a in axes if a != ax)
            for entry in (0, -1):

                def one(
                    x: Any, ax: int = ax, rest: tuple[int, ...] = rest, entry: int = entry
                ) -> tuple[Any, ...]:
                    return (np.sum(np.take(x, [entry], ax), axis=(*rest, ax)),)

                if before[ax] > 1 and not self.repair:
                    yield ("missing sum",), 1.0, f"{text} takes one entry of axis {ax} and does not sum", one
        n = int(np.prod([before[a] for a in axes]))
        if n > 1:
            label = ("constant factor",)
            yield (
                label,
                1.05,
                f"{text} is a sum where a mean is due, or the reverse",
                lambda x: (np.mean(x, axis=axes),),
            )

    def _other_slices(self, e: int, text: str) -> Iterator[Change]:
        eq = self.flat.equations[e]
        start, limit = eq.params["start_indices"], eq.params["limit_indices"]
        before = np.shape(self._at(eq.inputs[0]))
        timed = ("time shift", "off by one") if self.flat.loops else ("off by one", "time shift")
        for axis, n in enumerate(before):
            if limit[axis] - start[axis] == n:
                continue
            for d in (1, -1):
                if start[axis] + d < 0 or limit[axis] + d > n:
                    continue

                def moved(x: Any, axis: int = axis, d: int = d) -> tuple[Any, ...]:
                    return eq.run(np.roll(x, -d, axis))

                yield self._by_rank(eq.inputs[0], timed), 1.05, f"{text} is off by one", moved
            if limit[axis] - start[axis] == 1:

                def summed(x: Any, axis: int = axis) -> tuple[Any, ...]:
                    return eq.run(np.broadcast_to(np.sum(x, axis, keepdims=True), x.shape))

                yield (
                    ("missing sum",) if self.repair else ("extra sum",),
                    0.95,
                    f"{text} is one entry where a sum is due",
                    summed,
                )

    def _other_broadcasts(self, e: int, text: str) -> Iterator[Change]:
        eq = self.flat.equations[e]
        dims, shape = tuple(eq.params["broadcast_dimensions"]), tuple(eq.params["shape"])
        before = np.shape(self._at(eq.inputs[0]))
        for other in itertools.permutations(range(len(shape)), len(dims)):
            if (
                other != dims
                and all(before[k] in (1, shape[d]) for k, d in enumerate(other))
                and other == tuple(sorted(other))
            ):
                rule = numpy_rule("broadcast_in_dim")
                params = {"shape": shape, "broadcast_dimensions": other}
                yield (
                    ("wrong axis",),
                    1.1,
                    f"{text} is along axis {other}",
                    lambda x, p=params, rule=rule: (rule(p, x),),
                )

    def _axes(self) -> Iterator[Edit]:
        """All sums over an axis that are broadcast back, over another one."""
        flat = self.flat
        sums: dict[tuple[int, int], list[int]] = {}
        for e in self.bench.live - {self.bench.end}:
            eq = flat.equations[e]
            if eq.name in ("reduce_sum", "reduce_max") and len(eq.params["axes"]) == 1:
                axis, rank = eq.params["axes"][0], np.ndim(self._at(eq.inputs[0]))
                sums.setdefault((axis, rank), []).append(e)
        for (axis, rank), group in sums.items():
            for other in range(rank):
                shapes = {
                    (s[axis], s[other])
                    for s in (np.shape(self._at(flat.equations[e].inputs[0])) for e in group)
                }
                if other == axis or any(a != b for a, b in shapes):
                    continue
                for chosen in [group, *([e] for e in group if len(group) > 1)]:
                    rules: dict[int, Callable[..., tuple[Any, ...]]] = {}
                    for e in chosen:
                        f = np.sum if flat.equations[e].name == "reduce_sum" else np.max
                        rules[e] = lambda x, f=f, other=other: (f(x, axis=other),)
                        for b, _ in self._through(flat.equations[e].outputs[0], rank):
                            shape = list(np.shape(self._at(flat.equations[b].outputs[0])))
                            shape[axis], shape[other] = shape[other], shape[axis]
                            rules[b] = lambda x, shape=shape, other=other: (
                                np.broadcast_to(np.expand_dims(x, other), shape),
                            )
                    if len(rules) > len(chosen):
                        text = self.words.equation(chosen[-1])
                        yield self._edit(
                            ("wrong axis",),
                            1.0,
                            f"{text} is over the wrong axis",
                            rules=rules,
                            about=chosen[-1],
                        )

    def _through(self, i: int, rank: int) -> Iterator[tuple[int, int]]:
        """Where a sum gets back the rank of what was summed, past equations of one entry each."""
        for e, k in self.bench.uses.get(i, ()):
            if e == self.bench.end:
                continue
            eq = self.flat.equations[e]
            if eq.name in ("broadcast_in_dim", "reshape") and np.ndim(self._at(eq.outputs[0])) == rank:
                yield e, k
            elif eq.name in ("mul", "div", "neg", "sub", "add", "exp", "log", "sqrt", "rsqrt", "integer_pow"):
                yield from self._through(eq.outputs[0], rank)

    def _unsummed(self, e: int) -> Iterator[Edit]:
        """A sum that is broadcast back left out: the diagonal of what mixes entries."""
        eq = self.flat.equations[e]
        if eq.name != "reduce_sum":
            return
        before = np.shape(self._at(eq.inputs[0]))
        rules: dict[int, Callable[..., tuple[Any, ...]]] = {e: lambda x: (x,)}
        for b in self.bench.order(frozenset([e]))[0]:
            after = self.flat.equations[b]
            narrow = after.name == "reduce_sum" and np.size(self._at(after.inputs[0])) == np.size(
                self._at(after.outputs[0])
            )
            if narrow or after.name in ("reshape", "broadcast_in_dim", "squeeze"):
                rules[b] = lambda x, run=after.run: (x,) if np.shape(x) == before else run(x)
        label = ("extra sum", "wrong derivative formula") if self.repair else ("diagonal only", "missing sum")
        yield self._edit(
            label,
            1.0 + self._extra(eq.outputs[0]),
            f"{self.words.equation(e)} {'sums what must be kept' if self.repair else 'is not summed'}",
            rules=rules,
            about=e,
        )


def _against(equation: Any, x: Any) -> Any:
    axis = equation.params["axis"]
    return np.flip(equation.run(np.flip(x, axis))[0], axis)

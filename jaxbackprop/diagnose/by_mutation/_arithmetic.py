"""Edits of one equation: a factor or a term dropped, a sign flipped, another function or exponent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ._site import Change, Site

FUNCTIONS: dict[str, tuple[str, ...]] = {
    "tanh": ("logistic", "sin", "identity"),
    "logistic": ("tanh", "identity", "exp"),
    "sin": ("cos", "identity"),
    "cos": ("sin", "identity"),
    "exp": ("identity", "expm1", "log"),
    "expm1": ("exp", "identity"),
    "log": ("identity", "log1p", "exp"),
    "log1p": ("log", "identity"),
    "sqrt": ("identity", "square"),
    "rsqrt": ("identity", "one over"),
    "square": ("identity", "sqrt"),
    "abs": ("identity",),
    "sign": ("identity",),
    "erf": ("tanh", "identity"),
}
BY_NAME: dict[str, Callable[[Any], Any]] = {
    "identity": lambda x: x,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "one over": lambda x: 1 / x,
    **{f: getattr(np, f) for f in ("tanh", "sin", "cos", "exp", "expm1", "log", "log1p", "sqrt", "square")},
}


class Arithmetic(Site):
    """Edits of products, sums and elementary functions."""

    def _products(self, e: int, text: str) -> Iterator[Change]:
        """A factor left out, or on the wrong side of a division."""
        eq = self.flat.equations[e]
        name = eq.name
        inputs = eq.inputs
        fit = self._fitted(e)
        a, b = inputs
        for kept, dropped in ((0, 1), (1, 0)):
            rule = (lambda *x, k=kept: fit(x[k])) if kept == 0 or name == "mul" else (lambda x, y: fit(1 / y))
            labels, cost = self._dropped_factor(inputs[kept], inputs[dropped], name, kept)
            yield labels, cost, self._says("factor", inputs[dropped], text), rule
        if name == "mul" and a != b:
            yield (
                ("wrong derivative formula",),
                1.5,
                f"{text} divides where it should multiply",
                lambda x, y: fit(x / y),
            )
        elif name == "div":
            yield (
                ("wrong derivative formula",),
                1.5,
                f"{text} has its factors upside down",
                lambda x, y: fit(x * y),
            )

    def _doubled(self, e: int, text: str) -> Iterator[Change]:
        """A value added to itself."""
        fit = self._fitted(e)
        yield ("constant factor",), 1.1, f"{text} is off by a factor of two", lambda x, y: fit(x)

    def _terms(self, e: int, text: str) -> Iterator[Change]:
        """A term left out, a sign flipped."""
        eq = self.flat.equations[e]
        name = eq.name
        inputs = eq.inputs
        fit = self._fitted(e)
        for kept in (0, 1):
            labels, cost = self._dropped_term(inputs[1 - kept], name, inputs[kept])
            rule = (
                (lambda *x: fit(x[0]))
                if kept == 0
                else ((lambda x, y: fit(-y)) if name == "sub" else (lambda x, y: fit(y)))
            )
            yield labels, cost, self._says("term", inputs[1 - kept], text), rule
        # Autodiff's fan-in has no sign that could be flipped.
        fan_in = 0.3 if name == "add_any" else 0.0
        yield (
            ("sign",),
            1.05 + fan_in,
            f"a sign in {text} is flipped",
            (lambda x, y: fit(x + y)) if name == "sub" else (lambda x, y: fit(x - y)),
        )
        if name != "sub":
            yield ("sign",), 1.1 + fan_in, f"a sign in {text} is flipped", lambda x, y: fit(y - x)

    def _functions(self, e: int, text: str) -> Iterator[Change]:
        """Another elementary function."""
        eq = self.flat.equations[e]
        name = eq.name
        inputs = eq.inputs
        fit = self._fitted(e)
        for other in FUNCTIONS[name]:
            yield (
                self._function_labels(name, inputs[0]),
                1.15 if self._on_dy(inputs[0]) else 1.3,
                f"{text} is not the function that the derivative has",
                lambda x, f=BY_NAME[other]: fit(f(x)),
            )

    def _powers(self, e: int, text: str) -> Iterator[Change]:
        """Another whole exponent."""
        eq = self.flat.equations[e]
        name = eq.name
        params = eq.params
        inputs = eq.inputs
        fit = self._fitted(e)
        for y in {params["y"] - 1, params["y"] + 1, 1}:
            if y != params["y"]:
                yield (
                    self._function_labels(name, inputs[0]),
                    1.2,
                    f"the exponent in {text} is not {y}" if self.repair else f"the exponent in {text} is {y}",
                    lambda x, y=y: fit(np.power(x, float(y))),
                )

    def _real_powers(self, e: int, text: str) -> Iterator[Change]:
        """Another exponent."""
        fit = self._fitted(e)
        for d in (1, -1):
            yield (
                ("wrong derivative formula",),
                1.2,
                f"the exponent in {text} is off by one",
                lambda x, y, d=d: fit(np.power(x, y + d)),
            )

    def _function_labels(self, name: str, taken: int) -> tuple[str, ...]:
        if not self._on_dy(taken):
            return ("wrong derivative formula",)
        if name in ("square", "integer_pow"):
            return ("upstream squared", "non-linear in cotangent")
        return ("non-linear in cotangent", "wrong derivative formula")

    def _dropped_factor(
        self, kept: int, dropped: int, name: str, place: int
    ) -> tuple[tuple[str, ...], float]:
        if kept == dropped and name == "mul":
            return ("upstream squared", "wrong derivative formula") if self._on_dy(kept) else (
                "wrong derivative formula",
            ), 1.2
        if self._constant(dropped):
            if self.repair and not np.any(self._at(dropped)):
                return ("path forgotten", "missing term"), 1.05
            return ("constant factor",), 1.05
        if self._mask(dropped):
            return self._mask_labels(dropped), 1.0
        if self.repair:
            if self._on_dy(dropped):
                if name == "div":
                    return ("non-linear in cotangent", "wrong derivative formula"), 1.0
                return ("upstream squared", "wrong derivative formula"), 1.1
            return ("wrong derivative formula", "missing factor"), 1.25
        if self._on_dy(dropped) and not self._on_dy(kept):
            return ("upstream ignored", "missing factor"), 1.1
        if name == "div" and place == 0 and self._normaliser(kept, dropped):
            return ("unnormalised", "missing factor"), 0.95
        if self._counts(dropped):
            return ("wrong winner", "missing factor"), 1.0
        return ("missing factor", "wrong derivative formula"), 1.0

    def _counts(self, i: int) -> bool:
        """Whether a value counts how many entries share a maximum."""
        names = {
            self.flat.equations[self.bench.maker[j]].name
            for j in self.bench.above[i]
            if j in self.bench.maker
        }
        own = np.asarray(self._at(i))
        return "eq" in names and "reduce_max" in names and bool(np.all(own == np.round(own)))

    def _normaliser(self, e: int, total: int) -> bool:
        """Whether one value is, broadcast, the sum of the other."""
        if e not in self.bench.above.get(total, ()):
            return False
        a, b = np.asarray(self._at(e)), np.asarray(self._at(total))
        return bool(np.all(a >= 0)) and any(
            np.ndim(b) in (0, a.ndim)
            and np.allclose(
                np.broadcast_to(np.sum(a, ax, keepdims=True), a.shape), np.broadcast_to(b, a.shape)
            )
            for ax in range(a.ndim)
        )

    def _dropped_term(self, dropped: int, name: str, kept: int) -> tuple[tuple[str, ...], float]:
        size = float(np.max(np.abs(self._at(dropped)), initial=0.0))
        if dropped not in self.bench.on_floats and size < 0.02:
            return ("small constant",), 0.95
        if self.repair:
            return ("wrong derivative formula", "missing term"), 1.3
        if dropped not in self.bench.on_floats and not self._on_dy(dropped):
            return ("wrong derivative formula", "missing term"), 1.2
        if self._on_dy(dropped) and (self._one_product(kept, dropped) or self._one_product(dropped, kept)):
            # u + u f is the derivative of one function, written as a product: u (1 + f).
            return ("wrong derivative formula", "missing term", "path forgotten"), 1.05
        if name == "add_any":
            return ("path forgotten", "missing term"), 1.0
        return ("missing term", "path forgotten"), 1.0

    def _one_product(self, i: int, j: int) -> bool:
        """Whether a value is another times one that the cotangent is not in."""
        maker = self.bench.equation(j)
        return maker is not None and maker.name == "mul" and i in maker.inputs and i != j

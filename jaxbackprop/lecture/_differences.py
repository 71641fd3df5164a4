"""Unit 2: how the error of a difference falls with its step."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._claim import Claim, Effort, Figures, Outcome, Say, Verdict
from ._statistics import exponent

# Between the steps where the next order still shows and those where rounding does.
_STEPS = tuple(float(h) for h in np.logspace(-3.5, -2, 7))
_NEAR = 0.1


def _errors(effort: Effort, say: Say) -> dict[str, Any]:
    """Root mean square over random scorers s = uᵀ tanh(Wx), of the error in one entry of W."""
    rng = np.random.default_rng(0)
    W, x = rng.normal(size=(effort.draws, 6, 6)) / 2, rng.normal(size=(effort.draws, 6))
    u = rng.normal(size=(effort.draws, 6))

    def s(move: float) -> np.ndarray:
        moved = W.copy()
        moved[:, 0, 0] += move
        return np.einsum("ki,ki->k", u, np.tanh(np.einsum("kij,kj->ki", moved, x)))

    true = u[:, 0] * (1 - np.tanh(np.einsum("kj,kj->k", W[:, 0], x)) ** 2) * x[:, 0]
    forward = [(s(h) - s(0)) / h - true for h in _STEPS]
    central = [(s(h) - s(-h)) / (2 * h) - true for h in _STEPS]
    size = [[float(np.sqrt(np.mean(error**2))) for error in errors] for errors in (forward, central)]
    return {"e": list(_STEPS), "forward": size[0], "central": size[1]}


def _orders(figures: Figures) -> Verdict:
    forward, central = (exponent(figures["e"], figures[name]) for name in ("forward", "central"))
    figure = f"error e^{forward:.2f} forward, e^{central:.2f} central"
    if abs(forward - 1) < _NEAR and abs(central - 2) < _NEAR:
        at = figures["e"].index(min(figures["e"], key=lambda e: abs(e - 1e-3)))
        gain = figures["forward"][at] / figures["central"][at]
        why = f"at e = {figures['e'][at]:.0e} the central difference is {gain:,.0f} times nearer to the truth"
        return Verdict(Outcome.HOLDS, figure, why)
    return Verdict(Outcome.FAILS, figure, "the exponents are not 1 and 2")


CLAIMS = (
    Claim(
        "difference-order",
        2,
        "Numerical Gradient",
        "A forward difference is off by O(e), a central one by O(e²).",
        _errors,
        _orders,
    ),
)

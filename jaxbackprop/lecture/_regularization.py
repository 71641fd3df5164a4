"""Unit 3: L2 and dropout, on paper's ridge regression and on the tagger."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._claim import Claim, Effort, Figures, Outcome, Say, Verdict
from ._statistics import mean, paired
from ._training import COMMAND, better, compare, f1_text, gaps, settings

_STRENGTHS = (0.0, 1e-5, 1e-4, 1e-3, 1e-2)
_RIDGE = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_EXAMPLES, _WEIGHTS, _NOISE = 20, 10, 1.0


def _ridge(effort: Effort, say: Say) -> dict[str, Any]:
    """Squared bias and variance of ridge regression, over draws of the noise."""
    rng = np.random.default_rng(0)
    X, theta = rng.normal(size=(_EXAMPLES, _WEIGHTS)), rng.normal(size=_WEIGHTS)
    y = X @ theta + _NOISE * rng.normal(size=(effort.draws, _EXAMPLES))
    bias, variance = [], []
    for strength in _RIDGE:
        inverse = np.linalg.inv(X.T @ X + _EXAMPLES * strength * np.eye(_WEIGHTS))
        estimates = y @ X @ inverse
        bias.append(float(np.sum((estimates.mean(axis=0) - theta) ** 2)))
        variance.append(float(np.sum(estimates.var(axis=0, ddof=1))))
    return {"strengths": list(_RIDGE), "squared bias": bias, "variance": variance}


def _biased_but_steadier(figures: Figures) -> Verdict:
    bias, variance = np.array(figures["squared bias"]), np.array(figures["variance"])
    total = bias + variance
    best = int(total.argmin())
    figure = (
        f"λ from 0 to {figures['strengths'][-1]:g}: bias² {bias[0]:.2g} to {bias[-1]:.2g}, "
        f"variance {variance[0]:.2g} to {variance[-1]:.2g}"
    )
    # The mean of finitely many draws has a bias of its own, of variance over draws, even at λ = 0.
    steadier, biased = bool((np.diff(variance) < 0).all()), bool(bias[-1] > 2 * bias[0] + 1e-3)
    if steadier and biased:
        at = figures["strengths"][best]
        why = f"together they are least at λ = {at:g}: {total[best]:.2g} against {total[0]:.2g} without"
        return Verdict(Outcome.HOLDS, figure, why)
    if steadier or biased:
        return Verdict(Outcome.IN_PART, figure, "one of the two moves as claimed")
    return Verdict(Outcome.FAILS, figure, "neither does the variance fall nor the bias grow")


def _strengths(effort: Effort, say: Say) -> dict[str, Any]:
    strengths = _STRENGTHS if effort.all_variants else _STRENGTHS[::3]
    configs = {f"λ {l2:g}": settings(effort, l2=l2, dropout=0.0, input_dropout=0.0) for l2 in strengths}
    return compare(configs, effort, say)


def _against_overfitting(figures: Figures, off: str) -> Verdict:
    """Whether a remedy narrows the gap between training and development F1, and gains F1."""
    on = [name for name in figures if name != off]
    narrower = {name: paired(gaps(figures, off), gaps(figures, name), len(on)) for name in on}
    gains = {name: better(figures, name, off, len(on)) for name in on}
    by_gap = ", ".join(f"{name} {mean(gaps(figures, name)):.3f}" for name in (off, *on))
    figure = f"gap {by_gap}; {f1_text(figures, [off, *on])}"
    # A penalty that lets nothing be learnt closes the gap too.
    closes = [name for name in on if narrower[name].above and not gains[name].below]
    helps = [name for name in closes if gains[name].above]
    if helps:
        return Verdict(
            Outcome.HOLDS, figure, f"{', '.join(helps)}: a smaller gap, and a better development F1"
        )
    if closes:
        why = f"{', '.join(closes)}: a smaller gap, but no development F1 gained beyond the seeds' noise"
        return Verdict(Outcome.IN_PART, figure, why)
    if any(each.below for each in (*narrower.values(), *gains.values())):
        return Verdict(Outcome.FAILS, figure, "the gap grows, or development F1 falls with it")
    return Verdict(Outcome.UNDECIDED, figure, "the seeds differ by more than the gaps")


def _penalty(figures: Figures) -> Verdict:
    return _against_overfitting(figures, "λ 0")


def _dropouts(effort: Effort, say: Say) -> dict[str, Any]:
    configs = {
        "without": settings(effort, dropout=0.0, input_dropout=0.0),
        "with": settings(effort, dropout=0.5, input_dropout=0.3),
    }
    return compare(configs, effort, say)


def _dropout(figures: Figures) -> Verdict:
    return _against_overfitting(figures, "without")


CLAIMS = (
    Claim(
        "bias-and-variance",
        3,
        "Regularization",
        "An L2 penalty makes an estimator biased, but of smaller variance.",
        _ridge,
        _biased_but_steadier,
    ),
    Claim(
        "l2-against-overfitting",
        3,
        "Overfitting",
        "L2 regularization works against overfitting.",
        _strengths,
        _penalty,
        f"{COMMAND} --dropout 0 --input-dropout 0 --l2 1e-4",
    ),
    Claim(
        "dropout-against-overfitting",
        3,
        "Overfitting",
        "Dropout works against overfitting.",
        _dropouts,
        _dropout,
        f"{COMMAND} --dropout 0.5 --input-dropout 0.3",
    ),
)

"""Unit 3: the learning rate, by powers of ten and as it falls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._claim import Claim, Effort, Figures, Outcome, Say, Verdict
from ._training import COMMAND, better, compare, f1, f1_text, is_as_good, settings

_SLIDE = "Learning Rate"
_POWERS = {"sgd": (1e-3, 1e-2, 1e-1, 1.0, 10.0), "adam": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)}
_CLAIMED = 0.01
# Of the best rate's loss: so many times it is slow, and beyond guessing it has diverged.
_SLOW = 2.0


def _powers(effort: Effort, say: Say) -> dict[str, Any]:
    configs = {
        f"{optimizer} {rate:g}": settings(effort, optimizer=optimizer, schedule="constant", lr=rate)
        for optimizer, rates in _POWERS.items()
        for rate in rates
    }
    return compare(configs, effort, say)


def _of(figures: Figures, optimizer: str) -> list[str]:
    return [name for name in figures if name.startswith(f"{optimizer} ")]


def _a_hundredth(figures: Figures) -> Verdict:
    parts, near, off = [], [], []
    for optimizer in _POWERS:
        names = _of(figures, optimizer)
        best, claimed = max(names, key=lambda name: f1(figures, name)), f"{optimizer} {_CLAIMED:g}"
        others = [name for name in names if name != claimed]
        gains = [better(figures, claimed, other, len(others)) for other in others]
        parts.append(f"{claimed} F1 {f1(figures, claimed):.3f}, best {best} {f1(figures, best):.3f}")
        if all(map(is_as_good, gains)):
            near.append(optimizer)
        elif any(gain.below for gain in gains):
            off.append(optimizer)
    figure = "; ".join(parts)
    if len(near) == len(_POWERS):
        return Verdict(Outcome.HOLDS, figure, "no other power of ten is better")
    if near and off:
        why = f"right for {near[0]}, not for {off[0]}: the right rate depends on the optimizer"
        return Verdict(Outcome.IN_PART, figure, why)
    if len(off) == len(_POWERS):
        return Verdict(Outcome.FAILS, figure, "another power of ten is better for both")
    unsure = " and ".join(name for name in _POWERS if name not in near + off)
    why = "".join(f"{what} for {names[0]}; " for what, names in (("right", near), ("wrong", off)) if names)
    return Verdict(Outcome.UNDECIDED, figure, f"{why}for {unsure} the seeds differ by more than the rates")


def _last_losses(figures: Figures, name: str) -> list[float]:
    return [losses[-1] if np.isfinite(losses).all() else math.inf for losses in figures[name]["losses"]]


def _too_small_too_large(figures: Figures) -> Verdict:
    slow, wild, parts = [], [], []
    for optimizer in _POWERS:
        names = _of(figures, optimizer)
        losses = {name: float(np.median(_last_losses(figures, name))) for name in names}
        least = min(losses.values())
        # The loss of guessing at random among 21 tags.
        slow.append(losses[names[0]] > _SLOW * least)
        wild.append(losses[names[-1]] > max(math.log(21), _SLOW * least))
        parts.append(f"loss of {optimizer} " + ", ".join(f"{n.split()[1]}: {losses[n]:.3g}" for n in names))
    figure = "; ".join(parts)
    if all(slow) and all(wild):
        return Verdict(
            Outcome.HOLDS, figure, "the smallest is slow, the largest ends above guessing or at nan"
        )
    if all(slow):
        return Verdict(Outcome.IN_PART, figure, "too small is slow; too large spoils it without diverging")
    return Verdict(Outcome.FAILS, figure, "the smallest rate is as fast")


def _schedules(effort: Effort, say: Say) -> dict[str, Any]:
    epochs = effort.epochs
    configs = {
        "constant": settings(effort, schedule="constant"),
        "halving": settings(effort, schedule="halving", halve_every=epochs / 4),
        "exponential": settings(effort, schedule="exponential", decay=3 / epochs),
        "cyclic": settings(effort, schedule="cyclic"),
        # The training loss falls in nearly every epoch of so few: F1 on development sentences does not.
        "plateau": settings(effort, schedule="plateau", plateau_monitor="dev_f1", plateau_patience=0),
    }
    return compare(configs, effort, say)


def _falling_is_better(figures: Figures) -> Verdict:
    others = [name for name in figures if name != "constant"]
    gains = {name: better(figures, name, "constant", len(others)) for name in others}
    figure = f1_text(figures, ["constant", *others])
    ahead = [name for name in others if gains[name].above]
    behind = [name for name in others if gains[name].below]
    if len(ahead) == len(others):
        return Verdict(Outcome.HOLDS, figure, "each is better than constant, beyond the seeds' noise")
    if ahead:
        rest = ", ".join(name for name in others if name not in ahead)
        return Verdict(Outcome.IN_PART, figure, f"{', '.join(ahead)} beyond the seeds' noise; not {rest}")
    if behind:
        return Verdict(Outcome.FAILS, figure, f"{', '.join(behind)} did worse than constant")
    return Verdict(Outcome.UNDECIDED, figure, "the seeds differ by more than the schedules")


CLAIMS = (
    Claim(
        "a-hundredth",
        3,
        _SLIDE,
        "A constant learning rate of about 0.01 is the usual choice.",
        _powers,
        _a_hundredth,
        f"{COMMAND} --schedule constant --optimizer sgd --lr 0.01",
    ),
    Claim(
        "too-small-too-large",
        3,
        _SLIDE,
        "By powers of ten: too small is slow, too large diverges.",
        _powers,
        _too_small_too_large,
        f"{COMMAND} --schedule constant --optimizer sgd --lr 10",
    ),
    Claim(
        "falling-rate",
        3,
        _SLIDE,
        "A learning rate that falls (halving, exponential, cyclic, on a plateau) beats a constant one.",
        _schedules,
        _falling_is_better,
        f"{COMMAND} --schedule halving --halve-every 2",
    ),
)

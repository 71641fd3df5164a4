"""Gradients against the truth: autodiff of the oracle, and differences of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxbackprop._float64 import to_numpy64
from jaxbackprop._output import first_line

from .._around import kink, nearby_mean
from .._differences import Directions
from .._findings import Worst, beyond, finding
from .._report import Finding
from .._rounding import backward_error
from .._session import BASE_KINDS, VERY_MANY, Look, Trial
from .._strip import stops_gradients


def values(trial: Trial, looks: Sequence[Look]) -> tuple[list[Finding], dict[int, Look]]:
    """Every gradient against the truth, at every spot; at a kink any generalised gradient passes.

    Returns:
        One finding a wrong leaf, and for each the look that shows it.
    """
    findings, shown = [], {}
    for leaf in range(len(trial.layout.floats)):
        for look in looks:
            if look.kind == "base":
                trial.record("float64", leaf, to_numpy64(look.got.gradient[leaf]), look.want[leaf])
        if is_setting(trial, looks, leaf):
            if any(np.any(look.want[leaf]) for look in looks):
                where = f"argument {trial.layout.arguments[leaf]}"
                trial.notes.append(f"{where} is a Python float and gets no gradient: taken as a setting")
            continue
        judged = _judge(trial, looks, leaf)
        if judged is not None:
            look, worst = judged
            where = f" at redrawn arguments ({look.kind})" if look.redrawn else ""
            message = f"{trial.names[leaf]} is wrong{where}"
            point = trial.layout.args(look.spot.leaves)
            findings.append(finding(trial, leaf, "value", message, worst, point=point))
            shown[leaf] = look
    return findings, shown


def is_setting(trial: Trial, looks: Sequence[Look], leaf: int) -> bool:
    """Whether a leaf came as a Python float and gets no gradient: nobody means to differentiate by it."""
    return trial.layout.from_python[leaf] and all(not np.any(look.got.gradient[leaf]) for look in looks)


def _judge(trial: Trial, looks: Sequence[Look], leaf: int) -> tuple[Look, Worst] | None:
    """The first look at which a leaf is wrong, and its worst entry there."""
    for look in looks:
        found = mismatch(look, leaf)
        if look.kind in BASE_KINDS and not np.all(np.isfinite(look.want[leaf])) and trial.truth is not None:
            found = _beside_nonfinite(trial, look, leaf) or found
        if found is None:
            continue
        at_kink = kink(trial, look, leaf)
        if at_kink is None or not at_kink.outside <= 1e-2:
            return look, found
        trial.kinks.add(leaf)
        note = f"{trial.names[leaf]} is a valid subgradient at a kink"
        if not any(n.startswith(note) for n in trial.notes):
            other = "autodiff" if trial.truth is not None else "differences"
            want = float(look.want[leaf][found.index])
            at = f" at {list(found.index)}" if found.index else ""
            trial.notes.append(
                f"{note} ({look.kind} arguments): {found.got:.4g}{at}, where {other} has {want:.4g}"
            )
    return None


def mismatch(look: Look, leaf: int) -> Worst | None:
    """The worst entry of a leaf beyond its noise at a look; None where there is none."""
    return beyond(to_numpy64(look.got.gradient[leaf]), look.want[leaf], look.noise[leaf])


def _beside_nonfinite(trial: Trial, look: Look, leaf: int) -> Worst | None:
    """Where autodiff is not finite: the gradients around tell what a rule may answer."""
    if not all(np.all(np.isfinite(d)) for d in look.y) or look.kind not in ("base", "fresh"):
        return None
    mean, spread = nearby_mean(trial, look, leaf)
    if not np.all(np.isfinite(mean)):
        return None
    got = to_numpy64(look.got.gradient[leaf])
    if np.all(np.isfinite(got)) and kink(trial, look, leaf) is not None:
        # The caller asks for the hull.
        return beyond(got, mean, np.zeros_like(mean))
    unknown = ~np.isfinite(look.want[leaf])
    size = float(np.max(np.abs(mean), initial=0.0))
    return beyond(np.where(unknown, got, mean), mean, 2 * spread + 1e-3 * size + 1e-290)


def against_differences(trial: Trial, looks: Sequence[Look], wrong: set[int]) -> list[Finding]:
    """Autodiff of the oracle beside extrapolated differences of it: two opinions that fail separately."""
    if (
        trial.truth is None
        or trial.subject.intended is not None
        or trial.subject.oracle is None
        and trial.quick
    ):
        return []
    if trial.quick and trial.numbers > VERY_MANY:
        return []
    kinds = ("base",) if trial.quick else ("base", "other")
    for look in (look for look in looks if look.kind in kinds):
        if not all(np.all(np.isfinite(w)) for w in look.want):
            continue
        floats = tuple(np.asarray(look.spot.leaves[i], np.float64) for i in trial.layout.floats)
        directions = Directions.of(floats, np.random.default_rng(0))
        try:
            estimate = trial.differences.along(look.spot, directions)
        except Exception as error:
            trial.notes.append(f"differences cannot be taken: {first_line(error)}")
            return []
        ends = np.cumsum([0, *(leaf.size for leaf in floats)])
        for leaf in range(len(floats)):
            here = slice(int(ends[leaf]), int(ends[leaf + 1]))
            ways = directions.ways[:, here]
            mine = np.any(ways != 0, axis=1)
            got = ways @ to_numpy64(look.got.gradient[leaf]).reshape(-1)
            trial.record("differences", leaf, got[mine], estimate.value[mine], estimate.error[mine])
            if leaf in wrong or is_setting(trial, looks, leaf):
                continue
            scale = float(np.max(np.abs(got), initial=0.0))
            backward = backward_error(look.spot, look.y, trial.layout.floats[leaf])
            known = np.abs(ways) @ np.nan_to_num(look.noise[leaf]).reshape(-1)
            noise = 20 * estimate.error + known + 1e-7 * scale + 1e-9 * backward + 1e-40
            sure = mine & (estimate.error <= 1e-4 * (np.abs(estimate.value) + 1e-2 * scale))
            off = sure & ~(np.abs(got - estimate.value) <= noise)
            if not np.any(off) or kink(trial, look, leaf) is not None:
                continue
            if trial.truth.jaxpr is not None and stops_gradients(trial.truth.jaxpr):
                trial.notes.append("the oracle stops gradients: autodiff of it is meant, not differences")
                return []
            row = int(np.argmax(np.where(off, np.abs(got - estimate.value), -1)))
            message = (
                f"{trial.names[leaf]} differs from differences of the function, though autodiff of the "
                "oracle agrees with it"
            )
            return [
                finding(
                    trial,
                    leaf,
                    "value",
                    message,
                    got=float(got[row]),
                    want=float(estimate.value[row]),
                    error=float(abs(got[row] - estimate.value[row])),
                    noise=float(noise[row]),
                    point=trial.layout.args(look.spot.leaves),
                )
            ]
    return []

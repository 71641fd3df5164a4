"""Gradients against the truth: autodiff of the oracle, and differences of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._differences import Directions
from ._findings import beyond, finding, first_line, name_of
from ._report import Finding
from ._strip import stops_gradients
from ._trial import BASE_KINDS, VERY_MANY, Compared, Look, Trial
from ._truth import to_numpy64


def values(trial: Trial, looks: Sequence[Look]) -> tuple[list[Finding], dict[int, Look]]:
    """Every gradient against the truth, at every spot; at a kink any generalised gradient passes.

    Returns:
        One finding a wrong leaf, and for each the look that shows it.
    """
    findings, shown = [], {}
    for leaf in range(len(trial.layout.floats)):
        _record(trial, looks, leaf)
        if is_setting(trial, looks, leaf):
            if any(np.any(look.want[leaf]) for look in looks):
                where = f"argument {trial.layout.arguments[leaf]}"
                trial.notes.append(f"{where} is a Python float and gets no gradient: taken as a setting")
            continue
        judged = _judge(trial, looks, leaf)
        if judged is not None:
            look, found = judged
            findings.append(_value_finding(trial, leaf, look, found))
            shown[leaf] = look
    return findings, shown


def is_setting(trial: Trial, looks: Sequence[Look], leaf: int) -> bool:
    """Whether a leaf came as a Python float and gets no gradient: nobody means to differentiate by it."""
    return trial.layout.from_python[leaf] and all(not np.any(look.got.gradient[leaf]) for look in looks)


def _record(trial: Trial, looks: Sequence[Look], leaf: int) -> None:
    for look in looks if trial.figures else ():
        if look.kind == "base":
            got = to_numpy64(look.got.gradient[leaf])
            trial.compared.append(Compared("float64", leaf, got, look.want[leaf], trial.rounding[leaf]))


def _value_finding(trial: Trial, leaf: int, look: Look, found: Any) -> Finding:
    index, got, want, error, noise = found
    where = "" if not look.redrawn else f" at redrawn arguments ({look.kind})"
    return finding(
        trial,
        leaf,
        "value",
        f"{name_of(trial, leaf)} is wrong{where}",
        index=index,
        got=got,
        want=want,
        error=error,
        noise=noise,
        point=trial.layout.args(look.spot.leaves),
    )


def _judge(trial: Trial, looks: Sequence[Look], leaf: int) -> tuple[Look, Any] | None:
    """The first look at which a leaf is wrong, and its worst entry there."""
    smooth: dict[int, bool] = {}
    for look in looks:
        found = mismatch(look, leaf)
        if look.kind in BASE_KINDS and not np.all(np.isfinite(look.want[leaf])) and trial.truth is not None:
            found = _beside_nonfinite(trial, look, leaf) or found
        if found is None:
            continue
        point = id(look.spot.leaves) if look.redrawn else 0
        if smooth.get(point):
            return look, found
        kink = trial.kink(look, leaf)
        if kink is None:
            smooth[point] = True
            return look, found
        if not kink.outside <= 1e-2:
            return look, found
        trial.kinks.add(leaf)
        index, got, want, *_ = found
        note = f"{name_of(trial, leaf)} is a valid subgradient at a kink"
        if not any(n.startswith(note) for n in trial.notes):
            other = "autodiff" if trial.truth is not None else "differences"
            want = float(look.want[leaf][index])
            at = f" at {list(index)}" if index else ""
            trial.notes.append(f"{note} ({look.kind} arguments): {got:.4g}{at}, where {other} has {want:.4g}")
    return None


def mismatch(look: Look, leaf: int) -> Any:
    """The worst entry of a leaf beyond its noise at a look; None where there is none."""
    return beyond(to_numpy64(look.got.gradient[leaf]), look.want[leaf], look.noise[leaf])


def _beside_nonfinite(trial: Trial, look: Look, leaf: int) -> Any:
    """Where autodiff is not finite: the gradients around tell what a rule may answer."""
    if not all(np.all(np.isfinite(d)) for d in look.y) or look.kind not in ("base", "fresh"):
        return None
    mean, spread = trial.nearby_mean(look, leaf)
    if not np.all(np.isfinite(mean)):
        return None
    unknown = ~np.isfinite(look.want[leaf])
    got = to_numpy64(look.got.gradient[leaf])
    size = float(np.max(np.abs(mean), initial=0.0))
    if np.all(np.isfinite(got)) and trial.kink(look, leaf) is not None:
        # The caller asks for the hull.
        return beyond(got, mean, np.zeros_like(mean))
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
    differences = trial.differences
    if trial.quick and trial.numbers > VERY_MANY:
        return []
    candidates = [
        look for look in looks if look.kind in (("base", "other") if not trial.quick else ("base",))
    ]
    for look in candidates:
        if not all(np.all(np.isfinite(w)) for w in look.want):
            continue
        floats = tuple(np.asarray(look.spot.leaves[i], np.float64) for i in trial.layout.floats)
        directions = Directions.of(floats, np.random.default_rng(0))
        try:
            estimate = differences.along(look.spot, directions)
        except Exception as error:
            trial.notes.append(f"differences cannot be taken: {first_line(error)}")
            return []
        ends = np.cumsum([0, *(leaf.size for leaf in floats)])
        for leaf in range(len(floats)):
            here = slice(int(ends[leaf]), int(ends[leaf + 1]))
            ways = directions.ways[:, here]
            mine = np.any(ways != 0, axis=1)
            got = ways @ to_numpy64(look.got.gradient[leaf]).reshape(-1)
            trial.compared.append(
                Compared("differences", leaf, got[mine], estimate.value[mine], estimate.error[mine])
            )
            if leaf in wrong or is_setting(trial, looks, leaf):
                continue
            scale = float(np.max(np.abs(got), initial=0.0))
            backward = trial.backward_error(look.spot, look.y, trial.layout.floats[leaf])
            known = np.abs(ways) @ np.nan_to_num(look.noise[leaf]).reshape(-1)
            noise = 20 * estimate.error + known + 1e-7 * scale + 1e-9 * backward + 1e-40
            sure = mine & (estimate.error <= 1e-4 * (np.abs(estimate.value) + 1e-2 * scale))
            off = sure & ~(np.abs(got - estimate.value) <= noise)
            if not np.any(off) or trial.kink(look, leaf) is not None:
                continue
            if trial.truth.jaxpr is not None and stops_gradients(trial.truth.jaxpr):
                trial.notes.append("the oracle stops gradients: autodiff of it is meant, not differences")
                return []
            row = int(np.argmax(np.where(off, np.abs(got - estimate.value), -1)))
            message = (
                f"{name_of(trial, leaf)} differs from differences of the function, though autodiff of the "
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

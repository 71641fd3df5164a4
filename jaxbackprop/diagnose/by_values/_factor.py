"""Mistakes in a factor: one constant, one that is missing, a rounded one, a sum of exponentials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from .._evidence import Sample, Suspicion
from ._probe import Probe, fits, long_axes

# Below this relative size an error everywhere is a rounded constant or a forgotten epsilon.
SMALL = 2e-2


def factor(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """One factor everywhere, in every sample or another one in each."""
    factors, missed = [], 0
    for s in probe.samples:
        got, want = s.got[leaf], s.want[leaf]
        power = float(np.sum(want * want))
        if power == 0 and not np.any(got):
            continue
        c = float(np.sum(got * want)) / power if power > 0 else math.nan
        if math.isfinite(c) and c != 0 and probe.equal(got, c * want):
            factors.append(c)
        else:
            missed += 1
    if missed > probe.spare or len(factors) < 2:
        return
    c = float(np.median(factors))
    others = int(np.sum(~np.isclose(factors, c, rtol=10 * probe.tolerance, atol=0)))
    if others + missed > probe.spare:
        if not missed:
            yield from _varying(probe, leaf, factors)
    elif abs(c + 1) < 10 * probe.tolerance:
        yield probe.suspect("sign", leaf, 0.0, "has the wrong sign")
    elif abs(c - 1) < 10 * probe.tolerance:
        return
    elif abs(c - 1) < SMALL:
        yield probe.suspect("small constant", leaf, 0.0, f"is {c:.10g} times what it should be")
        yield probe.suspect("constant factor", leaf, 0.3, f"is {c:.10g} times what it should be")
    else:
        origin = guess(probe, c)
        says = f"is {c:.4g} times what it should be" + (f": {origin}" if origin else "")
        yield probe.suspect("constant factor", leaf, 0.0, says)
        batch = np.shape(probe.samples[0].dy[0])[:1] or np.shape(probe.samples[0].want[leaf])[:1]
        if batch and batch[0] > 1 and any(abs(c * n - 1) < 1e-6 for n in (batch[0], 1 / batch[0])):
            yield probe.suspect("batch of one", leaf, 0.4, f"{says}, which is right for a batch of one")


def _varying(probe: Probe, leaf: int, factors: list[float]) -> Iterator[Suspicion]:
    for name, values in probe.scalars.items():
        for text, power in ((name, 1.0), (f"1/{name}", -1.0), (f"{name}²", 2.0), (f"√{name}", 0.5)):
            made = np.asarray(values) ** power
            if len(factors) == len(values) and np.allclose(factors, made, rtol=10 * probe.tolerance, atol=0):
                yield probe.suspect("constant factor", leaf, 0.0, f"is {text} times what it should be")
                yield probe.suspect("missing factor", leaf, 0.1, f"is {text} times what it should be")
                return
    if np.size(probe.samples[0].got[leaf]) > 1:
        seen = ", ".join(f"{c:.3g}" for c in factors)
        says = f"is off by a factor that depends on the data: {seen}"
        yield probe.suspect("missing factor", leaf, 0.15, says)
        yield probe.suspect("constant factor", leaf, 0.6, says)


def guess(probe: Probe, c: float) -> str:
    """Where a constant factor may come from: "1/4 = 1/x.shape[0]"; the two plainest guesses."""
    known: dict[str, float] = {}
    for name, (array, *_) in known_arrays(probe, probe.samples[:1]):
        for axis, n in enumerate(np.shape(array)):
            known[f"{name}.shape[{axis}]"] = float(n)
        if np.ndim(array) > 1:
            known[f"{name}.size"] = float(np.size(array))
    known |= {name: values[0] for name, values in probe.scalars.items() if np.ptp(values) == 0}
    known |= dict(probe.evidence.settings)
    plain = [("2", 2.0), ("1/2", 0.5), ("-2", -2.0), ("-1/2", -0.5), ("√2", 2**0.5), ("1/√2", 0.5**0.5)]
    sizes: list[tuple[str, float]] = []
    others: list[tuple[str, float]] = []
    for name, n in known.items():
        if n in (0.0, 1.0):
            continue
        sizes += [(f"{n:g} = {name}", n), (f"1/{n:g} = 1/{name}", 1 / n)]
        sizes += [(f"-{n:g} = -{name}", -n), (f"-1/{n:g} = -1/{name}", -1 / n)]
        others += [(f"1 - {n:g} = 1 - {name}", 1 - n), (f"1/(1 - {n:g}) = 1/(1 - {name})", 1 / (1 - n))]
        if n > 0:
            others += [(f"√{n:g} = √{name}", n**0.5), (f"1/√{n:g} = 1/√{name}", n**-0.5)]
        if n > 1:
            others += [(f"{n:g}/{n - 1:g}, with {n:g} = {name}", n / (n - 1))]
            others += [(f"{n - 1:g}/{n:g}, with {n:g} = {name}", (n - 1) / n)]

    def fitting(known: list[tuple[str, float]]) -> list[str]:
        return [text for text, value in known if value and abs(c / value - 1) < 1e-6]

    # That two is two is no news, and that it is the root of four is far-fetched beside it.
    itself = f"{c:.4g}"
    found = fitting(sizes) + fitting(plain)
    if itself not in found:
        found += fitting(others)
    return ", or ".join(text for text in found[:2] if text != itself)


def small_deviation(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """Nearly right on most entries, and exactly right on few."""
    sizes, share = [], []
    for s in probe.samples:
        got, want = s.got[leaf], s.want[leaf]
        scale = np.max(np.abs(want), initial=0.0)
        if not scale or not probe.wrong_at(s, leaf):
            continue
        there = np.abs(want) > 1e-3 * scale
        sizes.append(float(np.max(np.abs(got - want)) / scale))
        share.append(float(np.mean(probe.differs(got, want)[there])))
    if sizes and np.median(sizes) < SMALL and np.median(share) > 0.3:
        yield probe.suspect(
            "small constant", leaf, 0.05, f"has a relative error of {np.median(sizes):.1g} almost everywhere"
        )


def proportional(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """Each entry is off by a factor that an argument or a result holds at its place."""
    shape = np.shape(probe.samples[0].want[leaf])
    known = known_arrays(probe, probe.samples)
    known.append(("the upstream cotangent", [s.dy[0] for s in probe.samples]))
    fitting = [(name, x) for name, x in known if fits(np.shape(x[0]), shape) and np.size(x[0]) > 1]
    for name, x in fitting:
        for text, f in (
            (name, np.positive),
            (f"1 - {name}", _one_minus),
            (f"1 - {name}²", _one_minus_square),
            (f"{name}²", np.square),
            (f"log {name}", _log),
            (f"exp {name}", np.exp),
        ):
            side = _side(probe, leaf, [f(v) for v in x])
            if side:
                own = name in (probe.argument(leaf), "the result") and np.shape(x[0]) == shape
                yield probe.suspect("missing factor", leaf, 0.09 if own else 0.03, f"{side} {text}")
                yield probe.suspect("wrong derivative formula", leaf, 0.06 if own else 0.2, f"{side} {text}")
                return
    for name, x in known:
        for axis in long_axes(shape) if np.shape(x[0]) == shape else ():
            for text, total in (
                (f"‖{name}‖", [np.linalg.norm(v, axis=axis, keepdims=True) for v in x]),
                (f"‖{name}‖²", [np.sum(v * v, axis, keepdims=True) for v in x]),
                (f"the sum of {name}", [np.sum(v, axis, keepdims=True) for v in x]),
            ):
                side = _side(probe, leaf, total)
                if side:
                    yield probe.suspect("missing factor", leaf, 0.02, f"{side} {text}")
                    return
    # The output over the input is a sign where |x| is meant, and one where nothing is.
    for name, x in () if probe.piecewise else fitting:
        for other, z in fitting:
            made = (s.want[leaf] * a / b for s, a, b in zip(probe.samples, x, z, strict=True))
            if other != name and probe.always(leaf, made):
                yield from exchanged(probe, leaf, name, other)
                return
    for axis in long_axes(shape) if len(shape) > 1 else ():
        if all(_same_along(s.got[leaf] / s.want[leaf], axis) for s in probe.samples):
            says = f"is off by a factor that is the same along axis {axis}"
            yield probe.suspect("missing factor", leaf, 0.14, says)


def known_arrays(probe: Probe, samples: Iterable[Sample]) -> list[tuple[str, list[np.ndarray]]]:
    """The float arguments and the results by name, with their values in some samples."""
    samples = tuple(samples)
    slots, results = probe.evidence.slots, range(len(samples[0].y))
    known = [(probe.argument(i), [np.asarray(s.leaves[k]) for s in samples]) for i, k in enumerate(slots)]
    names = ["the result"] if len(results) == 1 else [f"result {k}" for k in results]
    return known + [(names[k], [s.y[k] for s in samples]) for k in results]


def _side(probe: Probe, leaf: int, factors: list[np.ndarray]) -> str:
    """Whether a factor is missing or too much; nothing where neither."""
    pairs = list(zip(probe.samples, factors, strict=True))
    if probe.always(leaf, (s.want[leaf] / f for s, f in pairs)):
        return "lacks the factor"
    return "should not have the factor" if probe.always(leaf, (s.want[leaf] * f for s, f in pairs)) else ""


def _one_minus(x: np.ndarray) -> np.ndarray:
    return 1 - x


def _one_minus_square(x: np.ndarray) -> np.ndarray:
    return 1 - x * x


def _log(x: np.ndarray) -> np.ndarray:
    return np.log(np.abs(x))


def _same_along(ratio: np.ndarray, axis: int) -> bool:
    """Whether lines along an axis hold one value each, where they hold any."""
    lines = np.moveaxis(ratio, axis, -1).reshape(-1, ratio.shape[axis])
    held = [line[np.isfinite(line)] for line in lines]
    return all(h.size > 0 and np.ptp(h) <= 1e-6 * np.max(np.abs(h)) for h in held)


def exchanged(probe: Probe, leaf: int, name: str, other: str) -> Iterator[Suspicion]:
    """The right gradient times `name` over `other`: one stands for the other, above or below the line."""
    says, own = f"has {name} where {other} should be", probe.argument(leaf)
    if "result" in name and other != own:
        yield probe.suspect("time shift", leaf, 0.0, says)
        yield probe.suspect("output for input", leaf, 0.1, says)
        yield probe.suspect("stale residual", leaf, 0.2, says)
    elif "result" in name:
        yield probe.suspect("output for input", leaf, 0.08, says)
        yield probe.suspect("input for output", leaf, 0.12, says)
    elif "result" in other:
        yield probe.suspect("input for output", leaf, 0.08, says)
        yield probe.suspect("output for input", leaf, 0.12, says)
    else:
        yield probe.suspect("missing factor", leaf, 0.15, says)
        yield probe.suspect("stale residual", leaf, 0.2, says)


def unnormalised(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """Off by a row's sum of exponentials, in the row or in all of it but the label."""
    shape = np.shape(probe.samples[0].want[leaf])
    if not shape or shape[-1] < 3:
        return
    slot, sums, rows = probe.evidence.slots[leaf], [], []
    for s in probe.samples:
        z = np.asarray(s.leaves[slot], np.float64)
        ratio = s.got[leaf] / s.want[leaf]
        middle = np.median(ratio, axis=-1, keepdims=True)
        near = np.abs(ratio - middle) <= 1e-6 * np.abs(middle)
        rows.append(
            bool(np.all(near.sum(-1) >= shape[-1] - 1) and np.all(middle > 1) and np.ptp(middle) > 1e-6)
        )
        e = np.exp(z - np.max(z, -1, keepdims=True)), np.exp(z)
        sums.append(
            any(np.mean(np.abs(ratio / total.sum(-1, keepdims=True) - 1) < 1e-6) >= 0.4 for total in e)
        )
    says = "is off by the sum of exponentials that probabilities are divided by"
    if all(sums):
        yield probe.suspect("unnormalised", leaf, 0.0, says)
    elif all(rows) and np.size(probe.samples[0].want[leaf]) > shape[-1]:
        yield probe.suspect(
            "unnormalised", leaf, 0.12, "is off by a factor for each row, as if not normalised"
        )
    elif all(
        abs(np.sum(s.want[leaf], -1)).max() <= 1e-9 * abs(s.want[leaf]).max() for s in probe.samples
    ) and all(abs(np.sum(s.got[leaf], -1)).max() > 1e-6 * abs(s.got[leaf]).max() for s in probe.samples):
        says = "does not sum to zero along the last axis, as it should"
        yield probe.suspect("missing term", leaf, 0.45, says)
        yield probe.suspect("wrong derivative formula", leaf, 0.5, says)
        yield probe.suspect("unnormalised", leaf, 0.55, says)

"""One factor everywhere: a constant, another one in each sample, or one so near to 1 that it is rounded."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from .._evidence import Suspicion
from ..mistakes import Mistake
from ._probe import Probe

# Below this relative size an error everywhere is a rounded constant or a forgotten epsilon.
SMALL = 2e-2


def one_factor(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """The rule's answer is the right one times a number, the same in all samples or another in each."""
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
    if missed > probe.allowed_misses or len(factors) < 2:
        return
    c = float(np.median(factors))
    others = int(np.sum(~np.isclose(factors, c, rtol=10 * probe.tolerance, atol=0)))
    if others + missed > probe.allowed_misses:
        if not missed:
            yield from _varying(probe, leaf, factors)
    elif abs(c + 1) < 10 * probe.tolerance:
        yield from probe.suspect(leaf, "has the wrong sign", {Mistake.SIGN: 0.0})
    elif abs(c - 1) < 10 * probe.tolerance:
        return
    elif abs(c - 1) < SMALL:
        says = f"is {c:.10g} times what it should be"
        yield from probe.suspect(leaf, says, {Mistake.SMALL_CONSTANT: 0.0, Mistake.CONSTANT_FACTOR: 0.3})
    else:
        origin = origin_of_factor(probe, c)
        says = f"is {c:.4g} times what it should be" + (f": {origin}" if origin else "")
        yield from probe.suspect(leaf, says, {Mistake.CONSTANT_FACTOR: 0.0})
        batch = np.shape(probe.samples[0].dy[0])[:1] or np.shape(probe.samples[0].want[leaf])[:1]
        if batch and batch[0] > 1 and any(abs(c * n - 1) < 1e-6 for n in (batch[0], 1 / batch[0])):
            says += ", which is right for a batch of one"
            yield from probe.suspect(leaf, says, {Mistake.BATCH_OF_ONE: 0.4})


def _varying(probe: Probe, leaf: int, factors: list[float]) -> Iterator[Suspicion]:
    """A factor for each sample: a scalar argument, or anything that depends on the data."""
    for name, values in probe.scalars.items():
        for text, power in ((name, 1.0), (f"1/{name}", -1.0), (f"{name}²", 2.0), (f"√{name}", 0.5)):
            made = np.asarray(values) ** power
            if len(factors) == len(values) and np.allclose(factors, made, rtol=10 * probe.tolerance, atol=0):
                says = f"is {text} times what it should be"
                yield from probe.suspect(
                    leaf, says, {Mistake.CONSTANT_FACTOR: 0.0, Mistake.MISSING_FACTOR: 0.1}
                )
                return
    if np.size(probe.samples[0].got[leaf]) > 1:
        seen = ", ".join(f"{c:.3g}" for c in factors)
        says = f"is off by a factor that depends on the data: {seen}"
        yield from probe.suspect(leaf, says, {Mistake.MISSING_FACTOR: 0.15, Mistake.CONSTANT_FACTOR: 0.6})


def origin_of_factor(probe: Probe, c: float) -> str:
    """Where a constant factor may come from: "1/4 = 1/x.shape[0]"; the two plainest guesses."""
    known: dict[str, float] = {}
    for name, (array, *_) in probe.known_arrays(probe.samples[:1]):
        for axis, n in enumerate(np.shape(array)):
            known[f"{name}.shape[{axis}]"] = float(n)
        if np.ndim(array) > 1:
            known[f"{name}.size"] = float(np.size(array))
    known |= {name: values[0] for name, values in probe.scalars.items() if np.ptp(values) == 0}
    known |= dict(probe.evidence.settings)
    plain = [("2", 2.0), ("1/2", 0.5), ("-2", -2.0), ("-1/2", -0.5), ("√2", 2**0.5), ("1/√2", 0.5**0.5)]
    sizes: list[tuple[str, float]] = []
    functions: list[tuple[str, float]] = []
    for name, n in known.items():
        if n in (0.0, 1.0):
            continue
        for sign, s in (("", 1), ("-", -1)):
            sizes += [(f"{sign}{n:g} = {sign}{name}", s * n), (f"{sign}1/{n:g} = {sign}1/{name}", s / n)]
        functions += [(f"1 - {n:g} = 1 - {name}", 1 - n), (f"1/(1 - {n:g}) = 1/(1 - {name})", 1 / (1 - n))]
        if n > 0:
            functions += [(f"√{n:g} = √{name}", n**0.5), (f"1/√{n:g} = 1/√{name}", n**-0.5)]
        if n > 1:
            functions += [(f"{n:g}/{n - 1:g}, with {n:g} = {name}", n / (n - 1))]
            functions += [(f"{n - 1:g}/{n:g}, with {n:g} = {name}", (n - 1) / n)]

    def fitting(candidates: list[tuple[str, float]]) -> list[str]:
        return [text for text, value in candidates if value and abs(c / value - 1) < 1e-6]

    # A factor of 2 needs no "2 = 2", and where a plain number fits, √4 is far-fetched.
    itself = f"{c:.4g}"
    found = fitting(sizes) + fitting(plain)
    if itself not in found:
        found += fitting(functions)
    return ", or ".join(text for text in found[:2] if text != itself)


def small_error(probe: Probe, leaf: int) -> Iterator[Suspicion]:
    """Nearly right on most entries, and exactly right on few."""
    sizes, shares = [], []
    for s in probe.samples:
        got, want = s.got[leaf], s.want[leaf]
        scale = np.max(np.abs(want), initial=0.0)
        if not scale or not probe.wrong_at(s, leaf):
            continue
        there = np.abs(want) > 1e-3 * scale
        sizes.append(float(np.max(np.abs(got - want)) / scale))
        shares.append(float(np.mean(probe.differs(got, want)[there])))
    if sizes and np.median(sizes) < SMALL and np.median(shares) > 0.3:
        says = f"has a relative error of {np.median(sizes):.1g} almost everywhere"
        yield from probe.suspect(leaf, says, {Mistake.SMALL_CONSTANT: 0.05})

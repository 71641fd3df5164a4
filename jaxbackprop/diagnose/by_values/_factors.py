"""Off by a factor: one everywhere, one in each sample, or one an entry."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from jaxbackprop._shapes import broadcasts_to

from .._arrays import in_words, long_axes
from ..mistakes import Mistake as M
from ._lengths import factor_of_longer
from ._probe import Guess, Probe

# Factors that derivatives hold, of an argument or a result.
FUNCTIONS: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("{}", np.positive),
    ("1 - {}", lambda x: 1 - x),
    ("1 - {}²", lambda x: 1 - x * x),
    ("{}²", np.square),
    ("log {}", lambda x: np.log(np.abs(x))),
    ("exp {}", np.exp),
)
# Below this relative size an error everywhere is a rounded constant or a forgotten epsilon.
SMALL = 2e-2


def one_factor(probe: Probe, leaf: int) -> Iterator[Guess]:
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
        yield leaf, "has the wrong sign", {M.SIGN: 0.0}
    elif abs(c - 1) < 10 * probe.tolerance:
        return
    elif abs(c - 1) < SMALL:
        yield leaf, f"is {c:.10g} times what it should be", {M.SMALL_CONSTANT: 0.0, M.CONSTANT_FACTOR: 0.3}
    else:
        origin = origin_of_factor(probe, leaf, c)
        says = f"is {c:.4g} times what it should be" + (f": {origin}" if origin else "")
        yield leaf, says, {M.CONSTANT_FACTOR: 0.0}
        batch = np.shape(probe.samples[0].dy[0])[:1] or np.shape(probe.samples[0].want[leaf])[:1]
        if batch and batch[0] > 1 and any(abs(c * n - 1) < 1e-6 for n in (batch[0], 1 / batch[0])):
            other = factor_of_longer(probe, leaf, batch[0])
            if other is not None and abs(other / c - 1) < 1e-6:
                return
            says += ", which is right for a batch of one"
            yield leaf, says, {M.BATCH_OF_ONE: 0.4}


def _varying(probe: Probe, leaf: int, factors: list[float]) -> Iterator[Guess]:
    """A factor for each sample: a scalar argument, or anything that depends on the data."""
    for name, values in probe.scalars.items():
        for text, power in ((name, 1.0), (f"1/{name}", -1.0), (f"{name}²", 2.0), (f"√{name}", 0.5)):
            made = np.asarray(values) ** power
            if len(factors) == len(values) and np.allclose(factors, made, rtol=10 * probe.tolerance, atol=0):
                says = f"is {text} times what it should be"
                yield leaf, says, {M.CONSTANT_FACTOR: 0.0, M.MISSING_FACTOR: 0.1}
                return
    if np.size(probe.samples[0].got[leaf]) > 1:
        seen = ", ".join(f"{c:.3g}" for c in factors)
        says = f"is off by a factor that depends on the data: {seen}"
        yield leaf, says, {M.MISSING_FACTOR: 0.15, M.CONSTANT_FACTOR: 0.6}


def origin_of_factor(probe: Probe, leaf: int, c: float) -> str:
    """Where a constant factor may come from: "1/4 = 1/x.shape[0]"; the two plainest guesses.

    A length is named where the factor follows it, and as a guess where that cannot be seen.
    """
    lengths: dict[str, int] = {}
    known: dict[str, float] = {}
    for name, (array, *_) in probe.known_arrays(probe.samples[:1]):
        lengths |= {f"{name}.shape[{axis}]": n for axis, n in enumerate(np.shape(array))}
        if np.ndim(array) > 1:
            known[f"{name}.size"] = float(np.size(array))
    known |= {name: values[0] for name, values in probe.scalars.items() if np.ptp(values) == 0}
    known |= dict(probe.evidence.settings)

    @functools.cache
    def longer(n: int) -> float | None:
        return factor_of_longer(probe, leaf, n)

    plain = [("2", 2.0), ("1/2", 0.5), ("-2", -2.0), ("-1/2", -0.5), ("√2", 2**0.5), ("1/√2", 0.5**0.5)]
    found: list[str] = []
    for forms in (_SIZES, plain, _FUNCTIONS):
        # A factor of 2 needs no "2 = 2", and where a plain number fits, √4 is far-fetched.
        if forms is _FUNCTIONS and f"{c:.4g}" in found:
            break
        if forms is plain:
            found += [text for text, value in plain if abs(c / value - 1) < 1e-6]
            continue
        for form, f in forms:
            for name, n in lengths.items():
                if _equals(c, f, n):
                    other = longer(n)
                    if other is None or _equals(other, f, n + 1):
                        found.append(("perhaps " if other is None else "") + form.format(n=n, name=name))
            found += [form.format(n=f"{n:g}", name=name) for name, n in known.items() if _equals(c, f, n)]
    return ", or ".join(text for text in found[:2] if text != f"{c:.4g}")


# How a factor may follow from a number, and how that is said.
_SIZES: tuple[tuple[str, Callable[[float], float]], ...] = (
    ("{n} = {name}", lambda n: n),
    ("1/{n} = 1/{name}", lambda n: 1 / n),
    ("-{n} = -{name}", lambda n: -n),
    ("-1/{n} = -1/{name}", lambda n: -1 / n),
)
_FUNCTIONS: tuple[tuple[str, Callable[[float], float]], ...] = (
    ("1 - {n} = 1 - {name}", lambda n: 1 - n),
    ("1/(1 - {n}) = 1/(1 - {name})", lambda n: 1 / (1 - n)),
    ("√{n} = √{name}", lambda n: math.sqrt(max(n, 0))),
    ("1/√{n} = 1/√{name}", lambda n: 1 / math.sqrt(max(n, 0))),
    ("n/(n - 1), with n = {n} = {name}", lambda n: n / (n - 1)),
    ("(n - 1)/n, with n = {n} = {name}", lambda n: (n - 1) / n),
)


def _equals(c: float, f: Callable[[float], float], n: float) -> bool:
    """Whether a factor is a function of a number that is not trivial."""
    if n in (0, 1):
        return False
    with contextlib.suppress(ZeroDivisionError):
        value = f(n)
        return value != 0 and abs(c / value - 1) < 1e-6
    return False


def small_error(probe: Probe, leaf: int) -> Iterator[Guess]:
    """Nearly right on most entries, and exactly right on few."""
    sizes, shares = [], []
    for s in probe.samples:
        got, want = s.got[leaf], s.want[leaf]
        scale = np.max(np.abs(want), initial=0.0)
        if not scale or not probe.wrong_at(s, leaf):
            continue
        # No rounded constant makes something of nothing; a forgotten mask does.
        if np.any(probe.differs(got, want) & (want == 0)):
            return
        there = np.abs(want) > 1e-3 * scale
        sizes.append(float(np.max(np.abs(got - want)) / scale))
        shares.append(float(np.mean(probe.differs(got, want)[there])))
    if sizes and np.median(sizes) < SMALL and np.median(shares) > 0.3:
        says = f"has a relative error of {np.median(sizes):.1g} almost everywhere"
        yield leaf, says, {M.SMALL_CONSTANT: 0.05}


def along_another_axis(probe: Probe, leaf: int) -> Iterator[Guess]:
    """Off by a factor along one axis times one along another: a sum over the one is taken over the other."""
    axes = long_axes(np.shape(probe.samples[0].want[leaf]))
    for pair in itertools.combinations(axes, 2):
        fits = sum(_factors_along(s.got[leaf], s.want[leaf], pair) for s in probe.samples)
        if fits > 1 and len(probe.samples) - fits <= probe.allowed_misses:
            says = f"is normalised, or summed, over the wrong one of {in_words(pair)}"
            yield leaf, says, {M.WRONG_AXIS: 0.0}
            return


def _factors_along(got: np.ndarray, want: np.ndarray, axes: tuple[int, int]) -> bool:
    """Whether got / want is a product of two factors, each of which varies along one of two axes alone."""
    if np.any(got == 0) or np.any(want == 0) or np.any((got > 0) != (want > 0)):
        return False
    ratio = np.log(got / want)
    along = [ratio - np.mean(ratio, axis, keepdims=True) for axis in axes]
    together = along[0] - np.mean(along[0], axes[1], keepdims=True)
    small = 1e-7 * max(float(np.max(np.abs(ratio))), 1e-30)
    return float(np.max(np.abs(together))) <= small and all(np.max(np.abs(a)) > 1e-2 for a in along)


def known_factor(probe: Probe, leaf: int) -> Iterator[Guess]:
    """The factor is a function of an argument, of a result or of the upstream, at the entry's place."""
    shape = np.shape(probe.samples[0].want[leaf])
    known = probe.known_arrays(probe.samples)
    known.append(("the upstream cotangent", [s.dy[0] for s in probe.samples]))
    fitting = [(name, x) for name, x in known if broadcasts_to(np.shape(x[0]), shape) and np.size(x[0]) > 1]
    for name, x in fitting:
        for text, f in FUNCTIONS:
            side = _side(probe, leaf, [f(v) for v in x])
            if side:
                own = name in (probe.argument(leaf), "the result") and np.shape(x[0]) == shape
                costs = {M.MISSING_FACTOR: 0.09 if own else 0.03, M.WRONG_DERIVATIVE: 0.06 if own else 0.2}
                yield leaf, f"{side} {text.format(name)}", costs
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
                    yield leaf, f"{side} {text}", {M.MISSING_FACTOR: 0.02}
                    return
    # The output over the input is a sign where |x| is meant, and 1 where nothing is.
    for name, x in () if probe.piecewise_linear else fitting:
        for other, z in fitting:
            patterns = (s.want[leaf] * a / b for s, a, b in zip(probe.samples, x, z, strict=True))
            if other != name and probe.is_always(leaf, patterns):
                yield from _in_place_of(probe, leaf, name, other)
                return
    for axis in long_axes(shape) if len(shape) > 1 else ():
        if all(_constant_where_finite(s.got[leaf] / s.want[leaf], axis) for s in probe.samples):
            yield leaf, f"is off by a factor that is the same along axis {axis}", {M.MISSING_FACTOR: 0.14}


def _side(probe: Probe, leaf: int, factors: list[np.ndarray]) -> str:
    """Whether a factor is missing or too much; empty where neither."""
    pairs = list(zip(probe.samples, factors, strict=True))
    if probe.is_always(leaf, (s.want[leaf] / f for s, f in pairs)):
        return "lacks the factor"
    return "should not have the factor" if probe.is_always(leaf, (s.want[leaf] * f for s, f in pairs)) else ""


def _constant_where_finite(ratio: np.ndarray, axis: int) -> bool:
    """Whether lines along an axis hold one value each, and each holds one."""
    lines = np.moveaxis(ratio, axis, -1).reshape(-1, ratio.shape[axis])
    held = [line[np.isfinite(line)] for line in lines]
    return all(h.size > 0 and np.ptp(h) <= 1e-6 * np.max(np.abs(h)) for h in held)


def _in_place_of(probe: Probe, leaf: int, name: str, other: str) -> Iterator[Guess]:
    """The right gradient times `name` over `other`: one stands for the other."""
    if "result" in name and other != probe.argument(leaf):
        costs = {M.TIME_SHIFT: 0.0, M.OUTPUT_FOR_INPUT: 0.1, M.STALE_RESIDUAL: 0.2}
    elif "result" in name:
        costs = {M.OUTPUT_FOR_INPUT: 0.08, M.INPUT_FOR_OUTPUT: 0.12, M.MISSING_FACTOR: 0.3}
    elif "result" in other:
        costs = {M.INPUT_FOR_OUTPUT: 0.08, M.OUTPUT_FOR_INPUT: 0.12, M.MISSING_FACTOR: 0.3}
    else:
        costs = {M.MISSING_FACTOR: 0.15, M.STALE_RESIDUAL: 0.2}
    yield leaf, f"has {name} where {other} should be", costs


def unnormalised_rows(probe: Probe, leaf: int) -> Iterator[Guess]:
    """Off by a factor for each row, in all of it or in all of it but the label; or rows should cancel."""
    shape = np.shape(probe.samples[0].want[leaf])
    if not shape or shape[-1] < 3:
        return
    slot = probe.evidence.slots[leaf]
    by_sum, by_row = True, True
    for s in probe.samples:
        z = np.asarray(s.leaves[slot], np.float64)
        ratio = s.got[leaf] / s.want[leaf]
        middle = np.median(ratio, axis=-1, keepdims=True)
        near = np.abs(ratio - middle) <= 1e-6 * np.abs(middle)
        by_row &= bool(np.all(near.sum(-1) >= shape[-1] - 1) and np.all(middle > 1) and np.ptp(middle) > 1e-6)
        exponentials = np.exp(z - np.max(z, -1, keepdims=True)), np.exp(z)
        by_sum &= any(
            np.mean(np.abs(ratio / e.sum(-1, keepdims=True) - 1) < 1e-6) >= 0.4 for e in exponentials
        )
    if by_sum:
        says = "is off by the sum of exponentials that probabilities are divided by"
        yield leaf, says, {M.UNNORMALISED: 0.0}
    elif by_row and np.size(probe.samples[0].want[leaf]) > shape[-1]:
        yield leaf, "is off by a factor for each row, as if not normalised", {M.UNNORMALISED: 0.12}
    elif all(_rows_cancel(s.want[leaf], 1e-9) and not _rows_cancel(s.got[leaf], 1e-6) for s in probe.samples):
        costs = {M.MISSING_TERM: 0.45, M.WRONG_DERIVATIVE: 0.5, M.UNNORMALISED: 0.55}
        yield leaf, "does not sum to zero along the last axis, as it should", costs


def _rows_cancel(a: np.ndarray, tolerance: float) -> bool:
    return bool(np.max(np.abs(a.sum(-1)), initial=0.0) <= tolerance * np.max(np.abs(a), initial=0.0))

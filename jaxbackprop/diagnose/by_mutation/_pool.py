"""What an edit may bring in: values of both programs, and what is made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from .._evidence import Evidence
from ._evaluator import MutantEvaluator
from ._expressions import Words


@dataclasses.dataclass(frozen=True)
class Available:
    """What an edit may bring in.

    Attributes:
        arrays: its value at every sample.
        said: in words.
        on_dy: whether the cotangent is in it.
        given: whether no differentiable argument is in it.
    """

    arrays: list[np.ndarray]
    said: str
    on_dy: bool
    given: bool


def values_of(program: MutantEvaluator, words: Words) -> Iterator[Available]:
    """The floats and masks of a program that are not everywhere the same number."""
    for i in range(len(program.values[0])):
        arrays = [values[i] for values in program.values]
        if i in program.flat.constants and np.size(arrays[0]) == 1:
            continue
        if not all(isinstance(a, np.ndarray | np.generic) and a.dtype.kind in "fb" for a in arrays):
            continue
        if np.size(arrays[0]) and len({float(x) for a in arrays for x in (np.min(a), np.max(a))}) > 1:
            floats = [np.asarray(a, float) for a in arrays]
            yield Available(floats, words.name(i), i in program.on_dy, i not in program.on_floats)


def distinct(pool: Iterable[Available]) -> list[Available]:
    """One of those that are equal, or a multiple, at every sample."""
    kept, seen = [], set()
    for p in pool:
        both = np.concatenate([np.ravel(p.arrays[0]), np.ravel(p.arrays[-1])])
        size = np.max(np.abs(both), initial=0.0)
        if not np.isfinite(size) or size == 0:
            continue
        key = (p.arrays[0].shape, np.round(both / size, 9).tobytes())
        if key not in seen:
            seen.add(key)
            kept.append(p)
    return kept


def gives_it_away(candidate: Available, evidence: Evidence) -> bool:
    """Whether it is a multiple of what is right: bringing that in would explain everything."""
    for i in evidence.wrong:
        pairs = [(a, s.want[i]) for a, s in zip(candidate.arrays, evidence.samples, strict=True)]
        if all(a.shape == w.shape and a.size > 1 for a, w in pairs):
            ratios = np.concatenate([np.ravel(a / w)[np.ravel(w != 0)] for a, w in pairs])
            if ratios.size and np.ptp(ratios) <= 1e-9 * np.max(np.abs(ratios)):
                return True
    return False


def wider(pool: tuple[Available, ...]) -> list[Available]:
    """Sums of what is available, products of two of them summed, and functions of one entry."""
    small = [p for p in pool if p.arrays[0].size <= 512]
    made = [*_sums(small), *_functions(small)]
    return distinct([*pool, *made])[len(pool) :]


def _sums(small: list[Available]) -> Iterator[Available]:
    for p in small:
        said, rank = f"sum({p.said})", p.arrays[0].ndim
        for axis in (d for d in range(rank) if p.arrays[0].shape[d] > 1):
            yield Available([np.sum(a, axis, keepdims=True) for a in p.arrays], said, p.on_dy, p.given)
        if rank > 1:
            yield Available([np.asarray(np.sum(a)) for a in p.arrays], said, p.on_dy, p.given)
    if len(small) >= 60:
        return
    for n, p in enumerate(small):
        for q in small[: n + 1]:
            if p.arrays[0].shape != q.arrays[0].shape or p.on_dy and q.on_dy:
                continue
            products = [a * b for a, b in zip(p.arrays, q.arrays, strict=True)]
            for axis in range(products[0].ndim):
                sums = [np.sum(x, axis, keepdims=True) for x in products]
                yield Available(sums, f"sum({p.said} {q.said})", p.on_dy or q.on_dy, p.given and q.given)


def _functions(small: list[Available]) -> Iterator[Available]:
    for p in small:
        if p.on_dy:
            continue
        functions = [(f"(1 - {p.said})", lambda a: 1 - a), (f"(1 - {p.said}²)", lambda a: 1 - a * a)]
        if all(np.max(np.abs(a), initial=0.0) < 50 for a in p.arrays):
            functions.append((f"exp({p.said})", np.exp))
        if all(np.all(a > 0) for a in p.arrays):
            functions += [(f"log({p.said})", np.log), (f"sqrt({p.said})", np.sqrt)]
        for said, f in functions:
            yield Available([f(a) for a in p.arrays], said, False, p.given)

"""Naming a mistake by editing programs until one answers what is looked for.

Two searches. The rule's own program, repaired by one edit until it answers what is right: the mistake is what
the edit undoes. The right program, spoilt by one edit until it answers what the rule does: the mistake is the
edit. An edit explains only if it does so at every sample and for all leaves together.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxbackprop._float64 import float64_on_cpu

from .._evidence import Evidence, Suspicion
from ._edits import Edits
from ._numpy_rules import quiet
from ._site import Available, filled
from ._workbench import Bench, Edit, Operand

# Kinds of edits in the order in which they are tried, with their shares of the time that is left.
_ROUNDS = (
    ("unary", 6.0),
    ("columns", 2.0),
    ("replaced", 3.0),
    ("moved", 2.0),
    ("solved", 1.0),
    ("constants", 0.3),
    ("combined", 2.0),
    ("combined_wider", 1.5),
    ("pairs", 1.0),
    ("steps", 0.7),
)
# Not tried where something simple explains the evidence already.
_LAST_RESORTS = {"combined_wider", "pairs", "steps"}
# Samples that an explanation must hold at.
_FEWEST = 3
_STAGES = {"rule": ("got", "want"), "autodiff": ("want", "got")}


def mutations(evidence: Evidence, *, budget_s: float = 2.0) -> list[Suspicion]:
    """The mistakes that one edit of a program explains.

    Args:
        evidence: a wrong rule at several points, and the programs behind it.
        budget_s: seconds after which the search stops with what it has.

    Returns:
        One suspicion a label, likeliest first; none where no edit explains the evidence, or where neither
        program can be traced.
    """
    clock = _Clock()
    found: dict[str, Suspicion] = {}
    with float64_on_cpu(), quiet():
        evidence, benches = _benches(evidence)
        searches = [_Search(bench, stage) for stage, bench in benches.items()]
        pool = _distinct([p for s in searches for p in s.pool() if not _answers(p.arrays, evidence)])
        for search in searches:
            search.edits.pool[:] = pool
        for n, (kind, weight) in enumerate(_ROUNDS):
            if found and min(s.cost for s in found.values()) < 1.12 and kind in _LAST_RESORTS:
                continue
            if kind == "combined_wider":
                for search in searches:
                    search.edits.wider[:] = _distinct([*pool, *_wider(pool)])[len(pool) :]
            for m, search in enumerate(searches):
                waiting = sum(w for _, w in _ROUNDS[n + 1 :]) * len(searches) + weight * (len(searches) - m)
                now = clock.spent()
                stop = now + (budget_s - now) * min(1.0, 1.5 * weight / waiting)
                search.run(kind, clock.until(stop), found)
    if benches and all(not np.any(s.got[i]) for s in evidence.samples for i in evidence.wrong):
        names = ", ".join(evidence.names[i] for i in evidence.wrong)
        leaf = evidence.wrong[0] if len(evidence.wrong) == 1 else None
        found["detached"] = Suspicion("detached", f"{names}: zero everywhere", leaf, 0.5, "rule")
    return sorted(found.values(), key=lambda s: (round(s.cost, 3), s.stage != "rule"))


def _benches(evidence: Evidence) -> tuple[Evidence, dict[str, Bench]]:
    """The programs that can be traced, at the samples where both do what the rule and the truth did."""
    programs = {"rule": evidence.rule_program, "autodiff": evidence.truth_program}
    benches: dict[str, Bench] = {}
    for stage, program in programs.items():
        if program is None or not evidence.wrong:
            continue
        try:
            benches[stage] = Bench(evidence, program, *_STAGES[stage])
        except (
            Exception
        ):  # a program may be untraceable in more ways than can be listed; then it says nothing
            continue
    benches = {stage: bench for stage, bench in benches.items() if sum(bench.reproduced) >= _FEWEST}
    agreed = [all(flags) for flags in zip(*(b.reproduced for b in benches.values()), strict=True)]
    if all(agreed):
        return evidence, benches
    if sum(agreed) < _FEWEST:
        return evidence, {}
    kept = tuple(s for s, agrees in zip(evidence.samples, agreed, strict=True) if agrees)
    return _benches(dataclasses.replace(evidence, samples=kept))


class _Clock:
    """Seconds of this thread's work, or half of those on the wall where others take the machine."""

    def __init__(self) -> None:
        self._work, self._wall = time.thread_time(), time.perf_counter()

    def until(self, stop: float) -> Callable[[], bool]:
        """Tells when it is past a time."""
        return lambda: self.spent() > stop

    def spent(self) -> float:
        """Since the clock was made."""
        return max(time.thread_time() - self._work, 0.5 * (time.perf_counter() - self._wall))


class _Search:
    """One program's edits, tried one by one."""

    def __init__(self, bench: Bench, stage: str):
        self.bench = bench
        self.stage = stage
        self.edits = Edits(bench, repair=stage == "rule", pool=[])
        self.tried = 0

    def pool(self) -> Iterator[Available]:
        """What an edit may bring in."""
        bench = self.bench
        for i in range(len(bench.values[0])):
            arrays = [values[i] for values in bench.values]
            if i in bench.flat.constants and np.size(arrays[0]) == 1:
                continue
            if all(
                isinstance(a, np.ndarray | np.generic) and np.asarray(a).dtype.kind in "fb" for a in arrays
            ):
                if (
                    len(
                        {float(x) for a in arrays for x in (np.min(a), np.max(a))}
                        if np.size(arrays[0])
                        else ()
                    )
                    < 2
                ):
                    continue
                yield Available(
                    [np.asarray(a, float) for a in arrays],
                    self.edits.words.name(i),
                    i in bench.on_dy,
                    i not in bench.on_floats,
                )

    def run(self, kind: str, late: Callable[[], bool], found: dict[str, Suspicion]) -> None:
        """Tries all edits of a kind, until the time is up."""
        if kind == "constants":
            self._solve_constants(found)
            return
        edits = self._pairs() if kind == "pairs" else getattr(self.edits, kind)()
        for edit in edits:
            if late():
                return
            self.tried += 1
            try:
                explained = self._try(edit)
            except (ArithmeticError, AttributeError, IndexError, NotImplementedError, TypeError, ValueError):
                continue  # the edit does not fit here
            if explained is not None:
                self._note(*explained, found)

    def _try(self, edit: Edit) -> tuple[tuple[str, ...], float, str] | None:
        bench = self.bench
        if not bench.reaches_all_wrong(edit):
            return None
        if edit.solve is not None:
            return self._solve(edit)
        return (edit.labels, edit.cost, edit.what) if self._everywhere(edit) else None

    def _everywhere(self, edit: Edit) -> bool:
        screen = self.bench.screen
        return all(
            self.bench.explains(edit, s)
            for s in (screen, *(s for s in range(len(self.bench.values)) if s != screen))
        )

    def _solve(self, edit: Edit) -> tuple[tuple[str, ...], float, str] | None:
        """Gauss and Newton for one number at one sample; the others must then agree."""
        solve, bench, s = edit.solve, self.bench, self.bench.screen
        assert solve is not None
        sizes = [max(gap, 1e3 * tol) for gap, tol in zip(bench.scales[s], bench.tolerance[s], strict=True)]

        def residual(c: float) -> np.ndarray:
            results = bench.answer(solve.edit(c), s)
            return np.concatenate(
                [np.ravel((r - t) / z) for r, t, z in zip(results, bench.targets[s], sizes, strict=True)]
            )

        c, at = solve.null, self._null(sizes)
        other = solve.near
        start = float(at @ at)
        for step in range(8):
            slope = (residual(other) - at) / (other - c)
            steep = float(slope @ slope)
            if not np.isfinite(steep) or steep == 0:
                return None
            c = c - float(slope @ at) / steep
            at = residual(c)
            size = float(at @ at)
            if not np.isfinite(size) or step == 0 and size > 0.3 * start or step == 2 and size > 1e-2 * start:
                return None
            if size < 1e-14 * start:
                break
            other = c + 1e-4 * (abs(c - solve.null) + 1e-6 * abs(c) + 1e-12)
        if not self._everywhere(solve.edit(c)):
            return None
        return solve.labels(c)

    def _solve_constants(self, found: dict[str, Suspicion]) -> None:
        """All scalar constants at once, by Gauss and Newton: several may have been rounded."""
        bench, s = self.bench, self.bench.screen
        constants = self.edits.constants()
        if not 2 <= len(constants) <= 10:
            return
        old = np.array([c for _, c in constants])

        def edit(c: np.ndarray) -> Edit:
            operands: dict[tuple[int, int], Operand] = {}
            for (i, _), new in zip(constants, c, strict=True):
                operands.update(dict.fromkeys(bench.uses[i], filled(new)))
            return Edit(("small constant",), 1.15, "constants are rounded", operands)

        sizes = [max(gap, 1e3 * tol) for gap, tol in zip(bench.scales[s], bench.tolerance[s], strict=True)]

        def residual(c: np.ndarray) -> np.ndarray:
            results = bench.answer(edit(c), s)
            return np.concatenate(
                [np.ravel((r - t) / z) for r, t, z in zip(results, bench.targets[s], sizes, strict=True)]
            )

        c = old
        try:
            for _ in range(5):
                at = residual(c)
                steps = 1e-6 * np.abs(old)
                slopes = np.stack([(residual(c + h) - at) / h[k] for k, h in enumerate(np.diag(steps))], 1)
                c = c - old * np.linalg.lstsq(slopes * old, at, rcond=1e-9)[0]
                if not np.all(np.abs(c - old) < 0.02 * np.abs(old)):
                    return
            if self._everywhere(edit(c)):
                changed = [(o, n) for o, n in zip(old, c, strict=True) if abs(n - o) > 1e-7 * abs(o)]
                said = ", ".join(f"{o:.6g} for {n:.8g}" for o, n in changed)
                self._note(("small constant",), 1.15, f"constants are rounded: {said}", found)
        except (ArithmeticError, ValueError, TypeError, np.linalg.LinAlgError):
            return

    def _pairs(self) -> Iterator[Edit]:
        """Two edits of single equations at once, on small programs."""
        if len(self.bench.live) > 60:
            return
        edits = [e for e in self.edits.simple()]
        ranked = sorted(
            ((a, b) for n, a in enumerate(edits) for b in edits[:n] if not a.touched() & b.touched()),
            key=lambda pair: pair[0].cost + pair[1].cost,
        )
        for a, b in ranked:
            labels = (a.labels[0], b.labels[0]) if a.labels[0] != b.labels[0] else a.labels
            yield Edit(
                labels,
                a.cost + b.cost - 0.65,
                f"{a.what}, and {b.what}",
                {**a.operands, **b.operands},
                {**a.rules, **b.rules},
            )

    def _null(self, sizes: list[float]) -> np.ndarray:
        bench, s = self.bench, self.bench.screen
        return np.concatenate(
            [
                np.ravel((bench.values[s][i] - t) / z)
                for i, t, z in zip(bench.outputs, bench.targets[s], sizes, strict=True)
            ]
        )

    def _note(self, labels: tuple[str, ...], cost: float, what: str, found: dict[str, Suspicion]) -> None:
        evidence = self.bench.evidence
        leaf = evidence.wrong[0] if len(evidence.wrong) == 1 else None
        about = ", ".join(evidence.names[i] for i in evidence.wrong)
        for k, label in enumerate(labels):
            price = cost + 0.06 * k + (0.0 if self.stage == "rule" else 0.1)
            if label not in found or price < found[label].cost:
                found[label] = Suspicion(label, f"{about}: {what}", leaf, price, self.stage)


def _answers(arrays: list[Any], evidence: Evidence) -> bool:
    """Whether an array is a multiple of what is right: bringing that in would explain everything."""
    for i in evidence.wrong:
        pairs = [(a, s.want[i]) for a, s in zip(arrays, evidence.samples, strict=True)]
        if all(a.shape == w.shape and a.size > 1 for a, w in pairs):
            ratios = np.concatenate([np.ravel(a / w)[np.ravel(w != 0)] for a, w in pairs])
            if ratios.size and np.ptp(ratios) <= 1e-9 * np.max(np.abs(ratios)):
                return True
    return False


def _wider(pool: list[Available]) -> Iterator[Available]:
    """Sums of what is available, products with it summed, and functions of one entry."""
    small = [p for p in pool if p.arrays[0].size <= 512]
    for p in small:
        first = p.arrays[0]
        for axis in range(first.ndim):
            if first.shape[axis] > 1:
                sums = [np.sum(a, axis, keepdims=True) for a in p.arrays]
                yield Available(sums, f"sum({p.said})", p.on_dy, p.given)
        if first.ndim > 1:
            yield Available([np.sum(a) for a in p.arrays], f"sum({p.said})", p.on_dy, p.given)
    for n, p in enumerate(small):
        for q in small[: n + 1]:
            shape = p.arrays[0].shape
            if shape == q.arrays[0].shape and not (p.on_dy and q.on_dy) and shape and len(small) < 60:
                for axis in range(len(shape)):
                    sums = [
                        np.sum(a * b, axis, keepdims=True) for a, b in zip(p.arrays, q.arrays, strict=True)
                    ]
                    said = f"sum({p.said} {q.said})"
                    yield Available(sums, said, p.on_dy or q.on_dy, p.given and q.given)
    for p in small:
        if p.on_dy:
            continue
        yield Available([1 - a for a in p.arrays], f"(1 - {p.said})", False, p.given)
        yield Available([1 - a * a for a in p.arrays], f"(1 - {p.said}²)", False, p.given)
        if all(np.max(np.abs(a), initial=0.0) < 50 for a in p.arrays):
            yield Available([np.exp(a) for a in p.arrays], f"exp({p.said})", False, p.given)
        if all(np.all(a > 0) for a in p.arrays):
            yield Available([np.log(a) for a in p.arrays], f"log({p.said})", False, p.given)
            yield Available([np.sqrt(a) for a in p.arrays], f"sqrt({p.said})", False, p.given)


def _distinct(pool: list[Available]) -> list[Available]:
    """One of those that are equal, or a multiple, at every sample."""
    kept, seen = [], set()
    for p in pool:
        both = np.concatenate([np.ravel(p.arrays[0]), np.ravel(p.arrays[-1])])
        size = np.max(np.abs(both), initial=0.0)
        if not np.isfinite(size) or size == 0:
            continue
        key = (np.shape(p.arrays[0]), np.round(both / size, 9).tobytes())
        if key not in seen:
            seen.add(key)
            kept.append(dataclasses.replace(p, arrays=[np.asarray(a) for a in p.arrays]))
    return kept

"""How far value and gradients are from the truth in each dtype, beside autodiff of the plain formula.

The truth is the plain formula at the very floats that the operator sees, to more than fifty digits. Distances
count in units in the last place: of each entry where entries do not mix, else of the array's largest.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._errors import first_line
from jaxbackprop.check import Answer, Evaluator, Layout, Point
from jaxbackprop.ops.catalogue import Case, Operator, operators

from .._exact import ExactProgram, Truth, from_exact, to_exact
from .._operators import CannotVerify, side_by_side
from ._points import Sample, Way, binade_name, binades, draws, rounded, sweep, ways_of
from ._result import AccuracyResult

DTYPES = ("float32", "bfloat16", "float16", "float64")
_Arrays = tuple[np.ndarray, ...]
_FLIPS = 3


def measure(
    names: list[str] | None = None,
    *,
    dense: int = 128,
    workers: int = 1,
    progress: Callable[[str], None] = lambda name: None,
) -> list[AccuracyResult]:
    """Measures operators: one result for value and each gradient, way to call, and dtype.

    Args:
        names: operators; None for all of the catalogue.
        dense: points in each binade of a sweep, where functions bend.
        workers: threads, one operator each; most of the time goes to compilation, which needs one core each.
        progress: is told each operator's name as its turn comes.

    Raises:
        CannotVerify: where a name is not in the catalogue.
    """
    try:
        rows = operators(names)
    except ValueError as error:
        raise CannotVerify(str(error)) from None

    def one(row: Operator) -> list[AccuracyResult]:
        progress(row.name)
        return measure_operator(row, dense=dense)

    return side_by_side(one, rows, workers)


def measure_operator(
    row: Operator, *, dense: int = 128, dtypes: Sequence[str] = DTYPES
) -> list[AccuracyResult]:
    """Measures one operator; see `measure`."""
    # What the caller has set for other random bits must not change what is measured.
    with jax.threefry_partitionable(True):
        return [result for way in _ways(row) for result in _results(row, way, dense, dtypes)]


def _ways(row: Operator) -> list[Way]:
    return ways_of(row, list(inspect.signature(row.op).parameters))


def _results(row: Operator, way: Way, dense: int, dtypes: Sequence[str]) -> list[AccuracyResult]:
    try:
        return _Measurement(row, way, dense).results(dtypes)
    except Exception as error:
        # What cannot be measured keeps no promise, and the others still have their turn.
        said = f"cannot be measured: {first_line(error)}"
        return [AccuracyResult(row.name, way.name, "value", dtypes[0], problems=[said])]


class _Subject:
    """One case of an operator: our program, autodiff's and the exact one, for arguments of one shape."""

    def __init__(self, row: Operator, case: Case, args: tuple[Any, ...]):
        def of(f: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *args: f(*args, **case.keywords)

        self.layout = Layout.of(args, hold_integers=True)
        self.ours, self.oracle = of(row.op), of(row.oracle)
        self.exact = ExactProgram(self.oracle, self.layout)
        self.shapes = [result.shape for result in self.exact.results]
        self._evaluators: dict[Any, tuple[Evaluator, Evaluator]] = {}

    def run(self, dtype: Any, floats: _Arrays, dy: _Arrays) -> tuple[Answer, Answer]:
        """Value and gradients in a dtype, ours and autodiff's."""
        if dtype not in self._evaluators:
            ours, autodiff = (Evaluator.of(f, self.layout, dtype) for f in (self.ours, self.oracle))
            self._evaluators[dtype] = ours, autodiff
        point = Point(self.layout.with_floats(self.layout.leaves, floats), dy)
        ours, autodiff = self._evaluators[dtype]
        return ours.run_one(point), autodiff.run_one(point)

    def sizes(self, floats: _Arrays, dy: _Arrays) -> list[float]:
        """The size of each gradient's largest entry, as it would be without luck.

        What comes from several results may cancel. So the results' cotangents are taken with other signs,
        and the entries' root mean square counts.
        """
        rng = np.random.default_rng(2)
        squares = []
        for _ in range(_FLIPS):
            signed = tuple(d * rng.choice([-1.0, 1.0], d.shape) for d in dy)
            squares.append([np.square(g) for g in self.exact.run(floats, signed)[1]])
        return [
            float(np.sqrt(np.max(from_exact(sum(entries) / _FLIPS), initial=0.0)))
            for entries in zip(*squares, strict=True)
        ]

    def smooth(self, floats: _Arrays, dy: _Arrays) -> bool:
        """Whether the gradient is the same a hair to either side; at kinks and ties any of many will do."""
        rng = np.random.default_rng(3)
        signs = [rng.choice([-1, 1], leaf.shape) for leaf in floats]
        sides = []
        for hair in (2.0**-300, -(2.0**-300)):
            moved = [to_exact(x) * (1 + s * to_exact(hair)) for x, s in zip(floats, signs, strict=True)]
            sides.append(self.exact.run(moved, dy)[1])
        for one, other in zip(*sides, strict=True):
            largest = max(map(abs, one.flat), default=0)
            if np.any(np.abs(one - other) > 1e-3 * largest):
                return False
        return True


@dataclasses.dataclass
class _Errors:
    """Of one quantity entry by entry, the binades of x, where the largest is, whether they are sums."""

    ours: list[np.ndarray] = dataclasses.field(default_factory=list)
    autodiff: list[np.ndarray] = dataclasses.field(default_factory=list)
    binades: list[np.ndarray] = dataclasses.field(default_factory=list)
    worst: float = 0.0
    where: str = ""
    mixed: bool = False

    def add(self, sample: Sample, counts: np.ndarray, ours: np.ndarray, autodiff: np.ndarray) -> None:
        """Adds the entries of an array that count."""
        if not counts.any():
            return
        mine = ours[counts]
        self.ours.append(mine)
        self.autodiff.append(autodiff[counts])
        self.binades.append(np.zeros(mine.shape, int) if sample.x is None else binades(sample.x)[counts])
        worst = int(np.argmax(mine))
        if mine[worst] > self.worst:
            self.worst = float(mine[worst])
            self.where = sample.name(tuple(int(i) for i in np.argwhere(counts)[worst]))


class _Measurement:
    """One operator called in one way."""

    def __init__(self, row: Operator, way: Way, dense: int):
        self.row, self.way, self.dense = row, way, dense
        self.entrywise = row.elementwise or way.bar is not None
        self.parameters = list(inspect.signature(row.op).parameters)
        self.subjects: dict[int, _Subject] = {}
        self.sizes: dict[str, list[float]] = {}

    def results(self, dtypes: Sequence[str]) -> list[AccuracyResult]:
        """One of each quantity and dtype, dtypes together."""
        return [result for name in dtypes for result in self._in(jnp.dtype(name))]

    def _in(self, dtype: Any) -> list[AccuracyResult]:
        errors: dict[str, _Errors] = {}
        for sample in self._samples(dtype):
            self._add(errors, sample, dtype)
        return [self._result(of, dtype, found) for of, found in errors.items()]

    def _samples(self, dtype: Any) -> Iterator[Sample]:
        seen: list[tuple[Any, ...]] = []
        for number, case in enumerate(self.way.cases):
            if self.row.sweep is not None:
                if case.arguments[1:] not in seen:
                    seen.append(case.arguments[1:])
                    yield sweep(self.row, case, dtype, self.dense)
            elif number == 0 or dtype == jnp.float32:
                # Shapes make little difference; the other dtypes take the first alone.
                yield from draws(self.row, case)

    def _add(self, errors: dict[str, _Errors], sample: Sample, dtype: Any) -> None:
        args = rounded(sample.args, dtype)
        subject = self._subject(sample, args)
        rng = np.random.default_rng(1)
        drawn = tuple(
            np.ones(shape) if self.entrywise else rng.normal(size=shape) for shape in subject.shapes
        )
        floats, dy = _floats(args), rounded(drawn, dtype)
        if sample.x is None and jnp.finfo(dtype).bits < 32 and not subject.smooth(floats, dy):
            return
        values, gradients = ([Truth.of(array) for array in part] for part in subject.exact.run(floats, dy))
        info = jnp.finfo(dtype)
        if sample.x is None and any(np.any(np.abs(y.nearest) > float(info.max)) for y in values):
            # What overflows has no gradient to speak of.
            return
        ours, autodiff = subject.run(dtype, floats, dy)
        for truth, mine, theirs in zip(values, ours.value, autodiff.value, strict=True):
            found = errors.setdefault("value", _Errors())
            room = sample.factor if sample.x is None else np.maximum(sample.factor, np.abs(sample.x))
            size = None if self.entrywise else 0.0
            counts = _counts(truth, dtype, 0.0, room, size)
            found.add(sample, counts, *(truth.ulp(y, dtype, size=size) for y in (mine, theirs)))
        sizes = self._sizes(sample, subject, drawn)
        of = (self.parameters[position] for position in subject.layout.arguments)
        both = zip(ours.gradient, autodiff.gradient, strict=True)
        for name, truth, (mine, theirs), size in zip(of, gradients, both, sizes, strict=True):
            found = errors.setdefault(name, _Errors())
            counts = _counts(truth, dtype, self.way.least, sample.factor, size)
            found.mixed = size is not None
            found.add(sample, counts, *(truth.ulp(y, dtype, size=size) for y in (mine, theirs)))

    def _sizes(self, sample: Sample, subject: _Subject, dy: _Arrays) -> list[float | None]:
        """For each gradient the size of its largest entry; None where each is measured by itself."""
        floats = _floats(sample.args)
        # What was broadcast is summed, even if the operator mixes no entries.
        summed = [
            not self.entrywise or (self.way.bar is None and leaf.shape not in subject.shapes)
            for leaf in floats
        ]
        if not any(summed):
            return [None] * len(summed)
        if sample.label not in self.sizes:
            # Much the same in every dtype, so that once is enough.
            self.sizes[sample.label] = subject.sizes(floats, dy)
        return [size if whole else None for size, whole in zip(self.sizes[sample.label], summed, strict=True)]

    def _subject(self, sample: Sample, args: tuple[Any, ...]) -> _Subject:
        if sample.x is not None:
            return _Subject(self.row, sample.case, args)
        key = id(sample.case)
        if key not in self.subjects:
            self.subjects[key] = _Subject(self.row, sample.case, args)
        return self.subjects[key]

    def _result(self, of: str, dtype: Any, errors: _Errors) -> AccuracyResult:
        ours, autodiff = (np.concatenate([*part, np.zeros(0)]) for part in (errors.ours, errors.autodiff))
        bar = None if of == "value" else self.way.bar
        return AccuracyResult(
            operator=self.row.name,
            way=self.way.name,
            of=of,
            dtype=dtype.name,
            entries=ours.size,
            largest=float(np.max(ours, initial=0.0)),
            mean=float(np.sum(ours)) / max(1, ours.size),
            worst=errors.where,
            autodiff_largest=float(np.max(autodiff, initial=0.0)),
            autodiff_mean=float(np.sum(autodiff)) / max(1, ours.size),
            bar=bar,
            problems=[] if of == "value" else _broken(errors, ours, autodiff, bar),
        )


def _floats(args: tuple[Any, ...]) -> _Arrays:
    layout = Layout.of(args)
    return layout.floats_of(layout.leaves)


def _counts(
    truth: Truth, dtype: Any, least: float, room: np.ndarray | float, size: float | None
) -> np.ndarray:
    """Which entries count: those in the range of normal numbers, for XLA flushes smaller ones to zero.

    Intermediate ones too: in c g(x) it is g that underflows first, hence some room. An exact 0 counts, unless
    nothing small does.
    """
    info = jnp.finfo(dtype)
    magnitude = np.abs(truth.nearest)
    held = magnitude <= float(info.max)
    if size is not None:
        largest = max(size, float(np.max(magnitude, initial=0.0)))
        return held & (largest == 0 or float(info.tiny) <= largest <= float(info.max))
    return held & (
        (magnitude >= np.maximum(float(info.tiny) * room, least)) | (magnitude == 0) & (least == 0)
    )


def _broken(errors: _Errors, ours: np.ndarray, autodiff: np.ndarray, bar: float | None) -> list[str]:
    """Where the promise is broken, binade by binade of a sweep; in one sentence about the worst."""
    if errors.mixed:
        return _broken_on_average(ours, autodiff)
    numbers = np.concatenate([*errors.binades, np.zeros(0, int)])
    broken = []
    for number in np.unique(numbers):
        there = numbers == number
        worst, theirs = float(ours[there].max()), float(autodiff[there].max())
        if worst > (theirs + 1 if bar is None else bar) or np.isinf(worst):
            broken.append((worst, theirs, int(number)))
    if not broken:
        return []
    worst, theirs, number = max(broken)
    said = f"{worst:.3g} ulp" + (f" for {binade_name(number)}" if number else "")
    promised = "" if bar is None else f", promised are {bar:g}"
    more = f"; {len(broken) - 1} other binades" if len(broken) > 1 else ""
    return [f"{said} (autodiff {theirs:.3g}{promised}){more}"]


def _broken_on_average(ours: np.ndarray, autodiff: np.ndarray) -> list[str]:
    """Where entries are added up, the order of the additions decides whose largest error is larger.

    So the promise is about the mean, and the largest may be a few times autodiff's, but not of another kind.
    """
    if not ours.size:
        return []
    mean, their_mean = float(np.mean(ours)), float(np.mean(autodiff))
    largest, their_largest = float(ours.max()), float(autodiff.max())
    if mean <= their_mean + 1 and largest <= 4 * (their_largest + 1):
        return []
    return [f"{largest:.3g} ulp, on average {mean:.3g} (autodiff {their_largest:.3g} and {their_mean:.3g})"]

"""One rule under trial: its machines, the spots it is looked at, and what is right there."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from . import _kinks
from ._differences import Differences, Directions
from ._machine import Answer, Machine, Spot
from ._probes import cotangents, redraws, room
from ._strip import coarsest, strip, tolerance
from ._subject import UNTRACEABLE, CannotCheck, Layout, Subject
from ._truth import Arrays, Estimate, fourth_differences, nearby_line, to_numpy64

Found = TypeVar("Found")

_EPS = float(np.finfo(np.float64).eps)


@dataclasses.dataclass(frozen=True)
class Look:
    """A spot, what the rule answers there in float64 and what is right.

    Attributes:
        kind: "base", how the cotangent differs there ("zero", ...), or how the arguments were redrawn.
        spot: arguments and cotangents.
        got: the rule's answer.
        want: the right ones; nan where unknown.
        noise: how far a right answer may be off, an array a leaf.
        y: results of the function.
    """

    kind: str
    spot: Spot
    got: Answer
    want: Arrays
    noise: Arrays
    y: Arrays

    @property
    def redrawn(self) -> bool:
        """Whether the arguments are others than the caller's."""
        return self.kind not in BASE_KINDS


@dataclasses.dataclass(frozen=True)
class Blur:
    """What rounding explains in the arguments' own dtypes at a spot, a number a differentiable leaf.

    Attributes:
        error: autodiff's own distance from the truth, there and a unit in the last place aside.
        noise: how far a right rule may be off.
        finite: whether autodiff is finite.
    """

    error: tuple[float, ...]
    noise: tuple[float, ...]
    finite: tuple[bool, ...]


@dataclasses.dataclass(frozen=True)
class Compared:
    """A gradient beside what it was held against.

    Attributes:
        how: "float64" (with the truth), "own" (with the truth, in the arguments' own dtypes), "differences",
            "jit" (with operation by operation) or "vmap" (with a loop).
        leaf: the differentiable leaf.
        got: the rule's gradient; along directions for "differences".
        want: what it was held against.
        noise: the error of that, where it is known.
    """

    how: str
    leaf: int
    got: np.ndarray
    want: np.ndarray
    noise: np.ndarray | float = 0.0


# Neither of extreme size nor with ties.
_USUAL = ("base", "fresh", "generic", "other", "flipped", "positive", "negative")
# From so many numbers on memory asks for fewer spots.
_LARGE = 1 << 20
# From so many numbers on a quick check leaves out what would take its second alone.
VERY_MANY = 1 << 14
BASE_KINDS = ("base", "fresh", "sum", "minus twice", "zero", "much", "little", "alone")


class Trial:
    """Machines and spots for one rule; raises CannotCheck where there is nothing to judge."""

    def __init__(self, subject: Subject, args: tuple[Any, ...], *, quick: bool, domains: Any, seed: int):
        self.subject, self.quick, self.domains = subject, quick, domains
        self.rng = np.random.default_rng(seed)
        self.notes: list[str] = []
        self.compared: list[Compared] = []
        self.figures = False
        self.kept: tuple[int, int] | None = None
        self.kinks: set[int] = set()
        self.usual_size: list[float] = []
        self.caller_x64 = jax.dtypes.canonicalize_dtype(np.float64) == np.float64
        wide_leaf = any(
            isinstance(leaf, jax.Array) and leaf.dtype in (np.float64, np.int64)
            for leaf in jax.tree.leaves(args)
        )
        # Float64 is what NumPy computes in, whatever jax is set to.
        in_numpy = subject.rule is not None and not any(
            isinstance(v, jax.Array) for v in jax.tree.leaves(args)
        )
        self.x64 = self.caller_x64 or wide_leaf or in_numpy
        self.layout, self.traced = self._layout(args)
        if not self.layout.floats:
            raise CannotCheck(f"{subject.name} has no floating-point argument to be differentiated")
        self.own_x64 = self.x64 or self.layout.keyed
        self.rule = self.machine(subject.rule_pull(self.layout), wide=True)
        self.own = self.machine(subject.rule_pull(self.layout), wide=False)
        self.result = self._results()
        floats = [y for y in jax.tree.leaves(self.result) if jnp.issubdtype(y.dtype, jnp.floating)]
        self.shapes = [tuple(y.shape) for y in floats]
        if not floats:
            raise CannotCheck(f"{subject.name} has no floating-point result to be differentiated")
        self.numbers = sum(np.size(leaf) for leaf in self.layout.leaves)
        self.large = self.numbers > _LARGE
        self.base = Spot(self._base_leaves(), cotangents(self.shapes, self.rng))
        self.truth, self.rough = self._judges()

    @property
    def names(self) -> list[str]:
        """How messages call the cotangent of each differentiable leaf: "dW", "dparams['b']"."""
        called = self.parameters(max(self.layout.arguments) + 1)
        places = zip(self.layout.arguments, self.layout.paths, strict=True)
        return [f"d{called[argument]}{path}" for argument, path in places]

    @property
    def much(self) -> float:
        """By how much cotangents are scaled: past what rules clip or drop, where the dtypes allow."""
        dtypes = [self.layout.leaves[i].dtype for i in self.layout.floats]
        dtypes += [y.dtype for y in jax.tree.leaves(self.result)]
        return 2.0**10 if any(d == np.float16 for d in dtypes) else 2.0**20

    def parameters(self, count: int) -> list[str]:
        """What the first arguments are called where the function is written."""
        try:
            found = list(inspect.signature(self.subject.given[0]).parameters.values())
        except (TypeError, ValueError):
            found = []
        usual = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        given = [p.name for p in found if p.kind in usual]
        return given[:count] + [f"x{i}" for i in range(len(given), count)]

    # -- what can be run, and how ------------------------------------------------------------------------

    @contextlib.contextmanager
    def own_setting(self) -> Iterator[None]:
        """The caller's settings, with x64 on where the arguments hold float64."""
        with jax.enable_x64(self.x64):
            yield

    def machine(self, pull: Any, *, wide: bool) -> Machine:
        """A machine for a pull, in float64 or in the arguments' own dtypes."""
        return Machine(pull, self.layout, wide=wide, traced=self.traced, x64=self.own_x64)

    def _layout(self, args: tuple[Any, ...]) -> tuple[Layout, bool]:
        """The arguments taken apart so that the function can be traced, if it can."""
        failure: Exception | None = None
        for trace_floats, hold in ((True, False), (False, False), (False, True)):
            layout = Layout.of(args, self.subject.static, trace_floats=trace_floats, hold=hold, x64=self.x64)
            try:
                with self.own_setting():
                    leaves = tuple(jax.ShapeDtypeStruct(np.shape(v), v.dtype) for v in layout.leaves)
                    ys = jax.eval_shape(
                        lambda *v, at=layout: self.subject.results(at, self.subject.value, v), *leaves
                    )
                    if self.subject.rule is not None:
                        # A pair need not be traceable: in NumPy it is not.
                        jax.eval_shape(self.subject.rule_pull(layout), leaves, ys)
                return layout, True
            except Exception as error:
                failure = failure or error
        layout = Layout.of(args, self.subject.static, trace_floats=True, hold=False, x64=self.x64)
        if self.subject.rule is None and not isinstance(failure, UNTRACEABLE):
            raise CannotCheck(f"{self.subject.name} raises at these arguments: {_first_line(failure)}")
        return layout, False

    def _base_leaves(self) -> tuple[Any, ...]:
        leaves = list(self.layout.leaves)
        for i in self.layout.floats:
            leaves[i] = to_numpy64(leaves[i])
        return tuple(leaves)

    def _results(self) -> Any:
        """The function's results, or their shapes where they can be had without computing."""
        value, layout = self.subject.value, self.layout
        try:
            with self.own_setting():
                if not self.traced:
                    return jax.tree.map(np.asarray, value(*layout.args(layout.leaves)))
                structs = tuple(jax.ShapeDtypeStruct(np.shape(v), v.dtype) for v in layout.leaves)
                return jax.eval_shape(lambda *v: value(*layout.args(v)), *structs)
        except Exception as error:
            raise CannotCheck(
                f"{self.subject.name} raises at these arguments: {_first_line(error)}"
            ) from error

    def _judges(self) -> tuple[Machine | None, Machine | None]:
        """What is right, in float64 and in the arguments' own dtypes; None where differences alone judge."""
        subject, layout = self.subject, self.layout
        if subject.intended is not None:
            pull = subject.truth_pull(layout)
        elif not self.traced and subject.rule is not None and subject.oracle is subject.value:
            return None, None
        else:
            source = subject.oracle if subject.oracle is not None else subject.value
            if subject.oracle is not None:
                self._must_fit(subject.oracle)
            pull = subject.by_autodiff(layout, strip(source) if self.traced else source, twice=False)
        assert pull is not None
        judge, rough = self.machine(pull, wide=True), self.machine(pull, wide=False)
        if self.traced:
            self._compile(judge)
        for traced in (True, False):
            judge.traced = traced
            try:
                judge.run([self.base])
                break
            except Exception as error:
                failure = error
        else:
            if subject.intended is not None:
                raise CannotCheck(
                    f"oracle_vjp raises at these arguments: {_first_line(failure)}"
                ) from failure
            rough.traced = self.traced
            try:
                rough.run([self.base])
            except Exception:
                self.notes.append(
                    f"autodiff cannot follow the function ({_first_line(failure)}): differences alone judge"
                )
                return None, None
            # A dtype is written into the function: what judges it runs in the arguments' own, as the rule.
            self.notes.append(f"the function cannot be run in float64: {_first_line(failure)}")
            self.rule = self.own
            return rough, rough
        rough.traced = judge.traced
        return judge, rough

    def _must_fit(self, oracle: Callable[..., Any]) -> None:
        """The oracle's results have the shapes of the operator's."""
        try:
            with self.own_setting():
                if self.traced:
                    structs = tuple(jax.ShapeDtypeStruct(np.shape(v), v.dtype) for v in self.layout.leaves)
                    ys = jax.eval_shape(lambda *v: self.subject.results(self.layout, oracle, v), *structs)
                else:
                    ys = self.subject.results(self.layout, oracle, self.layout.leaves)
        except UNTRACEABLE:
            return
        except Exception as error:
            raise CannotCheck(f"the oracle raises at these arguments: {_first_line(error)}") from error
        shapes = [tuple(np.shape(y)) for y in ys]
        if shapes != self.shapes:
            raise CannotCheck(
                f"the oracle's results have shapes {shapes}, but those of {self.subject.name} {self.shapes}"
            )

    def _compile(self, judge: Machine) -> None:
        """All programs, two at a time: XLA compiles without holding Python's lock."""
        with ThreadPoolExecutor(2) as pool:
            for machine in (self.rule, judge, self.own):
                # One after another, for rules with a memory; the lowered program is all that a thread gets.
                machine.prepare(self.base, pool)

    # -- looking -----------------------------------------------------------------------------------------

    def spots(self) -> Iterator[tuple[str, Spot]]:
        """The caller's arguments under several cotangents, then arguments drawn anew."""
        leaves, dy = self.base.leaves, self.base.dy
        fresh = cotangents(self.shapes, self.rng)
        yield "base", self.base
        yield "fresh", Spot(leaves, fresh)
        yield "sum", Spot(leaves, tuple(a + b for a, b in zip(dy, fresh, strict=True)))
        yield "minus twice", Spot(leaves, tuple(-2 * d for d in dy))
        if self.large:
            self.notes.append("the arguments are large: looked at few points")
            for drawn in redraws(self.layout, self.domains, self.rng, quick=True):
                if drawn.kind in ("generic", "tied"):
                    yield drawn.kind, Spot(drawn.leaves, cotangents(self.shapes, self.rng))
            return
        yield "zero", Spot(leaves, tuple(0 * d for d in dy))
        yield "much", Spot(leaves, tuple(self.much * d for d in dy))
        yield "little", Spot(leaves, tuple(d / self.much for d in dy))
        if len(dy) > 1:
            for k in range(len(dy)):
                yield "alone", Spot(leaves, tuple(d if i == k else 0 * d for i, d in enumerate(dy)))
        for drawn in redraws(self.layout, self.domains, self.rng, quick=self.quick):
            yield drawn.kind, Spot(drawn.leaves, cotangents(self.shapes, self.rng))

    def looks(
        self, spots: list[tuple[str, Spot]], rule: Machine | None = None, truth: Machine | None = None
    ) -> list[Look]:
        """The rule beside the truth at each spot; redrawn spots where anything is not finite are left out."""
        rule, truth = rule or self.rule, truth or self.truth
        answers = rule.run([spot for _, spot in spots])
        if truth is None:
            return self._looks_by_differences(spots, answers)
        rights = truth.run([spot for _, spot in spots])
        draws = 1 if self.quick else 2
        jittered = truth.run([self._jittered(spot, _EPS, n) for _, spot in spots for n in range(draws)])
        looks = []
        for at, ((kind, spot), got, right) in enumerate(zip(spots, answers, rights, strict=True)):
            want = tuple(to_numpy64(g) for g in right.gradient)
            if not all(np.all(np.isfinite(y)) for y in (*right.y, *got.again)):
                self._note_not_finite(kind)
                continue
            if kind not in BASE_KINDS and not all(np.all(np.isfinite(w)) for w in want):
                continue
            near = [jittered[draws * at + n].gradient for n in range(draws)]
            moved = self._moved(spot, right.y, want, near)
            noise = self._noise(spot, want, right.y, moved)
            y = tuple(to_numpy64(y) for y in right.y)
            looks.append(Look(kind, spot, got, want, noise, y))
        return self._with_floor(looks)

    def _note_not_finite(self, kind: str) -> None:
        note = "the function is not finite at the given arguments: judged at redrawn ones"
        if kind == "base" and note not in self.notes:
            self.notes.append(note)

    def _with_floor(self, looks: list[Look]) -> list[Look]:
        """Where a gradient dies out, as in saturation, rounding of what it usually is remains of it."""
        usual = [look for look in looks if look.kind in _USUAL]
        eps = max(_EPS, self.wide_eps)
        self.usual_size = [
            max((_largest(look.want[leaf]) for look in usual), default=0.0)
            for leaf in range(len(self.layout.floats))
        ]
        floors = [32 * eps * size for size in self.usual_size]
        return [
            dataclasses.replace(look, noise=tuple(n + f for n, f in zip(look.noise, floors, strict=True)))
            for look in looks
        ]

    @functools.cached_property
    def rounding(self) -> Arrays:
        """How much rounding blurs the truth at the caller's point: one standard deviation an entry."""
        floats = tuple(np.asarray(self.base.leaves[i], np.float64) for i in self.layout.floats)
        truth = self.truth
        if truth is None:
            return tuple(np.zeros_like(leaf) for leaf in floats)
        spots = [
            Spot(self.layout.with_floats(self.base.leaves, moved), self.base.dy)
            for moved in nearby_line(floats)
        ]
        return fourth_differences([tuple(map(to_numpy64, a.gradient)) for a in truth.run(spots)])

    def _moved(self, spot: Spot, y: Arrays, want: Arrays, near: list[Arrays]) -> Arrays:
        """How far the truth moves with its arguments' last digits, and its own rounding with it."""
        eps = max(_EPS, self.wide_eps)
        moved = []
        for i, (slot, w) in enumerate(zip(self.layout.floats, want, strict=True)):
            with np.errstate(all="ignore"):
                far = np.max([np.abs(to_numpy64(n[i]) - w) for n in near], axis=0)
            # A jump is no rounding but a kink that was crossed, and kinks are judged otherwise.
            most = 1e-9 * max(_largest(w), self.backward_error(spot, y, slot))
            moved.append(np.minimum(np.where(np.isfinite(far), far, 0.0), most) * (eps / _EPS))
        return tuple(moved)

    def _noise(self, spot: Spot, want: Arrays, y: Arrays, moved: Arrays) -> Arrays:
        """How far a right rule in float64 may be off: rounding moves the truth, and adds up in it."""
        eps = max(_EPS, self.wide_eps)
        noise = []
        for slot, w, m in zip(self.layout.floats, want, moved, strict=True):
            floor = 1e5 * eps * _largest(w) + 4096 * eps * self.backward_error(spot, y, slot) + 1e-290
            noise.append(np.asarray(1e2 * m + floor))
        return tuple(noise)

    @property
    def wide_eps(self) -> float:
        """The rounding of the coarsest dtype that the rule or the oracle computes in when given float64."""
        if self.rule is self.own:
            own = [self.layout.leaves[i].dtype for i in self.layout.floats]
            return max(self.tolerance, *(float(jnp.finfo(dtype).eps) for dtype in own)) / 1e3
        if not self.narrows:
            return self.tolerance / 1e3
        # What rounds in float32 adds up far less than the float64 floor allows for, and half precision rounds
        # so coarsely that the same allowance would hide a factor of two.
        eps = float(jnp.finfo(self.narrows).eps)
        return max(self.tolerance / 1e3, eps / (1e3 if eps < 1e-5 else 1e4))

    @functools.cached_property
    def tolerance(self) -> float:
        """At which a loop of the function stops: what it gives is no more exact than that."""
        return tolerance(self.rule.jaxpr) if self.rule.jaxpr is not None else 0.0

    def rounds_alone(self, leaf: int) -> bool:
        """Whether the rule, but not the function, computes in a coarser dtype than a leaf has."""
        rule, truth = self._coarsest
        return rule > float(jnp.finfo(self.layout.leaves[self.layout.floats[leaf]].dtype).eps) >= truth

    @functools.cached_property
    def _coarsest(self) -> tuple[float, float]:
        """The rounding that the rule and the truth have of their own though given float64."""
        dtypes = [coarsest(m.jaxpr) if m and m.jaxpr else None for m in (self.rule, self.truth)]
        rule, truth = (0.0 if dtype is None else float(jnp.finfo(dtype).eps) for dtype in dtypes)
        return rule, truth

    @functools.cached_property
    def narrows(self) -> str | None:
        """The coarsest dtype that the rule or the oracle computes in though given float64; None if none."""
        dtypes = [coarsest(m.jaxpr) for m in (self.rule, self.truth) if m is not None and m.jaxpr is not None]
        found = [dtype for dtype in dtypes if dtype is not None]
        return max(found, key=lambda dtype: float(jnp.finfo(dtype).eps)).name if found else None

    def backward_error(self, spot: Spot, y: Arrays, slot: int) -> float:
        """What one relative rounding of the results is worth in a derivative: |dy·y| over the size of x."""
        x = np.asarray(spot.leaves[slot], np.float64)
        size = float(np.max(np.abs(x), initial=0.0))
        with np.errstate(all="ignore"):
            terms = [np.sum(np.abs(d * to_numpy64(v))) for d, v in zip(spot.dy, y, strict=True)]
        weight = float(sum(t for t in terms if np.isfinite(t)))
        return weight / size if size else 0.0

    def excused(self, spot: Spot, answer: Answer, judge: Callable[[Blur], Found]) -> Found:
        """What a judge finds at a spot in the arguments' own dtypes.

        Most rules pass with the rounding of the dtype alone. Only where one does not is autodiff's own error
        asked for: it takes a program of its own.
        """
        found = judge(self._blur(spot, answer, None))
        if found and self.truth is not None and self.rough is not None:
            return judge(self._blur(spot, *self._autodiff_nearby(spot)))
        return found

    def _autodiff_nearby(self, spot: Spot) -> tuple[Answer, list[tuple[Answer, Answer]]]:
        """The truth at a spot and, there and a unit in the last place aside, autodiff beside the truth."""
        assert self.truth is not None
        assert self.rough is not None
        near = [spot, *(self._jittered(spot, None, n) for n in (1, 2))]
        exact, rough = self.truth.run(near), self.rough.run(near)
        return exact[0], list(zip(rough, exact, strict=True))

    def _blur(self, spot: Spot, truth: Answer, near: list[tuple[Answer, Answer]] | None) -> Blur:
        dtypes = [self.layout.leaves[i].dtype for i in self.layout.floats]
        coarse = max(float(jnp.finfo(y.dtype).eps) for y in near[0][0].y) if near else 0.0
        coarse = max(coarse, self.tolerance, *(float(jnp.finfo(dtype).eps) for dtype in dtypes))
        errors, noises, finite = [], [], []
        for leaf, slot in enumerate(self.layout.floats):
            want = to_numpy64(truth.gradient[leaf])
            pairs = [(to_numpy64(a.gradient[leaf]), to_numpy64(b.gradient[leaf])) for a, b in near or ()]
            with np.errstate(all="ignore"):
                far = [_largest(own - here) for own, here in pairs]
                far += [_largest(here - want) for _, here in pairs]
            error = max(far, default=0.0)
            usual = coarse * (32 * _largest(want) + 6 * self.backward_error(spot, truth.y, slot))
            noises.append(8 * error + usual + 64 * float(jnp.finfo(dtypes[leaf]).tiny))
            errors.append(error)
            finite.append(all(bool(np.all(np.isfinite(own))) for own, _ in pairs[:1]))
        return Blur(tuple(errors), tuple(noises), tuple(finite))

    def _jittered(self, spot: Spot, eps: float | None, seed: int) -> Spot:
        """A spot moved by a relative `eps`; None moves by a unit in the last place of each leaf's own dtype.

        The cotangents move too: where they cancel against each other, their rounding is what remains.
        """
        rng = np.random.default_rng(seed + 1)
        leaves = list(spot.leaves)
        coarse = 0.0
        for i in self.layout.floats:
            info = jnp.finfo(self.layout.leaves[i].dtype)
            coarse = max(coarse, float(info.eps))
            move = rng.uniform(-1, 1, np.shape(leaves[i]))
            if eps is None:
                leaves[i] = leaves[i] * (1 + float(info.eps) * move)
                leaves[i] = np.asarray(leaves[i]).astype(info.dtype).astype(np.float64)
            else:
                leaves[i] = leaves[i] * (1 + eps * move)
        size = coarse if eps is None else eps
        return Spot(tuple(leaves), tuple(d * (1 + size * rng.uniform(-1, 1, d.shape)) for d in spot.dy))

    # -- differences and kinks ---------------------------------------------------------------------------

    @functools.cached_property
    def differences(self) -> Differences:
        """Differences of the plain function."""
        f = self.subject.oracle or self.subject.value
        source = strip(f) if self.traced else f
        eps = 8 * 1e3 * self.wide_eps
        return Differences(
            lambda leaves: self.subject.results(self.layout, source, leaves),
            self.layout,
            traced=self.traced,
            eps=eps,
            room=lambda leaves: room(self.layout, self.domains, leaves),
        )

    def _looks_by_differences(self, spots: list[tuple[str, Spot]], answers: list[Answer]) -> list[Look]:
        looks = []
        for (kind, spot), got in zip(spots, answers, strict=True):
            if kind in ("sum", "minus twice", "zero", "much", "little"):
                continue
            if not all(np.all(np.isfinite(y)) for y in got.again):
                self._note_not_finite(kind)
                continue
            want, noise = self.by_differences(spot)
            looks.append(Look(kind, spot, got, want, noise, tuple(to_numpy64(y) for y in got.again)))
        return looks

    def by_differences(self, spot: Spot) -> tuple[Arrays, Arrays]:
        """Gradients by differences, nan where none was taken or none converges, and their noise."""
        floats = tuple(np.asarray(spot.leaves[i], np.float64) for i in self.layout.floats)
        directions = Directions.of(floats, np.random.default_rng(0))
        return _at_entries(floats, directions, self.differences.along(spot, directions))

    def kink(self, look: Look, leaf: int) -> _kinks.Kink | None:
        """Whether a leaf's gradient at a spot is at a kink, and how far out of its hull the answer is."""
        slots = self.layout.floats
        shapes = [np.shape(look.spot.leaves[i]) for i in slots]
        sizes = [int(np.prod(s)) for s in shapes]
        ends = np.cumsum(sizes)
        here = slice(int(ends[leaf] - sizes[leaf]), int(ends[leaf]))
        if ends[-1] > (_LARGE if self.truth is not None else 256):
            return None
        scale = np.concatenate(
            [np.full(n, self._leaf_size(look.spot.leaves[i])) for i, n in zip(slots, sizes, strict=True)]
        )
        x = _kinks.flat(tuple(look.spot.leaves[i] for i in slots))

        def gradients(moves: list[np.ndarray]) -> np.ndarray:
            spots = []
            for move in moves:
                moved = np.split(x + move, ends[:-1])
                floats = tuple(m.reshape(s) for m, s in zip(moved, shapes, strict=True))
                spots.append(Spot(self.layout.with_floats(look.spot.leaves, floats), look.spot.dy))
            if self.truth is None:
                return np.stack([self.differences.gradient(spot) for spot in spots])
            return np.stack([_kinks.flat(answer.gradient) for answer in self.truth.run(spots)])

        answer = _kinks.flat(look.got.gradient)
        own = _kinks.flat(look.want)
        # Differences want room between a kink and their step.
        radius = _kinks.RADIUS if self.truth is not None else 2.0**-12
        rng = np.random.default_rng(0)
        return _kinks.look(answer, own, here, scale, gradients, rng, radius=radius)

    def nearby_mean(self, look: Look, leaf: int) -> tuple[np.ndarray, float]:
        """The gradient around a spot where autodiff itself is not finite, and how much it varies."""
        assert self.truth is not None
        near = [self._jittered(look.spot, 2.0**-24, n) for n in range(4)]
        moved = []
        rng = np.random.default_rng(0)
        for spot in near:
            leaves = list(spot.leaves)
            for i in self.layout.floats:
                shake = rng.uniform(-1, 1, np.shape(leaves[i]))
                leaves[i] = leaves[i] + 2.0**-24 * self._leaf_size(leaves[i]) * shake
            moved.append(Spot(tuple(leaves), spot.dy))
        gradients = np.stack([to_numpy64(a.gradient[leaf]) for a in self.truth.run(moved)])
        return np.mean(gradients, axis=0), float(np.max(np.ptp(gradients, axis=0), initial=0.0))

    @staticmethod
    def _leaf_size(leaf: Any) -> float:
        x = np.asarray(leaf, np.float64)
        return float(np.max(np.abs(x), initial=0.0)) or 1.0


def _at_entries(floats: Arrays, directions: Directions, estimate: Estimate) -> tuple[Arrays, Arrays]:
    """Derivatives along single entries as leaves, nan where none was taken or where it does not converge."""
    total = sum(leaf.size for leaf in floats)
    want, noise = np.full(total, np.nan), np.full(total, np.inf)
    count = len(directions.entries)
    value, error = estimate.value[:count], estimate.error[:count]
    scale = float(np.max(np.abs(value), initial=0.0, where=np.isfinite(value)))
    known = error <= 1e-4 * (np.abs(value) + 1e-2 * scale) + 1e-300
    want[directions.entries] = np.where(known, value, np.nan)
    noise[directions.entries] = 20 * error + 1e-9 * scale
    ends = np.cumsum([leaf.size for leaf in floats])[:-1]
    shapes = [leaf.shape for leaf in floats]
    return tuple(
        tuple(part.reshape(shape) for part, shape in zip(np.split(flat, ends), shapes, strict=True))
        for flat in (want, noise)
    )  # type: ignore[return-value]


def _largest(x: np.ndarray) -> float:
    return float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x)))


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"

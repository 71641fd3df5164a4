"""One rule under trial: its machines, the spots it is looked at, and what is right there."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import Arrays, to_numpy64
from jaxbackprop._output import first_line

from ._differences import Differences
from ._evaluator import Answer, Machine, Spot
from ._rounding import EPS, Blur, blur, eps_of, jittered, largest, noise_in_float64
from ._sampling import cotangents, redraws, room
from ._strip import coarsest, strip, tolerance
from ._subject import UNTRACEABLE, CannotCheck, Layout, Subject
from ._truth import fourth_differences, nearby_line

Found = TypeVar("Found")


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
LARGE = 1 << 20
# From so many numbers on a quick check leaves out what would take its second alone.
VERY_MANY = 1 << 14
BASE_KINDS = ("base", "fresh", "sum", "minus twice", "zero", "much", "little", "alone")


def usual_sizes(looks: Sequence[Look]) -> list[float]:
    """The largest gradient of each differentiable leaf where arguments are neither extreme nor tied."""
    usual = [look for look in looks if look.kind in _USUAL]
    leaves = range(len(looks[0].want)) if looks else ()
    return [max((largest(look.want[leaf]) for look in usual), default=0.0) for leaf in leaves]


class Trial:
    """Machines and spots for one rule; raises CannotCheck where there is nothing to judge."""

    def __init__(
        self,
        subject: Subject,
        args: tuple[Any, ...],
        *,
        quick: bool,
        figures: bool,
        domains: Any,
        seed: int,
    ):
        """Takes arguments apart, compiles, and finds out what can judge.

        Args:
            subject: the rule and what it is judged by.
            args: the caller's arguments.
            quick: see `check_vjp`.
            figures: whether the numbers behind the verdict are to be kept.
            domains: see `check_vjp`.
            seed: see `check_vjp`.
        """
        self.subject, self.quick, self.figures, self.domains = subject, quick, figures, domains
        self.rng = np.random.default_rng(seed)
        self.notes: list[str] = []
        self.compared: list[Compared] = []
        self.kept: tuple[int, int] | None = None
        self.kinks: set[int] = set()
        caller_x64 = jax.dtypes.canonicalize_dtype(np.float64) == np.float64
        wide_leaf = any(
            isinstance(leaf, jax.Array) and leaf.dtype in (np.float64, np.int64)
            for leaf in jax.tree.leaves(args)
        )
        # Float64 is what NumPy computes in, whatever jax is set to.
        in_numpy = subject.rule is not None and not any(
            isinstance(v, jax.Array) for v in jax.tree.leaves(args)
        )
        self.x64 = caller_x64 or wide_leaf or in_numpy
        self.layout, self.traced = self._layout(args)
        if not self.layout.floats:
            raise CannotCheck(f"{subject.name} has no floating-point argument to be differentiated")
        self.rule = self.machine(subject.rule_pull(self.layout), wide=True)
        self.own = self.machine(subject.rule_pull(self.layout), wide=False)
        self.result = self._results()
        floats = [y for y in jax.tree.leaves(self.result) if jnp.issubdtype(y.dtype, jnp.floating)]
        self.shapes = [tuple(y.shape) for y in floats]
        if not floats:
            raise CannotCheck(f"{subject.name} has no floating-point result to be differentiated")
        self.numbers = sum(np.size(leaf) for leaf in self.layout.leaves)
        self.large = self.numbers > LARGE
        self.base = Spot(self._base_leaves(), cotangents(self.shapes, self.rng))
        self.truth, self.rough = self._judges()

    @functools.cached_property
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

    def record(
        self, how: str, leaf: int, got: np.ndarray, want: np.ndarray, noise: np.ndarray | None = None
    ) -> None:
        """Keeps a gradient beside what it was held against, where figures are asked for.

        Without `noise` the truth's own rounding is meant.
        """
        if self.figures:
            self.compared.append(
                Compared(how, leaf, got, want, self.rounding[leaf] if noise is None else noise)
            )

    # -- what can be run, and how ------------------------------------------------------------------------

    @contextlib.contextmanager
    def own_setting(self) -> Iterator[None]:
        """The caller's settings, with x64 on where the arguments hold float64."""
        with jax.enable_x64(self.x64):
            yield

    def machine(self, pull: Any, *, wide: bool) -> Machine:
        """A machine for a pull, in float64 or in the arguments' own dtypes."""
        return Machine(pull, self.layout, wide=wide, traced=self.traced, x64=self.x64 or self.layout.keyed)

    def _layout(self, args: tuple[Any, ...]) -> tuple[Layout, bool]:
        """The arguments taken apart so that the function can be traced, if it can."""
        failure: Exception | None = None
        for trace_floats, hold in ((True, False), (False, False), (False, True)):
            layout = Layout.of(args, self.subject.static, trace_floats=trace_floats, hold=hold, x64=self.x64)
            try:
                with self.own_setting():
                    ys = jax.eval_shape(
                        lambda *v, at=layout: self.subject.results(at, self.subject.value, v), *layout.structs
                    )
                    if self.subject.rule is not None:
                        # A pair need not be traceable: in NumPy it is not.
                        jax.eval_shape(self.subject.rule_pull(layout), layout.structs, ys)
                return layout, True
            except Exception as error:
                failure = failure or error
        layout = Layout.of(args, self.subject.static, trace_floats=True, hold=False, x64=self.x64)
        if self.subject.rule is None and not isinstance(failure, UNTRACEABLE):
            raise CannotCheck(f"{self.subject.name} raises at these arguments: {first_line(failure)}")
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
                return jax.eval_shape(lambda *v: value(*layout.args(v)), *layout.structs)
        except Exception as error:
            raise CannotCheck(
                f"{self.subject.name} raises at these arguments: {first_line(error)}"
            ) from error

    def _judges(self) -> tuple[Machine | None, Machine | None]:
        """What is right, in float64 and in the arguments' own dtypes; None where differences alone judge."""
        subject, layout = self.subject, self.layout
        if subject.intended is not None:
            pull = subject.by_rule(layout, subject.oracle or subject.value, subject.intended)
        elif not self.traced and subject.rule is not None and subject.oracle is subject.value:
            return None, None
        else:
            source = subject.oracle if subject.oracle is not None else subject.value
            if subject.oracle is not None:
                self._must_fit(subject.oracle)
            pull = subject.by_autodiff(layout, strip(source) if self.traced else source, twice=False)
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
                raise CannotCheck(f"oracle_vjp raises at these arguments: {first_line(failure)}") from failure
            rough.traced = self.traced
            try:
                rough.run([self.base])
            except Exception:
                self.notes.append(
                    f"autodiff cannot follow the function ({first_line(failure)}): differences alone judge"
                )
                return None, None
            # A dtype is written into the function: what judges it runs in the arguments' own, as the rule.
            self.notes.append(f"the function cannot be run in float64: {first_line(failure)}")
            self.rule = self.own
            return rough, rough
        rough.traced = judge.traced
        return judge, rough

    def _must_fit(self, oracle: Callable[..., Any]) -> None:
        """The oracle's results have the shapes of the operator's."""
        try:
            with self.own_setting():
                if self.traced:
                    ys = jax.eval_shape(
                        lambda *v: self.subject.results(self.layout, oracle, v), *self.layout.structs
                    )
                else:
                    ys = self.subject.results(self.layout, oracle, self.layout.leaves)
        except UNTRACEABLE:
            return
        except Exception as error:
            raise CannotCheck(f"the oracle raises at these arguments: {first_line(error)}") from error
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
        moved = truth.run([jittered(self.layout, spot, EPS, n) for _, spot in spots for n in range(draws)])
        looks = []
        for at, ((kind, spot), got, right) in enumerate(zip(spots, answers, rights, strict=True)):
            want = tuple(to_numpy64(g) for g in right.gradient)
            if not all(np.all(np.isfinite(y)) for y in (*right.y, *got.again)):
                self._note_not_finite(kind)
                continue
            if kind not in BASE_KINDS and not all(np.all(np.isfinite(w)) for w in want):
                continue
            near = [moved[draws * at + n].gradient for n in range(draws)]
            noise = noise_in_float64(self.layout, spot, want, right.y, near, max(EPS, self.wide_eps))
            y = tuple(to_numpy64(y) for y in right.y)
            looks.append(Look(kind, spot, got, want, noise, y))
        return self._with_floor(looks)

    def _note_not_finite(self, kind: str) -> None:
        note = "the function is not finite at the given arguments: judged at redrawn ones"
        if kind == "base" and note not in self.notes:
            self.notes.append(note)

    def _with_floor(self, looks: list[Look]) -> list[Look]:
        """Where a gradient dies out, as in saturation, rounding of what it usually is remains of it."""
        floors = [32 * max(EPS, self.wide_eps) * size for size in usual_sizes(looks)]
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

    @property
    def wide_eps(self) -> float:
        """The rounding of the coarsest dtype that the rule or the oracle computes in when given float64."""
        if self.rule is self.own:
            own = [self.layout.leaves[i].dtype for i in self.layout.floats]
            return max(self.tolerance, *map(eps_of, own)) / 1e3
        if not self.narrows:
            return self.tolerance / 1e3
        # What rounds in float32 adds up far less than the float64 floor allows for, and half precision rounds
        # so coarsely that the same allowance would hide a factor of two.
        eps = eps_of(self.narrows)
        return max(self.tolerance / 1e3, eps / (1e3 if eps < 1e-5 else 1e4))

    @functools.cached_property
    def tolerance(self) -> float:
        """At which a loop of the function stops: what it gives is no more exact than that."""
        return tolerance(self.rule.jaxpr) if self.rule.jaxpr is not None else 0.0

    def rounds_alone(self, leaf: int) -> bool:
        """Whether the rule, but not the function, computes in a coarser dtype than a leaf has."""
        rule, truth = (0.0 if dtype is None else eps_of(dtype) for dtype in self._coarsest)
        return rule > eps_of(self.layout.leaves[self.layout.floats[leaf]].dtype) >= truth

    @functools.cached_property
    def _coarsest(self) -> tuple[Any, Any]:
        """The dtypes to which rule and truth round on their way though given float64; None if to none."""
        rule, truth = (coarsest(m.jaxpr) if m and m.jaxpr else None for m in (self.rule, self.truth))
        return rule, truth

    @property
    def narrows(self) -> str | None:
        """The coarsest dtype that the rule or the oracle computes in though given float64; None if none."""
        found = [dtype for dtype in self._coarsest if dtype is not None]
        return max(found, key=eps_of).name if found else None

    def excused(self, spot: Spot, answer: Answer, judge: Callable[[Blur], Found]) -> Found:
        """What a judge finds at a spot in the arguments' own dtypes.

        Most rules pass with the rounding of the dtype alone. Only where one does not is autodiff's own error
        asked for: it takes a program of its own.
        """
        found = judge(blur(self.layout, spot, answer, [], self.tolerance))
        if found and self.truth is not None and self.rough is not None:
            # Autodiff beside the truth, there and a unit in the last place aside.
            near = [spot, *(jittered(self.layout, spot, None, n) for n in (1, 2))]
            exact = self.truth.run(near)
            pairs = list(zip(self.rough.run(near), exact, strict=True))
            return judge(blur(self.layout, spot, exact[0], pairs, self.tolerance))
        return found

    # -- differences -------------------------------------------------------------------------------------

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
            want, noise = self.differences.entries(spot)
            looks.append(Look(kind, spot, got, want, noise, tuple(to_numpy64(y) for y in got.again)))
        return looks

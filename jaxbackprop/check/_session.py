"""What one check works with: the rule and what is right as evaluators, and the points. It never changes."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import Arrays, float64_on_cpu, to_numpy64

from ._attempt import Outcome, attempt
from ._differences import Differences
from ._evaluator import Answer, Evaluator, Point, in_haste
from ._layout import Layout
from ._rounding import Blur, blur, eps_of, fourth_differences, jittered, nearby_line
from ._sampling import Sample, room, sample
from ._strip import coarsest, strip, tolerance
from ._subject import Subject

Found = TypeVar("Found")

# From so many numbers on memory asks for fewer points.
LARGE = 1 << 20
# From so many numbers on a quick check leaves out what would take its second alone.
VERY_MANY = 1 << 14


@dataclasses.dataclass(frozen=True)
class FirstRun:
    """What the rule did at the caller's arguments."""

    gradient: tuple[Any, ...] = ()  # its cotangents, or their shapes and dtypes; empty where it raised
    untraceable: Exception | None = None  # what it raised when it was traced, though the function can be
    error: Exception | None = None  # what it raised when it was run; None where nothing


@dataclasses.dataclass(frozen=True, eq=False)
class CheckSession:
    """What one check works with."""

    subject: Subject  # the rule and what it is judged by
    layout: Layout  # of the arguments
    domains: Any
    axes: tuple[int | None, ...]  # for each array leaf, where a batch is stacked; None where it is shared
    seed: int
    quick: bool  # whether the effort is "quick"
    figures: bool  # whether the numbers behind the verdict are to be kept
    x64: bool  # whether the arguments' own dtypes need jax's x64 setting
    traced: bool  # whether the function can be traced
    result: Any  # the function's results, or their shapes and dtypes
    base: Point  # the caller's arguments and the first cotangents
    rule: Evaluator  # the rule in float64; `rule_native` where it cannot be run so
    rule_native: Evaluator  # the rule in the arguments' own dtypes
    truth: Evaluator | None  # what is right, in float64; None where differences alone judge
    truth_native: Evaluator | None  # the same in the arguments' own dtypes
    first_run: FirstRun  # what the rule did at the caller's arguments
    notes: tuple[str, ...]  # what was remarkable so far

    def native_setting(self) -> AbstractContextManager[None]:
        """The caller's settings, with x64 on where the arguments hold float64."""
        return jax.enable_x64(self.x64)

    def trace(self, pull: Callable[..., Any]) -> Outcome[Any]:
        """Traces a function of array leaves and cotangents as the caller would run it."""
        dy = tuple(jax.ShapeDtypeStruct(shape, np.float32) for shape in self.shapes)
        with self.native_setting():
            return attempt(lambda: jax.eval_shape(pull, self.layout.structs, dy))

    # -- what is asked where -----------------------------------------------------------------------------

    @property
    def numbers(self) -> int:
        """How many the arguments hold."""
        return sum(np.size(leaf) for leaf in self.layout.leaves)

    @property
    def large(self) -> bool:
        """Whether memory asks for fewer points."""
        return self.numbers > LARGE

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the cotangents."""
        return [d.shape for d in self.base.dy]

    @functools.cached_property
    def result_is_pairs(self) -> tuple[bool, ...]:
        """For each float result, whether it stands for complex numbers."""
        dtypes = [y.dtype for y in jax.tree.leaves(self.result)]
        found = [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.inexact)]
        return tuple(bool(jnp.issubdtype(dtype, jnp.complexfloating)) for dtype in found)

    @property
    def scale(self) -> float:
        """By how much cotangents are scaled: past what rules clip or drop, where the dtypes allow."""
        dtypes = [*self.layout.dtypes, *(y.dtype for y in jax.tree.leaves(self.result))]
        return 2.0**10 if any(d == np.float16 for d in dtypes) else 2.0**20

    @functools.cached_property
    def sample(self) -> Sample:
        """All that is drawn; raises CannotCheck where the domains do not fit."""
        given = self.layout, self.base, self.domains, self.seed
        return sample(*given, quick=self.quick, few=self.large, scale=self.scale)

    # -- names in messages -------------------------------------------------------------------------------

    @functools.cached_property
    def names(self) -> list[str]:
        """How messages call the cotangent of each differentiable leaf: "dW", "dparams['b']"."""
        called = self.parameters(max(self.layout.arguments) + 1)
        places = zip(self.layout.arguments, self.layout.paths, strict=True)
        return [f"d{called[argument]}{path}" for argument, path in places]

    def parameters(self, count: int) -> list[str]:
        """What the first arguments are called where the function is written."""
        try:
            found = list(inspect.signature(self.subject.given.op).parameters.values())
        except (TypeError, ValueError):
            found = []
        usual = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        given = [p.name for p in found if p.kind in usual]
        return given[:count] + [f"x{i}" for i in range(len(given), count)]

    # -- rounding ----------------------------------------------------------------------------------------

    @functools.cached_property
    def tolerance(self) -> float:
        """At which a loop of the function stops: what it gives is no more exact than that."""
        return tolerance(self.rule.jaxpr) if self.rule.jaxpr is not None else 0.0

    @functools.cached_property
    def _coarsest(self) -> tuple[Any, Any]:
        """The dtypes to which rule and truth round on their way though given float64; None if to none."""
        if not self.traced and self.truth is None:
            return self._stored, None
        rule, truth = (coarsest(m.jaxpr) if m and m.jaxpr else None for m in (self.rule, self.truth))
        return rule, truth

    @functools.cached_property
    def _stored(self) -> Any:
        """The coarsest dtype in which an untraceable function or its rule stores numbers; None if none."""
        ran = attempt(lambda: self.rule.run([self.base])[0])
        if ran.error is not None:
            return None
        stored = {leaf.dtype for leaf in (*ran.value.y, *ran.value.gradient)}
        if stored <= {np.dtype(np.float64)}:
            # What is stored on the way shows in the results' last digits.
            stored |= {np.dtype(np.float32)} if self._blurred() else set()
        return max(stored - {np.dtype(np.float64)}, key=eps_of, default=None)

    def _blurred(self) -> bool:
        """Whether results along a line of points are rounded as float32 rounds, or more coarsely."""
        floats = tuple(np.asarray(leaf, np.float64) for leaf in self.layout.floats_of(self.base.leaves))
        moved = (
            self.layout.with_floats(self.base.leaves, near) for near in nearby_line(floats, step=2.0**-16)
        )
        ran = attempt(lambda: [a.y for a in self.rule.run([Point(leaves, self.base.dy) for leaves in moved])])
        if ran.error is not None:
            return False
        line = [tuple(map(to_numpy64, y)) for y in ran.value]
        sizes = [np.max(np.abs(y), initial=0.0) for y in line[0]]
        noises = [float(np.max(n, initial=0.0)) for n in fourth_differences(line)]
        return any(n > 1e-10 * size for n, size in zip(noises, sizes, strict=True))

    @property
    def narrows(self) -> str | None:
        """The coarsest dtype that the rule or the oracle computes in though given float64; None if none."""
        found = [dtype for dtype in self._coarsest if dtype is not None]
        return max(found, key=eps_of).name if found else None

    def narrows_alone(self, leaf: int) -> bool:
        """Whether the rule, but not the function, computes in a coarser dtype than a leaf has."""
        rule, truth = (0.0 if dtype is None else eps_of(dtype) for dtype in self._coarsest)
        return rule > eps_of(self.layout.dtypes[leaf]) >= truth

    def casts(self, leaf: int) -> bool:
        """Whether the rule computes in a leaf's own dtype, or in one less coarse, though given float64."""
        rule = self._coarsest[0]
        return rule is not None and eps_of(rule) <= eps_of(self.layout.dtypes[leaf])

    @property
    def eps(self) -> float:
        """The rounding of the coarsest dtype that the rule or the oracle computes in when given float64.

        Less than float64's own where nothing is coarser.
        """
        if self.rule is self.rule_native:
            return max(self.tolerance, *map(eps_of, self.layout.dtypes)) / 1e3
        if not self.narrows:
            return self.tolerance / 1e3
        # What rounds in float32 adds up far less than the float64 floor allows for, and half precision rounds
        # so coarsely that the same allowance would hide a factor of two.
        eps = eps_of(self.narrows)
        return max(self.tolerance / 1e3, eps / (1e3 if eps < 1e-5 else 1e4))

    @functools.cached_property
    def truth_noise(self) -> Arrays:
        """How much rounding blurs the truth at the caller's point: one standard deviation an entry."""
        floats = tuple(np.asarray(leaf, np.float64) for leaf in self.layout.floats_of(self.base.leaves))
        if self.truth is None:
            return tuple(np.zeros_like(leaf) for leaf in floats)
        moved = (self.layout.with_floats(self.base.leaves, near) for near in nearby_line(floats))
        points = [Point(leaves, self.base.dy) for leaves in moved]
        return fourth_differences([tuple(map(to_numpy64, a.gradient)) for a in self.truth.run(points)])

    def judge_with_rounding(
        self, point: Point, answer: Answer, judge: Callable[[Blur], Found], *, itself: bool = False
    ) -> Found:
        """What a judge finds at a point in the arguments' own dtypes.

        A rule that is held against `itself`, run in another way, may round in whatever it computes in. Most
        rules pass with the rounding of the dtype alone. Only where one does not is autodiff's own error asked
        for: it takes a program of its own.
        """
        narrowed = eps_of(self.narrows) if itself and self.narrows else 0.0
        tolerance = max(self.tolerance, narrowed)
        found = judge(blur(self.layout, point, answer, [], tolerance))
        if not found or self.truth is None or self.truth_native is None:
            return found
        # Autodiff beside the truth, there and a unit in the last place aside.
        near = [point, *(jittered(self.layout, point, None, n) for n in (1, 2))]
        exact = self.truth.run(near)
        pairs = list(zip(self.truth_native.run(near), exact, strict=True))
        return judge(blur(self.layout, point, exact[0], pairs, tolerance))

    # -- differences -------------------------------------------------------------------------------------

    @functools.cached_property
    def differences(self) -> Differences:
        """Differences of the plain function."""
        f = strip(self.subject.plain) if self.traced else self.subject.plain
        far = functools.partial(room, self.layout, self.domains)
        native = not self._takes_float64(f)
        eps = 8 * max(map(eps_of, self.layout.dtypes)) if native else 8e3 * self.eps
        return Differences(f, self.layout, traced=self.traced, eps=eps, room=far, native=native)

    def _takes_float64(self, f: Callable[..., Any]) -> bool:
        """Whether a function can be run in float64: some are written for float32 alone."""

        def run() -> Any:
            of_leaves = functools.partial(self.layout.results, f)
            if not self.traced:
                return of_leaves(self.base.leaves)
            leaves = list(self.layout.structs)
            for i in self.layout.all_floats:
                leaves[i] = jax.ShapeDtypeStruct(leaves[i].shape, np.float64)
            shapes = jax.eval_shape(lambda *given: of_leaves(given), *leaves)
            if self.truth is not None:
                return shapes
            # What autodiff cannot follow may hold code that raises only when it is run.
            return jax.jit(lambda *given: of_leaves(given), compiler_options=in_haste(True))(
                *self.base.leaves
            )

        with float64_on_cpu():
            return attempt(run).error is None

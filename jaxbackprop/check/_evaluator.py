"""Values and gradients at many points with one compilation: the points go through a `lax.map`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import Arrays, float64_on_cpu

from ._attempt import attempt
from ._budget import go_on
from ._complex import from_pairs
from ._layout import Layout

# Points in one call, and how many numbers they may hold together: the memory of a call is bounded.
_POINTS, _NUMBERS = 16, 1 << 20


@dataclasses.dataclass(frozen=True)
class Point:
    """Arguments and cotangents.

    Attributes:
        leaves: the array leaves of the arguments, as a `Layout` orders them; floats in float64.
        dy: one cotangent a float result.
    """

    leaves: tuple[Any, ...]
    dy: Arrays


class Answer(NamedTuple):
    """What a pull gives at a point, in the dtypes in which it comes.

    Attributes:
        value: the float results of the function.
        y: those of the forward rule.
        gradient: one array a differentiable leaf.
        error: what the pull raised there, all numbers then being nan; None where it did not.
    """

    value: tuple[Any, ...]
    y: tuple[Any, ...]
    gradient: tuple[Any, ...]
    error: Exception | None = None


# For each array leaf, where a batch is stacked; None where it is shared.
Axes = tuple[int | None, ...]
# From the array leaves of the arguments and the cotangents of the float results.
Pull = Callable[[tuple[Any, ...], tuple[Any, ...]], Answer]


def autodiff_pull(layout: Layout, f: Callable[..., Any], *, twice: bool = False) -> Pull:
    """The pull that `jax.vjp` makes of f; `twice` computes its value apart: a forward rule may differ."""

    def pull(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Answer:
        # By the complex numbers themselves, so that the rule's own answer is seen.
        floats = [
            from_pairs(leaf) if slot in layout.complexes else leaf
            for slot, leaf in zip(layout.floats, layout.floats_of(leaves), strict=True)
        ]

        y, pullback = jax.vjp(layout.of_floats(f, leaves), *floats)
        value = layout.results(f, leaves) if twice else y
        cotangents = pullback(tuple(d.astype(leaf.dtype) for d, leaf in zip(dy, y, strict=True)))
        return Answer(value, y, tuple(layout.cotangent(i, d) for i, d in enumerate(cotangents)))

    return pull


def value_pull(layout: Layout, f: Callable[..., Any]) -> Pull:
    """The pull of a function without any derivative: its gradient is empty."""

    def pull(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Answer:
        y = layout.results(f, leaves)
        return Answer(y, y, ())

    return pull


class Evaluator:
    """A pull under one setting of jax, compiled once a shape.

    Attributes:
        pull: what is evaluated.
        layout: of its arguments.
        dtype: in which the differentiable leaves enter: float64 is float64 on the CPU whatever the caller has
            set, all else runs under the settings in force; None for each leaf's own ("native").
        traced: whether through jit; else call by call.
        hasty: whether programs are compiled in haste: the result counts, or its rounding, but no speed.
        x64: jax's x64 setting where the dtype is not float64; None leaves it.
        jaxpr: of the program compiled last, over stacked points; None before.
    """

    def __init__(
        self,
        pull: Pull,
        layout: Layout,
        *,
        dtype: Any = None,
        traced: bool = True,
        x64: bool | None = None,
        hasty: bool = True,
    ):
        self.pull, self.layout, self.traced, self.x64, self.hasty = pull, layout, traced, x64, hasty
        self.dtype = None if dtype is None else jnp.dtype(dtype)
        self._wide = self.dtype == np.float64
        self._alone = jax.jit(pull)
        self.jaxpr: Any = None
        self._programs: dict[Any, Callable[..., Any] | Future[Callable[..., Any]]] = {}

    @classmethod
    def of(cls, f: Callable[..., Any], layout: Layout, dtype: Any = None) -> Evaluator:
        """Of a function under `jax.vjp`, with its custom rules where it has any."""
        return cls(autodiff_pull(layout, f), layout, dtype=dtype)

    def through_jit(self, traced: bool) -> Evaluator:
        """The same, compiled or call by call."""
        if traced == self.traced:
            return self
        given: dict[str, Any] = {"dtype": self.dtype, "x64": self.x64, "hasty": self.hasty}
        return Evaluator(self.pull, self.layout, traced=traced, **given)

    @contextlib.contextmanager
    def setting(self) -> Iterator[None]:
        """Where the pull runs."""
        with contextlib.ExitStack() as stack:
            if self._wide:
                stack.enter_context(float64_on_cpu())
            elif self.x64 is not None:
                stack.enter_context(jax.enable_x64(self.x64))
                if self.layout.has_keys:
                    # Random numbers are wider here than the caller wrote for.
                    stack.enter_context(jax.numpy_dtype_promotion("standard"))
            yield

    def cast(self, leaves: tuple[Any, ...]) -> tuple[jax.Array, ...]:
        """Leaves as the pull takes them. To be called inside `setting`."""
        cast = list(leaves)
        for i in self.layout.all_floats:
            cast[i] = jnp.asarray(leaves[i], self._dtype_of(i))
        return tuple(leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf) for leaf in cast)

    def run(self, points: Sequence[Point]) -> list[Answer]:
        """The pull at points of one shape.

        Where it raises at some of them its answers are nan there: many functions refuse some arguments. It
        raises what it raises at all of them.
        """
        if not points:
            return []
        answers: list[Answer] = []
        with self.setting():
            chunk = self._chunk_size(points[0]) if self.traced else 1
            for start in range(0, len(points), chunk):
                go_on()
                answers += self._answers(list(points[start : start + chunk]), chunk)
        if all(answer.error is not None for answer in answers):
            raise cast(Exception, answers[0].error)
        return answers

    def _answers(self, points: list[Point], chunk: int) -> list[Answer]:
        """Those at the points of a call, the last of which is repeated to fill it."""
        if not self.traced:
            ran = attempt(lambda: _to_numpy(self.call(points[0])))
            return [ran.value if ran.error is None else _unknown(self.layout, points[0], ran.error)]
        full = points + [points[-1]] * (chunk - len(points))
        program = self._program_of(full)
        together = attempt(lambda: self._run_chunk(program, full))
        if together.error is None:
            return together.value[: len(points)]
        if len(points) == 1:
            return [_unknown(self.layout, points[0], together.error)]
        return [self._answers([point], chunk)[0] for point in points]

    def run_one(self, point: Point) -> Answer:
        """The pull at one point, compiled as users have it: all optimisations, and no loop around it."""
        with self.setting():
            return _to_numpy(self._alone(self.cast(point.leaves), tuple(map(jnp.asarray, point.dy))))

    def prepare(self, point: Point, pool: Executor) -> None:
        """Traces for points of this shape, and compiles in a thread of the pool.

        What raises here raises again, to be seen, when it is run.
        """

        def traced() -> None:
            leaves, dy = self._stack([point] * self._chunk_size(point))
            self._programs[_key(leaves, dy)] = pool.submit(self._lowered(leaves, dy).compile)

        with self.setting():
            attempt(traced)

    def run_batch(self, points: Sequence[Point], axes: Axes) -> tuple[np.ndarray, ...]:
        """The gradients at points of one shape by one call under `jax.vmap`.

        Each array leaf is stacked along its axis; where that is None, the first point's is shared.
        """
        with self.setting():
            leaves, dy = self._batch(points, axes)
            program = self._programs.pop((axes, *_key(leaves, dy)), None)
            if program is None:
                program = self._lowered_batch(leaves, dy, axes).compile()
            _, gradient = (program.result() if isinstance(program, Future) else program)(leaves, dy)
            return tuple(np.asarray(leaf) for leaf in gradient)

    def prepare_batch(self, point: Point, count: int, axes: Axes, pool: Executor) -> None:
        """As `prepare`, for `run_batch` at so many points."""

        def traced() -> None:
            leaves, dy = self._batch([point] * count, axes)
            lowered = self._lowered_batch(leaves, dy, axes)
            self._programs[(axes, *_key(leaves, dy))] = pool.submit(lowered.compile)

        with self.setting():
            attempt(traced)

    def call(self, point: Point) -> Answer:
        """The pull at one point, operation by operation. To be called inside `setting`."""
        if not self.layout.is_numpy:
            return self.pull(self.cast(point.leaves), tuple(map(jnp.asarray, point.dy)))
        leaves = list(point.leaves)
        for i in self.layout.all_floats:
            leaves[i] = np.asarray(leaves[i]).astype(self._dtype_of(i))
        return self.pull(tuple(leaves), tuple(point.dy))

    def _dtype_of(self, slot: int) -> np.dtype:
        return self.layout.leaves[slot].dtype if self.dtype is None else self.dtype

    def _program_of(self, points: list[Point]) -> Callable[..., Answer]:
        leaves, dy = self._stack(points)
        key = _key(leaves, dy)
        if key not in self._programs:
            self._programs[key] = self._lowered(leaves, dy).compile()
        program = self._programs[key]
        return program.result() if isinstance(program, Future) else program

    def _run_chunk(self, program: Callable[..., Answer], points: list[Point]) -> list[Answer]:
        together = _to_numpy(program(*self._stack(points)))
        return [jax.tree.map(lambda leaf, i=i: leaf[i], together) for i in range(len(points))]

    def _stack(self, points: list[Point]) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
        """Points side by side, as the program takes them."""
        leaves = []
        for i, column in enumerate(zip(*(point.leaves for point in points), strict=True)):
            if isinstance(column[0], jax.Array):
                leaves.append(jnp.stack(column))
            else:
                dtype = self._dtype_of(i) if i in self.layout.all_floats else self.layout.leaves[i].dtype
                leaves.append(jnp.asarray(_stacked(column).astype(dtype, copy=False)))
        dy = tuple(jnp.asarray(_stacked(d)) for d in zip(*(point.dy for point in points), strict=True))
        return tuple(leaves), dy

    def _batch(
        self, points: Sequence[Point], axes: Axes
    ) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
        cast = [self.cast(point.leaves) for point in points]
        leaves = tuple(
            column[0] if axis is None else jnp.stack(column, axis=axis)
            for column, axis in zip(zip(*cast, strict=True), axes, strict=True)
        )
        dy = tuple(jnp.asarray(np.stack(d)) for d in zip(*(point.dy for point in points), strict=True))
        return leaves, dy

    def _lowered_batch(self, leaves: Any, dy: Any, axes: Axes) -> jax.stages.Lowered:
        batched = jax.vmap(lambda leaves, dy: self.pull(leaves, dy)[1:3], in_axes=(axes, 0))
        return jax.jit(batched, compiler_options=in_haste(self._wide)).lower(leaves, dy)

    @staticmethod
    def _chunk_size(point: Point) -> int:
        """How many points one call takes."""
        size = sum(np.size(leaf) for leaf in (*point.leaves, *point.dy)) or 1
        return max(1, min(_POINTS, _NUMBERS // size))

    def _lowered(self, leaves: tuple[jax.Array, ...], dy: tuple[jax.Array, ...]) -> jax.stages.Lowered:
        # A program that runs once need not be fast, unless it is to go through so many numbers that it takes
        # one point at a time: there a loop around it would copy them.
        alone = all(leaf.shape[0] == 1 for leaf in (*leaves, *dy))
        options = in_haste(self._wide) if self.hasty and not alone else None

        def _mapped(*points: Any) -> Answer:
            if alone:
                only = jax.tree.map(lambda leaf: leaf[0], points)
                return jax.tree.map(lambda leaf: leaf[None], self.pull(*only))
            return jax.lax.map(lambda point: self.pull(*point), points)

        traced = jax.jit(_mapped, compiler_options=options).trace(leaves, dy)
        self.jaxpr = traced.jaxpr
        return traced.lower()


def in_haste(on_cpu: bool = False) -> dict[str, Any] | None:
    """Compiler options for a program that runs once; of other backends than the CPU's nothing is known."""
    on_cpu = on_cpu or jax.default_backend() == "cpu"
    return {"xla_backend_optimization_level": 0} if on_cpu else None


def _stacked(arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    """Arrays side by side; one alone is not copied."""
    return np.stack(arrays) if len(arrays) > 1 else np.asarray(arrays[0])[None]


def _key(leaves: tuple[jax.Array, ...], dy: tuple[jax.Array, ...]) -> tuple[tuple[tuple[int, ...], str], ...]:
    return tuple((leaf.shape, str(leaf.dtype)) for leaf in (*leaves, *dy))


def _to_numpy(answer: Answer) -> Answer:
    value, y, gradient = (tuple(np.asarray(leaf) for leaf in group) for group in answer[:3])
    return Answer(value, y, gradient)


def _unknown(layout: Layout, point: Point, error: Exception) -> Answer:
    y = tuple(np.full(np.shape(d), np.nan) for d in point.dy)
    gradient = tuple(np.full(np.shape(leaf), np.nan) for leaf in layout.floats_of(point.leaves))
    return Answer(y, y, gradient, error)

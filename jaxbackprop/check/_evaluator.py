"""Runs a pull at many points with one compilation: the points go through a `lax.map`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import Arrays, float64_on_cpu

from ._subject import Layout, Pull

# Points in one call, and how many numbers they may hold together: the memory of a call is bounded.
_POINTS, _NUMBERS = 16, 1 << 20


@dataclasses.dataclass(frozen=True)
class Spot:
    """Where to look: array leaves (floats in float64) and one cotangent a float result."""

    leaves: tuple[Any, ...]
    dy: Arrays


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a pull says at a spot, in the dtypes in which it comes."""

    again: Arrays
    y: Arrays
    gradient: Arrays


class Machine:
    """A pull under one setting of jax, compiled once a shape."""

    def __init__(self, pull: Pull, layout: Layout, *, wide: bool, traced: bool, x64: bool | None = None):
        """Takes a pull.

        Args:
            pull: see `Subject`.
            layout: of its arguments.
            wide: in float64 on the CPU; else in the leaves' own dtypes under the settings in force.
            traced: through jit; else call by call.
            x64: where not wide, jax's x64 setting; None leaves it.
        """
        self.pull, self.layout, self.wide, self.traced, self.x64 = pull, layout, wide, traced, x64
        self.programs: dict[Any, Any] = {}
        self.jaxpr: Any = None

    @contextlib.contextmanager
    def setting(self) -> Any:
        """Where the pull runs."""
        if self.wide:
            with float64_on_cpu():
                yield
        elif self.x64 is None:
            yield
        else:
            with jax.enable_x64(self.x64):
                if self.layout.keyed:
                    # Random numbers are wider here than the caller wrote for.
                    with jax.numpy_dtype_promotion("standard"):
                        yield
                else:
                    yield

    def cast(self, leaves: tuple[Any, ...]) -> tuple[Any, ...]:
        """Leaves as the pull takes them. To be called inside `setting`."""
        cast = list(leaves)
        for i in self.layout.floats:
            dtype = jnp.float64 if self.wide else self.layout.leaves[i].dtype
            cast[i] = jnp.asarray(leaves[i], dtype)
        return tuple(leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf) for leaf in cast)

    def run(self, spots: Sequence[Spot]) -> list[Answer]:
        """The pull at spots of one shape."""
        if not spots:
            return []
        with self.setting():
            if not self.traced:
                return [_to_numpy(self.once(spot)) for spot in spots]
            chunk = self._room(spots[0])
            answers: list[Answer] = []
            for start in range(0, len(spots), chunk):
                some = list(spots[start : start + chunk])
                answers += self._chunk(some + [some[-1]] * (chunk - len(some)))[: len(some)]
        return answers

    def prepare(self, spot: Spot, pool: Executor) -> None:
        """Traces for spots of this shape, and compiles in a thread of the pool.

        What raises here raises again, to be seen, when it is run.
        """
        with self.setting(), contextlib.suppress(Exception):
            leaves, dy = self._stack([spot] * self._room(spot))
            self.programs[_key(leaves, dy)] = pool.submit(self._lowered(leaves, dy).compile)

    def once(self, spot: Spot) -> Any:
        """The pull at one spot, operation by operation. To be called inside `setting`."""
        if self.layout_is_numpy:
            leaves = list(spot.leaves)
            for i in self.layout.floats:
                leaves[i] = np.asarray(leaves[i]).astype(
                    np.float64 if self.wide else self.layout.leaves[i].dtype
                )
            return self.pull(tuple(leaves), tuple(spot.dy))
        return self.pull(self.cast(spot.leaves), tuple(map(jnp.asarray, spot.dy)))

    @property
    def layout_is_numpy(self) -> bool:
        """Whether no argument is a jax array: a rule in NumPy wants NumPy."""
        return not any(isinstance(leaf, jax.Array) for leaf in self.layout.leaves)

    def _chunk(self, spots: list[Spot]) -> list[Answer]:
        leaves, dy = self._stack(spots)
        again, y, gradient = self.compiled(leaves, dy)(leaves, dy)
        columns = [[np.asarray(leaf) for leaf in group] for group in (again, y, gradient)]
        return [Answer(*(tuple(leaf[i] for leaf in group) for group in columns)) for i in range(len(spots))]

    def _stack(self, spots: list[Spot]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Spots side by side, as the program takes them."""
        leaves = []
        for i, column in enumerate(zip(*(spot.leaves for spot in spots), strict=True)):
            if isinstance(column[0], jax.Array):
                leaves.append(jnp.stack(column))
            else:
                dtype = self.layout.leaves[i].dtype
                if i in self.layout.floats and self.wide:
                    dtype = jnp.dtype(np.float64)
                leaves.append(jnp.asarray(np.stack(column).astype(dtype)))
        dy = tuple(jnp.asarray(np.stack(d)) for d in zip(*(spot.dy for spot in spots), strict=True))
        return tuple(leaves), dy

    @staticmethod
    def _room(spot: Spot) -> int:
        """How many spots one call takes."""
        size = sum(np.size(leaf) for leaf in (*spot.leaves, *spot.dy)) or 1
        return max(1, min(_POINTS, _NUMBERS // size))

    def compiled(self, leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Callable[..., Any]:
        """The program for stacked arguments of these shapes."""
        key = _key(leaves, dy)
        if key not in self.programs:
            self.programs[key] = self._lowered(leaves, dy).compile()
        program = self.programs[key]
        return program.result() if isinstance(program, Future) else program

    def _lowered(self, leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Any:
        # In float64 the result is what counts, and a program that runs once need not be fast.
        options = {"xla_backend_optimization_level": 0} if self.wide else None
        traced = jax.jit(self._mapped, compiler_options=options).trace(leaves, dy)
        self.jaxpr = traced.jaxpr
        return traced.lower()

    def _mapped(self, leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Any:
        return jax.lax.map(lambda one: self.pull(*one), (leaves, dy))


def _key(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Any:
    return tuple((leaf.shape, str(leaf.dtype)) for leaf in (*leaves, *dy))


def _to_numpy(answer: Iterable[Iterable[Any]]) -> Answer:
    return Answer(*(tuple(np.asarray(leaf) for leaf in group) for group in answer))

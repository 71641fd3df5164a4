"""What a function of the list is, and how its arguments are drawn."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import operator
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxbackprop import _specs as specs
from jaxbackprop._specs import Array, Chance

Scale = Literal["small", "bench"]
Built = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of floating-point arrays whose result is one number.

    Attributes:
        name: what it does, unique in the list.
        group: what it is an example of.
        build: build(scale) gives the function and its arguments, float32 where they are floating-point:
            a few numbers each ("small"), or so many that a call takes a millisecond or more ("bench").
        argnums: which arguments to differentiate by, as `jax.grad` has it.
        bar: how many times as long as `jax.grad` the graph's gradient may take.
        precision: the dtype that it computes in, whatever its arguments are; None for theirs.
        loose: whether it relies on JAX's silent promotion of ranks and dtypes, as code of others may.
    """

    name: str
    group: str
    build: Callable[[Scale], Built]
    argnums: int | tuple[int, ...] = 0
    bar: float = 1.2
    precision: DTypeLike | None = None
    loose: bool = False

    def moving(self, f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Callable[..., Any], list[Any]]:
        """Of f and its arguments: f of those alone that it is differentiated by, and these arguments."""
        numbers = (self.argnums,) if isinstance(self.argnums, int) else self.argnums

        def moving(*given: Any) -> Any:
            full = list(args)
            for i, value in zip(numbers, given, strict=True):
                full[i] = value
            return f(*full)

        return moving, [args[i] for i in numbers]

    def promoting(self) -> contextlib.AbstractContextManager[None]:
        """Where to build, trace and differentiate it: with silent promotion, if it relies on that."""
        return silently_promoted() if self.loose else contextlib.nullcontext()


@contextlib.contextmanager
def silently_promoted() -> Iterator[None]:
    """JAX's silent promotion of ranks and dtypes, which is its default."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


class Sizes(NamedTuple):
    """An argument at both scales; unless it is fixed, one of floating-point numbers is differentiated by."""

    small: Array
    bench: Array

    @property
    def moving(self) -> bool:
        """Whether it is differentiated by."""
        return self.small.floating and not self.small.fixed

    def draw(self, scale: Scale, rng: np.random.Generator) -> np.ndarray:
        """Its numbers at a scale."""
        return (self.small if scale == "small" else self.bench).draw(rng)


def real(small: tuple[int, ...], bench: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> Sizes:
    """Floating-point numbers, uniform in [low, high), of these shapes."""
    return Sizes(*(specs.real(shape, low, high, "float32") for shape in (small, bench)))


def fixed(argument: Sizes) -> Sizes:
    """The same, not differentiated by."""
    return Sizes(*(dataclasses.replace(array, fixed=True) for array in argument))


def integer(small: tuple[int, ...], bench: tuple[int, ...], high: int | tuple[int, int]) -> Sizes:
    """Integers, uniform in [0, high): high is a number, or one each scale."""
    highs = (high, high) if isinstance(high, int) else high
    return Sizes(specs.integer(small, 0, highs[0]), specs.integer(bench, 0, highs[1]))


def mask(small: tuple[int, ...], bench: tuple[int, ...]) -> Sizes:
    """Truth values, a quarter of them False."""
    return Sizes(*(Array("bool", shape, Chance(true=0.75)) for shape in (small, bench)))


def function(group: str, name: str, f: Callable[..., Any], *draws: Sizes, **settings: Any) -> Function:
    """An entry of the list: the sum of what f returns, each number times a weight of its own.

    Args:
        group: see `Function`.
        name: see `Function`.
        f: returns a pytree of arrays; those that are not floating-point are left out of the sum.
        draws: f's arguments.
        settings: bar, precision, loose; see `Function`.
    """

    def build(scale: Scale) -> Built:
        rng = generator(name)
        return weighted(f, tuple(draw.draw(scale, rng) for draw in draws), rng)

    moving = tuple(i for i, draw in enumerate(draws) if draw.moving)
    return Function(name, group, build, moving[0] if len(moving) == 1 else moving, **settings)


def generator(name: str) -> np.random.Generator:
    """The source of an entry's numbers: of its name alone, so that no other entry changes them."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def weighted(f: Callable[..., Any], args: tuple[Any, ...], rng: np.random.Generator) -> Built:
    """The sum of all that f returns, each number times a weight; the weights come as one argument more.

    A weight of its own keeps a gradient that goes to the wrong entry from looking right. One number needs
    none.
    """
    shapes = floating(jax.eval_shape(f, *args))
    if [shape.shape for shape in shapes] == [()]:
        return lambda *args: floating(f(*args))[0], args
    weights = [rng.uniform(-1, 1, shape.shape).astype(np.float32) for shape in shapes]

    def total(*args: Any) -> Any:
        *given, weights = args
        terms = [jnp.sum(w * y) for w, y in zip(weights, floating(f(*given)), strict=True)]
        return functools.reduce(operator.add, terms)

    return total, (*args, weights)


def floating(tree: Any) -> list[Any]:
    """The floating-point leaves of a pytree."""
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]

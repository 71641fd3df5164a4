"""How a module becomes a function of the list."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ._function import Built, Function, Scale, Sizes, generator, weighted

Make = Callable[[Scale, nnx.Rngs], nnx.Module]


def module(
    group: str,
    name: str,
    make: Make,
    *draws: Sizes,
    call: Callable[..., Any] | None = None,
    whole: bool = False,
    **settings: Any,
) -> Function:
    """An entry of the list: a module's results, weighted, by its parameters and its inputs.

    What the module changes as it runs (averages of batches, counts of random keys) is left behind.

    Args:
        group: see `Function`.
        name: see `Function`.
        make: the module, at a scale.
        draws: its inputs.
        call: call(module, *inputs), where it is not the call of the module.
        whole: whether the module itself is the argument, rather than its state, split off.
        settings: bar, precision, loose; see `Function`.
    """
    moving = tuple(i for i, draw in enumerate(draws) if draw.moving)

    def build(scale: Scale) -> Built:
        rng = generator(name)
        graphdef, params, rest = split(lambda: make(scale, nnx.Rngs(0)), rng)
        inputs = tuple(draw.draw(scale, rng) for draw in draws)
        run = call or (lambda model, *inputs: model(*inputs))
        if whole:
            return weighted(run, (nnx.merge(graphdef, params, rest), *inputs), rng)

        def f(params: Any, rest: Any, *inputs: Any) -> Any:
            return run(nnx.merge(graphdef, params, rest, copy=True), *inputs)

        return weighted(f, (params, rest, *inputs), rng)

    first = 1 if whole else 2
    return Function(name, group, build, (0, *(first + i for i in moving)), **settings)


def split(make: Callable[[], nnx.Module], rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """A module's structure, parameters, and other state.

    Its numbers are drawn here, which takes no compiling: no bias is 0, no scale is 1.
    """

    def draw(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.key(1)
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.zeros(leaf.shape, leaf.dtype)
        low, high = (0.5, 1.5) if len(leaf.shape) < 2 else (-1, 1)
        fan_in = math.prod(leaf.shape[:-1]) if len(leaf.shape) > 1 else 1
        return jnp.asarray(rng.uniform(low, high, leaf.shape) / math.sqrt(fan_in), jnp.float32)

    graphdef, params, rest = nnx.split(nnx.eval_shape(make), nnx.Param, ...)  # type: ignore[misc]
    return graphdef, jax.tree.map(draw, params), jax.tree.map(draw, rest)


def size(scale: Scale, small: int, bench: int) -> int:
    """A width of a module."""
    return small if scale == "small" else bench

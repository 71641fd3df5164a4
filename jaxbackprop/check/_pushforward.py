"""Gradients by forward mode: what a rule for tangents makes of each entry's own tangent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._evaluator import Answer, Pull, autodiff_pull
from ._layout import Layout

# Beyond so many entries one tangent each takes too long: there the transposed rule stands for it.
_MOST_TANGENTS = 512


def push(
    layout: Layout, f: Callable[..., Any], leaves: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Float results and their tangents, from one tangent a differentiable leaf."""
    return jax.jvp(layout.of_floats(f, leaves), layout.floats_of(leaves), tangents)


def pushed_pull(layout: Layout, f: Callable[..., Any]) -> Pull:
    """A pull by `jax.jvp`: along each entry by itself, paired with the cotangents."""
    pulled = autodiff_pull(layout, f, twice=True)

    def pull(leaves: tuple[Any, ...], dy: tuple[Any, ...]) -> Answer:
        floats = layout.floats_of(leaves)
        ends = np.cumsum([0, *map(np.size, floats)])
        if ends[-1] > _MOST_TANGENTS:
            return pulled(leaves, dy)

        def along(entry: Any) -> Any:
            ones = jnp.arange(ends[-1]) == entry
            tangents = tuple(
                ones[start:stop].reshape(np.shape(x)).astype(x.dtype)
                for x, start, stop in zip(floats, ends, ends[1:], strict=False)
            )
            _, pushed = push(layout, f, leaves, tangents)
            terms = [jnp.sum(d.astype(t.dtype) * t) for d, t in zip(dy, pushed, strict=True)]
            return sum(terms[1:], terms[0])

        y, _ = push(layout, f, leaves, tuple(jnp.zeros(np.shape(x), x.dtype) for x in floats))
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            every = jax.lax.map(along, jnp.arange(ends[-1]))
        else:
            every = jnp.stack([along(entry) for entry in range(ends[-1])])
        gradient = tuple(
            every[start:stop].reshape(np.shape(x)).astype(x.dtype)
            for x, start, stop in zip(floats, ends, ends[1:], strict=False)
        )
        return Answer(layout.results(f, leaves), y, gradient)

    return pull

"""One array leaf drawn anew: what a function may rely on stays, and all else changes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import is_float

from .._layout import is_key
from ._domains import Domain
from ._floats import draw_floats, draw_mask, is_sorted
from ._kind import Kind


def draw(
    leaf: Any, domain: Domain, kind: Kind | None, shape: tuple[int, ...], rng: np.random.Generator, lone: bool
) -> Any:
    """One array leaf drawn anew.

    Args:
        leaf: as the caller gave it.
        domain: of its argument.
        kind: of the redraw; None for what stays in its neighbourhood, whatever the kind.
        shape: of the new leaf.
        rng: draws.
        lone: whether no other differentiable array stands beside it: its order is then chance.
    """
    if isinstance(domain, str) and domain == "fixed":
        same = leaf if np.shape(leaf) == shape else _resized(leaf, shape)
        return _rounded(same, leaf.dtype) if is_float(leaf) else same
    if callable(domain):
        like = leaf if np.shape(leaf) == shape else _resized(leaf, shape)
        drawn = domain(rng, like)
        return _rounded(np.asarray(drawn, np.float64), leaf.dtype) if is_float(leaf) else drawn
    if is_key(leaf):
        return _other_key(leaf, shape, rng)
    if not is_float(leaf):
        return _integers(leaf, domain, kind, shape, rng)
    values = np.asarray(leaf).astype(np.float64)
    return _rounded(draw_floats(values, domain, kind, shape, rng, leaf.dtype, lone), leaf.dtype)


def _rounded(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Values that a dtype holds, as float64: all evaluators look at the same point."""
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(dtype).astype(np.float64)


def _resized(leaf: Any, shape: tuple[int, ...]) -> Any:
    return (
        np.broadcast_to(np.asarray(leaf), shape)
        if isinstance(leaf, np.ndarray)
        else jnp.broadcast_to(leaf, shape)
    )


def _other_key(leaf: Any, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    seed = int(rng.integers(1 << 30))
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        key = jax.random.key(seed, impl=jax.random.key_impl(leaf))
        return key if shape == () else jax.random.split(key, shape)
    return np.asarray(rng.integers(0, 1 << 32, shape, dtype=np.uint32))


def _integers(
    leaf: Any, domain: Domain, kind: Kind | None, shape: tuple[int, ...], rng: np.random.Generator
) -> Any:
    values = np.asarray(leaf)
    if values.size == 0:
        return np.zeros(shape, values.dtype)
    if values.dtype == np.bool_:
        return draw_mask(values, shape, rng) if values.size > 1 else np.broadcast_to(values, shape)
    if not np.issubdtype(values.dtype, np.integer):
        return _resized(leaf, shape)
    if isinstance(domain, tuple | list):
        low, high = int(domain[0]), int(domain[1])
    else:
        low, high = int(values.min()), int(values.max())
    if values.ndim == 0 and not isinstance(domain, tuple | list):
        return values
    mark = None if isinstance(domain, tuple | list) else _mark(values)
    if mark is not None:
        rest = values[values != mark]
        low, high = int(rest.min()), int(rest.max())
    drawn = rng.integers(low, high + 1, shape)
    if mark is not None:
        drawn = np.where(rng.random(shape) < 0.3, mark, drawn)
    if kind is Kind.REPEATED:
        drawn = np.full(shape, rng.choice(values.reshape(-1)))
    elif kind is Kind.TIED and drawn.size > 1:
        drawn.reshape(-1)[1] = drawn.reshape(-1)[0]
    if is_sorted(values):
        drawn = np.sort(drawn)
    return drawn.astype(values.dtype)


def _mark(values: np.ndarray) -> int | None:
    """A number far from all others, such as -100 or 255 for "ignored"; None where there is none."""
    seen = np.unique(values).astype(np.int64)
    if seen.size < 3:
        return None
    for mark, rest in ((seen[0], seen[1:]), (seen[-1], seen[:-1])):
        if np.ptp(seen) > 10 * max(int(np.ptp(rest)), 1):
            return int(mark)
    return None

"""One array leaf drawn anew: what a function may rely on stays, and all else changes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import is_float

from .._layout import is_key
from ._domains import Domain
from ._kind import Kind


def draw(
    leaf: Any, domain: Domain, kind: Kind | None, shape: tuple[int, ...], rng: np.random.Generator, lone: bool
) -> Any:
    """One array leaf drawn anew, in another shape or the same.

    Without a kind it stays in its neighbourhood. Where no other differentiable array stands beside it, it is
    `lone`: its order is then chance.
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


def draw_floats(
    values: np.ndarray,
    domain: Domain,
    kind: Kind | None,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    dtype: Any,
    lone: bool,
) -> np.ndarray:
    """Floats of a dtype drawn anew, as float64; see `draw` for the arguments."""
    if values.size == 0:
        return np.zeros(shape)
    if isinstance(domain, tuple | list):
        return _within(float(domain[0]), float(domain[1]), kind, shape, rng)
    if domain == "positive":
        return _positive(values, kind, shape, rng)
    if domain == "simplex" or (domain is None and is_simplex(values)):
        return _simplex(values, kind, shape, rng)
    if _is_mask(values, kind):
        return draw_mask(values == 1, shape, rng).astype(np.float64)
    if kind is None and values == 0:
        return np.asarray(rng.uniform(0.1, 0.6))
    if kind is None and not 0 < values < 1:
        return np.asarray(values * rng.uniform(0.7, 1.4))
    if values.ndim == 0 and 0 < values < 1:
        return np.asarray(rng.uniform(0.1, 0.9))
    drawn = _free(values, kind, shape, rng, dtype)
    return np.sort(drawn) if is_sorted(values) and not lone else drawn


def draw_mask(values: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Another mask, without a row or a column that is empty where none was: softmax needs an entry."""
    drawn = rng.random(shape) < 0.6
    if values.shape != shape:
        return drawn | (np.arange(drawn.size).reshape(shape) % max(shape[-1], 1) == 0)
    for axis in {values.ndim - 1, max(values.ndim - 2, 0)}:
        emptied = np.any(values, axis, keepdims=True) & ~np.any(drawn, axis, keepdims=True)
        drawn = np.where(emptied, values, drawn)
    return drawn


def _is_mask(values: np.ndarray, kind: Kind | None) -> bool:
    """Whether zeros and ones are to stay such: alike they are as likely a fresh bias or scale."""
    if values.size <= 1 or not is_binary(values):
        return False
    return bool(np.any(values)) and (
        not np.all(values) or kind in (Kind.GENERIC, Kind.SMALL, Kind.TIED, Kind.REPEATED)
    )


def _within(
    low: float, high: float, kind: Kind | None, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    width = high - low
    part = rng.uniform(0.02, 0.98, shape)
    if kind in (Kind.SMALL, Kind.NEGATIVE):
        part = part * 0.05
    elif kind in (Kind.LARGE, Kind.SATURATED, Kind.POSITIVE):
        part = 1 - part * 0.05
    elif kind is Kind.TIED:
        part = rng.choice([0.25, 0.5, 0.75], shape)
    return low + width * part


def _positive(
    values: np.ndarray, kind: Kind | None, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    scale = float(np.mean(np.abs(values))) or 1.0
    factors: dict[Kind | None, float] = {Kind.SMALL: 1e-3, Kind.LARGE: 10.0, Kind.SATURATED: 50.0}
    scale *= factors.get(kind, 1.0)
    if kind is Kind.TIED:
        return scale * rng.choice([0.5, 1.0, 2.0], shape)
    return scale * np.exp(rng.normal(scale=0.5, size=shape))


def is_binary(values: np.ndarray) -> bool:
    """Whether all are zeros and ones."""
    return bool(np.all((values == 0) | (values == 1)))


def is_sorted(values: np.ndarray) -> bool:
    """Whether a vector is in an order that four entries seldom have by chance."""
    return bool(values.ndim == 1 and values.size >= 4 and np.all(np.diff(values) >= 0) and np.ptp(values) > 0)


def is_simplex(values: np.ndarray) -> bool:
    """Whether rows of nonnegative numbers sum to one."""
    sums = np.sum(values, axis=-1) if values.ndim else values
    return bool(
        values.ndim and values.shape[-1] > 1 and np.all(values >= 0) and np.all(np.abs(sums - 1) < 1e-2)
    )


def _simplex(
    values: np.ndarray, kind: Kind | None, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    if is_binary(values):
        return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    sharpness: dict[Kind | None, float] = {Kind.SMALL: 0.1, Kind.LARGE: 2.0, Kind.SATURATED: 4.0}
    raised = np.exp(sharpness.get(kind, 1.0) * rng.normal(size=shape))
    return raised / raised.sum(axis=-1, keepdims=True)


def _free(
    values: np.ndarray, kind: Kind | None, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any
) -> np.ndarray:
    finite = values[np.isfinite(values)]
    size = float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 1.0
    size = size or 1.0
    # What is far from everyday size is that on purpose; a redraw stays in its neighbourhood.
    size = size if 1e-2 < size < 50 else float(np.clip(size, 1e-6, 1e6))
    normal = rng.normal(size=shape)
    if kind is Kind.FLIPPED:
        return -values if values.shape == shape else -np.broadcast_to(values, shape)
    if kind is Kind.SMALL:
        return 1e-3 * size * normal
    if kind is Kind.LARGE:
        return 6 * size * normal
    if kind is Kind.SATURATED:
        # Past the point where exp overflows in the dtype itself.
        limit = 1.4 * float(np.log(float(jnp.finfo(dtype).max)))
        return rng.uniform(0.5, 1.0, shape) * limit * rng.choice([-1.0, 1.0], shape)
    if kind is Kind.TIED:
        return rng.integers(-2, 3, shape).astype(np.float64)
    if kind is Kind.POSITIVE:
        return size * np.abs(normal) + 0.1 * size
    if kind is Kind.NEGATIVE:
        return -size * np.abs(normal) - 0.1 * size
    if kind is Kind.OTHER:
        # Of few entries none repeats the sign pattern by chance.
        return size * (0.25 + np.abs(normal)) * rng.choice([-1.0, 1.0], shape)
    drawn = size * normal
    return np.abs(drawn) if np.all(values > 0) else drawn

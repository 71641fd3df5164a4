"""One array leaf drawn anew: what a function may rely on stays, and all else changes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxbackprop._float64 import is_float

from .._complex import as_pairs, from_pairs
from .._layout import CannotCheck, is_key
from ._domains import Domain
from ._kind import Kind


class Draw(NamedTuple):
    """How a leaf is drawn anew.

    Without a kind it stays in its neighbourhood. Where no other differentiable array stands beside it, it is
    `lone`: its order is then chance.
    """

    kind: Kind | None
    shape: tuple[int, ...]
    rng: np.random.Generator
    lone: bool

    def leaf(self, leaf: Any, domain: Domain) -> Any:
        """One array leaf drawn anew; floats as float64, but values of their own dtypes."""
        if isinstance(domain, str) and domain == "fixed":
            same = self._resized(leaf)
            return _rounded(same, leaf.dtype) if is_float(leaf) else same
        if callable(domain):
            drawn = domain(self.rng, self._resized(leaf))
            return _rounded(np.asarray(drawn, np.float64), leaf.dtype) if is_float(leaf) else drawn
        if is_key(leaf):
            return self._key(leaf)
        if not is_float(leaf):
            return self._integers(leaf, domain)
        return _rounded(self._floats(np.asarray(leaf).astype(np.float64), domain, leaf.dtype), leaf.dtype)

    def pairs(self, leaf: Any, domain: Domain) -> Any:
        """Complex numbers drawn anew, as pairs: real and imaginary parts alike."""
        if callable(domain):
            drawn = domain(self.rng, from_pairs(self._resized(leaf)))
            return _rounded(as_pairs(np.asarray(drawn, np.complex128)), leaf.dtype)
        if isinstance(domain, str) and domain != "fixed":
            raise CannotCheck(f"no complex number is {domain!r}: a domain of complex numbers is a function")
        if domain is not None or leaf.size == 0:
            return self.leaf(leaf, domain)
        values = np.asarray(leaf).astype(np.float64)
        if self.kind is None:
            return _rounded(values + 0.3 * self.rng.uniform(-1, 1, values.shape), leaf.dtype)
        return _rounded(self._free(values, leaf.dtype), leaf.dtype)

    def _resized(self, leaf: Any) -> Any:
        if np.shape(leaf) == self.shape:
            return leaf
        return (np if isinstance(leaf, np.ndarray) else jnp).broadcast_to(leaf, self.shape)

    def _key(self, leaf: Any) -> Any:
        seed = int(self.rng.integers(1 << 30))
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            key = jax.random.key(seed, impl=jax.random.key_impl(leaf))
            return key if self.shape == () else jax.random.split(key, self.shape)
        return np.asarray(self.rng.integers(0, 1 << 32, self.shape, dtype=np.uint32))

    def _integers(self, leaf: Any, domain: Domain) -> Any:
        values, rng, shape = np.asarray(leaf), self.rng, self.shape
        if values.size == 0:
            return np.zeros(shape, values.dtype)
        if values.dtype == np.bool_:
            return self._mask(values) if values.size > 1 else np.broadcast_to(values, shape)
        if not np.issubdtype(values.dtype, np.integer):
            return self._resized(leaf)
        bounds = domain if isinstance(domain, tuple | list) else None
        if values.ndim == 0 and bounds is None:
            return values
        if bounds is None and is_permutation(values):
            return rng.permuted(np.broadcast_to(np.arange(shape[-1], dtype=values.dtype), shape), axis=-1)
        mark = _mark(values) if bounds is None else None
        rest = values if mark is None else values[values != mark]
        low, high = map(int, bounds or (rest.min(), rest.max()))
        drawn = rng.integers(low, high + 1, shape)
        if mark is not None:
            drawn = np.where(rng.random(shape) < 0.3, mark, drawn)
        if self.kind is Kind.REPEATED:
            drawn = np.full(shape, rng.choice(values.reshape(-1)))
        elif self.kind is Kind.TIED and drawn.size > 1:
            drawn.reshape(-1)[1] = drawn.reshape(-1)[0]
        return (np.sort(drawn) if is_sorted(values) else drawn).astype(values.dtype)

    def _mask(self, values: np.ndarray) -> np.ndarray:
        """Another mask, without a row or a column that is empty where none was: softmax needs an entry."""
        drawn = self.rng.random(self.shape) < 0.6
        if values.shape != self.shape:
            return drawn | (np.arange(drawn.size).reshape(self.shape) % max(self.shape[-1], 1) == 0)
        for axis in {values.ndim - 1, max(values.ndim - 2, 0)}:
            emptied = np.any(values, axis, keepdims=True) & ~np.any(drawn, axis, keepdims=True)
            drawn = np.where(emptied, values, drawn)
        return drawn

    def _floats(self, values: np.ndarray, domain: Domain, dtype: Any) -> np.ndarray:
        """Floats of a dtype, as float64."""
        if values.size == 0:
            return np.zeros(self.shape)
        if isinstance(domain, tuple | list):
            return self._within(float(domain[0]), float(domain[1]))
        if domain == "positive":
            return self._positive(values)
        if domain == "simplex" or (domain is None and is_simplex(values)):
            return self._simplex(values)
        if _is_mask(values, self.kind):
            return self._mask(values == 1).astype(np.float64)
        if self.kind is None and values == 0:
            return np.asarray(self.rng.uniform(0.1, 0.6))
        if self.kind is None and not 0 < values < 1:
            return np.asarray(values * self.rng.uniform(0.7, 1.4))
        if values.ndim == 0 and 0 < values < 1:
            return np.asarray(self.rng.uniform(0.1, 0.9))
        drawn = self._free(values, dtype)
        return np.sort(drawn) if is_sorted(values) and not self.lone else drawn

    def _within(self, low: float, high: float) -> np.ndarray:
        part = self.rng.uniform(0.02, 0.98, self.shape)
        if self.kind in (Kind.SMALL, Kind.NEGATIVE):
            part = part * 0.05
        elif self.kind in (Kind.LARGE, Kind.SATURATED, Kind.POSITIVE):
            part = 1 - part * 0.05
        elif self.kind is Kind.TIED:
            part = self.rng.choice([0.25, 0.5, 0.75], self.shape)
        return low + (high - low) * part

    def _positive(self, values: np.ndarray) -> np.ndarray:
        factors: dict[Kind | None, float] = {Kind.SMALL: 1e-3, Kind.LARGE: 10.0, Kind.SATURATED: 50.0}
        scale = (float(np.mean(np.abs(values))) or 1.0) * factors.get(self.kind, 1.0)
        if self.kind is Kind.TIED:
            return scale * self.rng.choice([0.5, 1.0, 2.0], self.shape)
        return scale * np.exp(self.rng.normal(scale=0.5, size=self.shape))

    def _simplex(self, values: np.ndarray) -> np.ndarray:
        if is_binary(values):
            return np.eye(self.shape[-1])[self.rng.integers(0, self.shape[-1], self.shape[:-1])]
        sharpness: dict[Kind | None, float] = {Kind.SMALL: 0.1, Kind.LARGE: 2.0, Kind.SATURATED: 4.0}
        raised = np.exp(sharpness.get(self.kind, 1.0) * self.rng.normal(size=self.shape))
        return raised / raised.sum(axis=-1, keepdims=True)

    def _free(self, values: np.ndarray, dtype: Any) -> np.ndarray:
        finite = values[np.isfinite(values)]
        size = (float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 1.0) or 1.0
        # What is far from everyday size is that on purpose; a redraw stays in its neighbourhood.
        size = size if 1e-2 < size < 50 else float(np.clip(size, 1e-6, 1e6))
        kind, rng, shape = self.kind, self.rng, self.shape
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


def _rounded(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Values that a dtype holds, as float64: all evaluators look at the same point."""
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(dtype).astype(np.float64)


def _mark(values: np.ndarray) -> int | None:
    """A number far from all others, such as -100 or 255 for "ignored"; None where there is none."""
    seen = np.unique(values).astype(np.int64)
    if seen.size < 3:
        return None
    for mark, rest in ((seen[0], seen[1:]), (seen[-1], seen[:-1])):
        if np.ptp(seen) > 10 * max(int(np.ptp(rest)), 1):
            return int(mark)
    return None


def _is_mask(values: np.ndarray, kind: Kind | None) -> bool:
    """Whether zeros and ones are to stay such: alike they are as likely a fresh bias or scale."""
    if values.size <= 1 or not is_binary(values):
        return False
    return bool(np.any(values)) and (
        not np.all(values) or kind in (Kind.GENERIC, Kind.SMALL, Kind.TIED, Kind.REPEATED)
    )


def is_binary(values: np.ndarray) -> bool:
    """Whether all are zeros and ones."""
    return bool(np.all((values == 0) | (values == 1)))


def is_sorted(values: np.ndarray) -> bool:
    """Whether a vector is in an order that four entries seldom have by chance."""
    return bool(values.ndim == 1 and values.size >= 4 and np.all(np.diff(values) >= 0) and np.ptp(values) > 0)


def is_permutation(values: np.ndarray) -> bool:
    """Whether every row holds each of 0, 1, ... once, three at least, and not all of them in order."""
    if values.ndim == 0 or values.shape[-1] < 3 or not np.issubdtype(values.dtype, np.integer):
        return False
    every = np.arange(values.shape[-1])
    return bool(np.all(np.sort(values, axis=-1) == every) and np.any(values != every))


def is_simplex(values: np.ndarray) -> bool:
    """Whether rows of nonnegative numbers sum to one."""
    sums = np.sum(values, axis=-1) if values.ndim else values
    return bool(
        values.ndim and values.shape[-1] > 1 and np.all(values >= 0) and np.all(np.abs(sums - 1) < 1e-2)
    )

"""Where to look: redrawn arguments, cotangents and other shapes.

A mistake often hides at the arguments one happens to write down: all positive, no index twice, a symmetric
matrix, a batch of one. Redraws keep what a function may rely on (an order, a mask of zeros and ones, rows
that sum to one, the range of the integers) and change all else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._subject import CannotCheck, Layout, is_key

Domain = Any

_KINDS = (
    "generic",
    "other",
    "flipped",
    "small",
    "large",
    "saturated",
    "tied",
    "repeated",
    "positive",
    "negative",
)
_QUICK = ("generic", "flipped", "saturated", "tied")


@dataclasses.dataclass(frozen=True)
class Redraw:
    """Array leaves drawn anew.

    Attributes:
        kind: how: "generic", "flipped", "small", "large", "saturated", "tied", "repeated", ...
        leaves: all array leaves, floats in float64 but values of their own dtypes.
    """

    kind: str
    leaves: tuple[Any, ...]


def redraws(
    layout: Layout, domains: Any, rng: np.random.Generator, *, quick: bool, shapes: Any = None
) -> Iterator[Redraw]:
    """Arguments drawn anew, a kind after another.

    Args:
        layout: of the arguments, which show what to stay within.
        domains: see `check_vjp`.
        rng: draws.
        quick: a few kinds alone.
        shapes: other shapes for the leaves, where a batch of one is to be three.
    """
    rules = _rules(layout, domains)
    scalars_alone = all(np.ndim(layout.leaves[i]) == 0 for i in layout.floats)
    # Knots stand beside what is looked up among them; a vector on its own is ascending by chance.
    lone = sum(np.ndim(layout.leaves[i]) > 0 for i in layout.floats) == 1
    for kind in _QUICK if quick else _KINDS:
        leaves = []
        for i, (leaf, rule) in enumerate(zip(layout.leaves, rules, strict=True)):
            shape = np.shape(leaf) if shapes is None else shapes[i]
            # Beside arrays a scalar is a rate, a bound or a width: it stays in its neighbourhood.
            hyperparameter = np.ndim(leaf) == 0 and not scalars_alone
            leaves.append(_draw(leaf, rule, "nearby" if hyperparameter else kind, shape, rng, lone))
        yield Redraw(kind, tuple(leaves))


def _rules(layout: Layout, domains: Any) -> list[Domain]:
    if domains is None:
        return [None] * len(layout.leaves)
    count = max(layout.owners, default=-1) + 1
    if isinstance(domains, str) or not isinstance(domains, list | tuple):
        raise CannotCheck(f"domains must hold one entry an argument, got {domains!r}")
    if len(domains) < count:
        raise CannotCheck(f"domains has {len(domains)} entries, but argument {count - 1} is an array")
    for at, domain in enumerate(domains):
        if not (callable(domain) or domain is None or _is_known(domain)):
            raise CannotCheck(
                f"domains[{at}] must be (lo, hi) with lo < hi, 'positive', 'simplex', 'fixed', a function "
                f"(rng, like) -> value or None, got {domain!r}"
            )
    bound = [partial(_called, at, d) if callable(d) else d for at, d in enumerate(domains)]
    return [bound[owner] for owner in layout.owners]


def _is_known(domain: Any) -> bool:
    if isinstance(domain, str):
        return domain in ("positive", "simplex", "fixed")
    if not isinstance(domain, tuple | list) or len(domain) != 2:
        return False
    low, high = domain
    return all(isinstance(end, int | float) for end in domain) and bool(low < high)


def _called(at: int, domain: Callable[..., Any], rng: np.random.Generator, like: Any) -> Any:
    """What a function draws, which must be as what it is given."""
    try:
        drawn = domain(rng, like)
    except Exception as error:
        raise CannotCheck(f"domains[{at}] raises {type(error).__name__}: {error}") from error
    if np.shape(drawn) != np.shape(like):
        raise CannotCheck(
            f"domains[{at}] must draw an array of shape {np.shape(like)}, got {np.shape(drawn)}"
        )
    return drawn


def _draw(
    leaf: Any, rule: Domain, kind: str, shape: tuple[int, ...], rng: np.random.Generator, lone: bool
) -> Any:
    if isinstance(rule, str) and rule == "fixed":
        same = leaf if np.shape(leaf) == shape else _resized(leaf, shape)
        return _rounded(same, leaf.dtype) if _floating(leaf) else same
    if callable(rule):
        like = leaf if np.shape(leaf) == shape else _resized(leaf, shape)
        drawn = rule(rng, like)
        return _rounded(np.asarray(drawn, np.float64), leaf.dtype) if _floating(leaf) else drawn
    if is_key(leaf):
        return _other_key(leaf, shape, rng)
    if not _floating(leaf):
        return _integers(leaf, rule, kind, shape, rng)
    values = np.asarray(leaf).astype(np.float64)
    return _rounded(_floats(values, rule, kind, shape, rng, leaf.dtype, lone), leaf.dtype)


def _floating(leaf: Any) -> bool:
    return not is_key(leaf) and bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def _rounded(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Values that a dtype holds, as float64: all machines look at the same point."""
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


def _integers(leaf: Any, rule: Domain, kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    values = np.asarray(leaf)
    if values.size == 0:
        return np.zeros(shape, values.dtype)
    if values.dtype == np.bool_:
        return _mask(values, shape, rng) if values.size > 1 else np.broadcast_to(values, shape)
    if not np.issubdtype(values.dtype, np.integer):
        return _resized(leaf, shape)
    if isinstance(rule, tuple | list):
        low, high = int(rule[0]), int(rule[1])
    else:
        low, high = int(values.min()), int(values.max())
    if values.ndim == 0 and not isinstance(rule, tuple | list):
        return values
    mark = None if isinstance(rule, tuple | list) else _mark(values)
    if mark is not None:
        rest = values[values != mark]
        low, high = int(rest.min()), int(rest.max())
    drawn = rng.integers(low, high + 1, shape)
    if mark is not None:
        drawn = np.where(rng.random(shape) < 0.3, mark, drawn)
    if kind == "repeated":
        drawn = np.full(shape, rng.choice(values.reshape(-1)))
    elif kind == "tied" and drawn.size > 1:
        drawn.reshape(-1)[1] = drawn.reshape(-1)[0]
    if _is_sorted(values):
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


def _mask(values: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Another mask, without a row or a column that is empty where none was: softmax needs an entry."""
    drawn = rng.random(shape) < 0.6
    if values.shape != shape:
        return drawn | (np.arange(drawn.size).reshape(shape) % max(shape[-1], 1) == 0)
    for axis in {values.ndim - 1, max(values.ndim - 2, 0)}:
        emptied = np.any(values, axis, keepdims=True) & ~np.any(drawn, axis, keepdims=True)
        drawn = np.where(emptied, values, drawn)
    return drawn


def _is_sorted(values: np.ndarray) -> bool:
    """Whether a vector is in an order that four entries seldom have by chance."""
    return bool(values.ndim == 1 and values.size >= 4 and np.all(np.diff(values) >= 0) and np.ptp(values) > 0)


def _floats(
    values: np.ndarray,
    rule: Domain,
    kind: str,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    dtype: Any,
    lone: bool,
) -> np.ndarray:
    if values.size == 0:
        return np.zeros(shape)
    if isinstance(rule, tuple | list):
        return _within(float(rule[0]), float(rule[1]), kind, shape, rng)
    if rule == "positive":
        return _positive(values, kind, shape, rng)
    if rule == "simplex" or (rule is None and _is_simplex(values)):
        return _simplex(values, kind, shape, rng)
    if _is_mask(values, kind):
        return _mask(values == 1, shape, rng).astype(np.float64)
    if kind == "nearby" and values == 0:
        return np.asarray(rng.uniform(0.1, 0.6))
    if kind == "nearby" and not 0 < values < 1:
        return np.asarray(values * rng.uniform(0.7, 1.4))
    if values.ndim == 0 and 0 < values < 1:
        return np.asarray(rng.uniform(0.1, 0.9))
    drawn = _free(values, kind, shape, rng, dtype)
    return np.sort(drawn) if _is_sorted(values) and not lone else drawn


def _is_mask(values: np.ndarray, kind: str) -> bool:
    """Whether zeros and ones are to stay such: alike they are as likely a fresh bias or scale."""
    if values.size <= 1 or not np.all((values == 0) | (values == 1)):
        return False
    return bool(np.any(values)) and (not np.all(values) or kind in ("generic", "small", "tied", "repeated"))


def _within(
    low: float, high: float, kind: str, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    width = high - low
    part = rng.uniform(0.02, 0.98, shape)
    if kind in ("small", "negative"):
        part = part * 0.05
    elif kind in ("large", "saturated", "positive"):
        part = 1 - part * 0.05
    elif kind == "tied":
        part = rng.choice([0.25, 0.5, 0.75], shape)
    return low + width * part


def _positive(values: np.ndarray, kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    scale = float(np.mean(np.abs(values))) or 1.0
    scale *= {"small": 1e-3, "large": 10.0, "saturated": 50.0}.get(kind, 1.0)
    if kind == "tied":
        return scale * rng.choice([0.5, 1.0, 2.0], shape)
    return scale * np.exp(rng.normal(scale=0.5, size=shape))


def _is_simplex(values: np.ndarray) -> bool:
    sums = np.sum(values, axis=-1) if values.ndim else values
    return bool(
        values.ndim and values.shape[-1] > 1 and np.all(values >= 0) and np.all(np.abs(sums - 1) < 1e-2)
    )


def _simplex(values: np.ndarray, kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if np.all((values == 0) | (values == 1)):
        return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    sharpness = {"small": 0.1, "large": 2.0, "saturated": 4.0}.get(kind, 1.0)
    raised = np.exp(sharpness * rng.normal(size=shape))
    return raised / raised.sum(axis=-1, keepdims=True)


def _free(
    values: np.ndarray, kind: str, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any
) -> np.ndarray:
    finite = values[np.isfinite(values)]
    size = float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 1.0
    size = size or 1.0
    # What is far from everyday size is that on purpose; a redraw stays in its neighbourhood.
    size = size if 1e-2 < size < 50 else float(np.clip(size, 1e-6, 1e6))
    normal = rng.normal(size=shape)
    if kind == "flipped":
        return -values if values.shape == shape else -np.broadcast_to(values, shape)
    if kind == "small":
        return 1e-3 * size * normal
    if kind == "large":
        return 6 * size * normal
    if kind == "saturated":
        # Past the point where exp overflows in the dtype itself.
        limit = 1.4 * float(np.log(float(jnp.finfo(dtype).max)))
        return rng.uniform(0.5, 1.0, shape) * limit * rng.choice([-1.0, 1.0], shape)
    if kind == "tied":
        return rng.integers(-2, 3, shape).astype(np.float64)
    if kind == "positive":
        return size * np.abs(normal) + 0.1 * size
    if kind == "negative":
        return -size * np.abs(normal) - 0.1 * size
    if kind == "other":
        # Of few entries none repeats the sign pattern by chance.
        return size * (0.25 + np.abs(normal)) * rng.choice([-1.0, 1.0], shape)
    drawn = size * normal
    return np.abs(drawn) if np.all(values > 0) else drawn


def room(layout: Layout, domains: Any, leaves: tuple[Any, ...]) -> tuple[np.ndarray, ...]:
    """How far each differentiable entry is from the ends of its domain; infinite where it has none."""
    rules, found = _rules(layout, domains), []
    for i in layout.floats:
        x, rule = np.asarray(leaves[i], np.float64), rules[i]
        far = np.full(x.shape, np.inf)
        if isinstance(rule, str) and rule in ("positive", "simplex"):
            far = np.abs(x)
        elif isinstance(rule, tuple | list):
            far = np.minimum(np.abs(x - rule[0]), np.abs(rule[1] - x))
        found.append(far)
    return tuple(found)


def free_leaves(layout: Layout, domains: Any) -> list[bool]:
    """For every array leaf, whether any float would do in it: not beside arrays a scalar, nor a mask."""
    alone = len(layout.floats) == 1
    return [
        _floating(leaf) and rule is None and _is_free(np.asarray(leaf).astype(np.float64), alone)
        for leaf, rule in zip(layout.leaves, _rules(layout, domains), strict=True)
    ]


def _is_free(values: np.ndarray, alone: bool) -> bool:
    if values.ndim == 0 and not alone:
        return False
    return not (_is_sorted(values) or _is_simplex(values) or np.all((values == 0) | (values == 1)))


def cotangents(shapes: list[tuple[int, ...]], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Fresh cotangents: away from zero, of both signs, with short fractions so that bfloat16 holds them."""
    return tuple(
        np.asarray(rng.integers(9, 41, shape) / 16.0 * rng.choice([-1.0, 1.0], shape), np.float64)
        for shape in shapes
    )


def larger_batches(layout: Layout, size: int = 3) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Shapes in which axes of length one are longer: leading ones of all leaves, all of them, of one leaf."""
    shapes = [np.shape(leaf) for leaf in layout.leaves]
    # No size that another axis has: a parameter of one entry must not come to fit along it.
    size = next(n for n in range(size, size + 99) if all(n not in shape for shape in shapes))
    ones = {
        (i, axis)
        for i, (leaf, shape) in enumerate(zip(layout.leaves, shapes, strict=True))
        for axis, n in enumerate(shape)
        if n == 1 and not is_key(leaf)
    }
    leaves = range(len(shapes))
    tries = [{one for one in ones if one[1] == 0}, ones]
    tries += [{one for one in ones if one == (leaf, 0)} for leaf in leaves]
    tries += [{one for one in ones if one[0] == leaf} for leaf in leaves]
    tries += [{one for one in ones if one[1] == axis} for axis in (1, 2)]
    seen: list[set[tuple[int, int]]] = [set()]
    for longer in tries:
        if longer not in seen:
            seen.append(longer)
            yield tuple(
                tuple(size if (i, axis) in longer else n for axis, n in enumerate(shape))
                for i, shape in enumerate(shapes)
            )

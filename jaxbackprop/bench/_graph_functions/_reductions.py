"""Reductions, norms, running sums and sorting."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax

from ._function import Function, fixed, function, mask, real

_MATRIX = real((4, 5), (1024, 1024))
_VECTOR = real((7,), (1 << 20,))
_NEAR_1 = real((4, 5), (512, 512), 0.9, 1.1)
_SORTED = real((3, 7), (64, 2048))
_GAPS = mask((4, 5), (1024, 1024))

_reduction = functools.partial(function, "reductions")
_norm = functools.partial(function, "norms")
_running = functools.partial(function, "running")
_sorting = functools.partial(function, "sorting")

FUNCTIONS: tuple[Function, ...] = (
    _reduction("sum over the first axis", lambda x: jnp.sum(x, 0), _MATRIX),
    _reduction("sum where", lambda x, m: jnp.sum(x, 1, where=m), _MATRIX, _GAPS),
    _reduction("mean", lambda x: jnp.mean(x, 1), _MATRIX),
    _reduction("mean of squares", lambda x: jnp.mean(x * x), _MATRIX),
    _reduction("average", lambda x, w: jnp.average(x, 1, w), _MATRIX, real((5,), (1024,), 0.5, 2.0)),
    _reduction("ptp", lambda x: jnp.ptp(x, 1), _MATRIX),
    _reduction("std", lambda x: jnp.std(x, 1), _MATRIX),
    _reduction("var", lambda x: jnp.var(x, 0, ddof=1), _MATRIX),
    _reduction("var of all", jnp.var, _VECTOR),
    _reduction(
        "standardized", lambda x: (x - jnp.mean(x, 1, keepdims=True)) / jnp.std(x, 1, keepdims=True), _MATRIX
    ),
    _reduction("logsumexp", lambda x: jax.scipy.special.logsumexp(x, 1), _MATRIX),
    _reduction(
        "logsumexp with factors",
        lambda x, b: jax.scipy.special.logsumexp(x, 1, b=b),
        _MATRIX,
        real((4, 5), (1024, 1024), 0.5, 2.0),
    ),
    _reduction("nansum", lambda x, m: jnp.nansum(jnp.where(m, x, jnp.nan), 1), _MATRIX, _GAPS),
    _reduction("nanmean", lambda x, m: jnp.nanmean(jnp.where(m, x, jnp.nan), 1), _MATRIX, _GAPS),
    _reduction("nanmax", lambda x, m: jnp.nanmax(jnp.where(m, x, jnp.nan), 1), _MATRIX, _GAPS),
    _reduction("nanvar", lambda x, m: jnp.nanvar(jnp.where(m, x, jnp.nan), 1), _MATRIX, _GAPS),
    _reduction("cov", jnp.cov, real((3, 5), (256, 1024))),
    _reduction("corrcoef", jnp.corrcoef, real((3, 5), (256, 1024))),
    _reduction("trace", jnp.trace, real((4, 4), (1024, 1024))),
    _reduction("trapezoid", jnp.trapezoid, _MATRIX),
    _reduction("custom reduction", lambda x: lax.reduce(x, x.dtype.type(0), lax.add, (1,)), _MATRIX),
    _norm("norm of a vector", jnp.linalg.norm, _VECTOR),
    *(
        _norm(f"norm of a vector, order {order}", functools.partial(jnp.linalg.norm, ord=order), _VECTOR)
        for order in (1, 2, 3, 0.5, float("inf"), float("-inf"))
    ),
    *(
        _norm(f"norm of a matrix, order {order}", functools.partial(jnp.linalg.norm, ord=order), _MATRIX)
        for order in ("fro", 1, float("inf"))
    ),
    _norm("norms of rows", lambda x: jnp.linalg.norm(x, axis=1), _MATRIX),
    _norm("rows of length 1", lambda x: x / jnp.linalg.norm(x, axis=1, keepdims=True), _MATRIX),
    _norm("row norms of order 1", lambda x: jnp.linalg.norm(x, 1, axis=1), _MATRIX),
    _norm("norm clipped", lambda x: x * jnp.minimum(1.0, 1.0 / jnp.linalg.norm(x)), _MATRIX),
    _running("cumsum of all", jnp.cumsum, _NEAR_1),
    _running("diff", lambda x: jnp.diff(x, n=2), _MATRIX),
    _running("gradient", lambda x: jnp.gradient(x, axis=1), _MATRIX),
    _running("moving average", lambda x: jnp.cumsum(x, 1)[:, 3:] - jnp.cumsum(x, 1)[:, :-3], _NEAR_1),
    _sorting("sort, descending", lambda x: jnp.sort(x, 1, descending=True), _SORTED),
    _sorting("rows by argsort", lambda x: jnp.take_along_axis(x, jnp.argsort(x, 1), 1), _SORTED),
    _sorting("median", lambda x: jnp.median(x, 1), _SORTED),
    _sorting("quantile", lambda x: jnp.quantile(x, 0.3, 1), _SORTED),
    _sorting("partition", lambda x: jnp.partition(x, 3, 1), _SORTED),
    _sorting(
        "value at argmax", lambda x: jnp.take_along_axis(x, jnp.argmax(x, 1, keepdims=True), 1), _SORTED
    ),
    _sorting("order of weights", lambda x, w: jnp.sort(x, 1) * w, _SORTED, fixed(_SORTED)),
)

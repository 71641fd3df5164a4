"""Loops with a known number of steps."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._function import Function, function, integer, real

_STEPS = real((5, 3), (64, 8192))
_STATE = real((3,), (8192,))
_WEIGHTS = real((3, 3), (64, 64), -0.2, 0.2)
_ROWS = real((5, 2, 3), (64, 32, 64))
_BATCH = real((2, 3), (32, 64))

_scan = functools.partial(function, "scans")
_window = functools.partial(function, "windows")


def _cell(w: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = jnp.tanh(h @ w + x)
        return h, h

    return step


def _rnn(h: Any, xs: Any, w: Any, **settings: Any) -> Any:
    return lax.scan(_cell(w), h, xs, **settings)


def _two_carries(h: Any, c: Any, xs: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        h, c = carry
        c = 0.9 * c + h * x
        return (jnp.sin(c), c), {"h": h, "sum": jnp.sum(x)}

    return lax.scan(step, (h, c), xs)


def _counting(h: Any, xs: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        h, n = carry
        h = jnp.where(n % 2 == 0, jnp.sin(h + x), h * 0.5)
        return (h, n + 1), n

    return lax.scan(step, (h, 0), xs)


def _without_inputs(h: Any) -> Any:
    return lax.scan(lambda h, _: (jnp.sin(h) + 0.5 * h, None), h, None, 32)[0]


def _nested(h: Any, xs: Any) -> Any:
    def outer(h: Any, x: Any) -> Any:
        h, inner = lax.scan(lambda h, _: (jnp.sin(h) * x, h), h, None, 4)
        return h, jnp.sum(inner, 0)

    return lax.scan(outer, h, xs)


def _with_cond(h: Any, xs: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = lax.cond(x[0] > 0, lambda h: jnp.sin(h) * x, lambda h: 0.5 * h, h)
        return h, h

    return lax.scan(step, h, xs)


def _carried_only(xs: Any, w: Any) -> Any:
    """The carry begins as a constant, and takes gradients from the steps on."""
    return lax.scan(lambda h, x: (h * 0.9 + jnp.tanh(x @ w), None), jnp.zeros(xs.shape[1:], xs.dtype), xs)[0]


def _fori(x: Any, w: Any) -> Any:
    return lax.fori_loop(0, 8, lambda i, h: jnp.tanh(h @ w) + x / (1 + i), x)


def _fori_rows(h: Any, xs: Any) -> Any:
    return lax.fori_loop(0, xs.shape[0], lambda i, h: h + jnp.sin(xs[i]) * h * 0.1, h)


def _writes(xs: Any) -> Any:
    """Each step writes what it computed into an array."""
    return lax.fori_loop(1, xs.shape[0], lambda i, y: y.at[i].set(jnp.sin(y[i - 1]) + y[i]), xs)


def _linear(gates: Any, xs: Any) -> Any:
    """h_t = g_t h_(t-1) + x_t, all at once."""

    def combined(a: Any, b: Any) -> Any:
        return a[0] * b[0], b[0] * a[1] + b[1]

    return lax.associative_scan(combined, (gates, xs))[1]


def _newton(x: Any) -> Any:
    """Square roots by ten steps of Newton's method."""
    return lax.fori_loop(0, 10, lambda _, r: 0.5 * (r + x / r), x)


def _descent(p: Any, x: Any) -> Any:
    """Ten steps of gradient descent, with a gradient of second order by where they begin."""

    def step(p: Any, _: Any) -> Any:
        return p - 0.1 * jax.grad(lambda p: jnp.sum((jnp.sin(p) - x) ** 2))(p), None

    return lax.scan(step, p, None, 10)[0]


_IMAGES = real((2, 6, 6, 3), (8, 64, 64, 16))


def _pooled(kind: str, **settings: Any) -> Any:
    def pooled(x: Any) -> Any:
        first, step = {"max": (-jnp.inf, lax.max), "min": (jnp.inf, lax.min), "sum": (0.0, lax.add)}[kind]
        return lax.reduce_window(
            x,
            first,
            step,
            **(
                {"window_dimensions": (1, 2, 2, 1), "window_strides": (1, 2, 2, 1), "padding": "VALID"}
                | settings
            ),
        )

    return pooled


FUNCTIONS: tuple[Function, ...] = (
    _scan("scan", _rnn, _BATCH, _ROWS, _WEIGHTS),
    _scan("scan, last state alone", lambda h, xs, w: _rnn(h, xs, w)[0], _BATCH, _ROWS, _WEIGHTS),
    _scan("scan, outputs alone", lambda h, xs, w: _rnn(h, xs, w)[1], _BATCH, _ROWS, _WEIGHTS),
    _scan("scan, reverse", functools.partial(_rnn, reverse=True), _BATCH, _ROWS, _WEIGHTS),
    _scan("scan, unrolled by two", functools.partial(_rnn, unroll=2), _BATCH, _ROWS, _WEIGHTS),
    _scan("scan with two carries", _two_carries, _STATE, _STATE, _STEPS),
    _scan("scan that counts", _counting, _STATE, _STEPS),
    _scan("scan without inputs", _without_inputs, _STATE),
    _scan("scan in scan", _nested, _STATE, _STEPS),
    _scan("scan with cond", _with_cond, _STATE, _STEPS),
    _scan("scan from a constant", _carried_only, _ROWS, _WEIGHTS),
    _scan(
        "scan with a checkpoint",
        lambda h, xs, w: lax.scan(jax.checkpoint(_cell(w)), h, xs),
        _BATCH,
        _ROWS,
        _WEIGHTS,
    ),
    _scan(
        "scan under vmap",
        jax.vmap(_two_carries),
        real((2, 3), (8, 1024)),
        real((2, 3), (8, 1024)),
        real((2, 5, 3), (8, 64, 1024)),
    ),
    _scan(
        "scan over lookups",
        lambda e, i: lax.scan(lambda h, i: (jnp.sin(h + e[i]), h), e[0], i)[0],
        real((6, 3), (512, 256)),
        integer((4,), (64,), 6),
    ),
    _scan(
        "sum of scan's inputs",
        lambda xs: lax.scan(lambda s, x: (s + x, s), jnp.zeros_like(xs[0]), xs),
        _STEPS,
    ),
    _scan("fori_loop", _fori, _BATCH, _WEIGHTS),
    _scan("fori_loop over rows", _fori_rows, _STATE, _STEPS),
    _scan("fori_loop that writes", _writes, _STEPS),
    _scan("fori_loop, Newton's method", _newton, real((4,), (65536,), 0.5, 2.0)),
    _scan("steps of gradient descent", _descent, _STATE, _STATE),
    _scan(
        "associative_scan",
        functools.partial(lax.associative_scan, jnp.multiply),
        real((5, 3), (64, 4096), 0.9, 1.1),
    ),
    _scan("associative_scan of pairs", _linear, real((5, 3), (64, 2048), 0.1, 0.9), real((5, 3), (64, 2048))),
    _window("max pooling", _pooled("max"), _IMAGES),
    _window(
        "sum pooling, overlapping and dilated",
        _pooled("sum", window_strides=(1, 1, 1, 1), window_dilation=(1, 2, 1, 1), padding="SAME"),
        _IMAGES,
    ),
    _window("sum pooling, base dilated", _pooled("sum", base_dilation=(1, 2, 2, 1)), _IMAGES),
)

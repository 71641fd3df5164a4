"""What moves numbers without computing any: slices, lookups, updates, shapes, choices."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._function import Function, fixed, function, integer, mask, real

_SHAPES = (5, 6), (1024, 1024)
_X = real(*_SHAPES)
_FIXED = fixed(_X)
_GAPS = mask(*_SHAPES)
_CUBE = real((3, 4, 5), (32, 128, 256))
_ROWS = integer((4,), (512,), (5, 1024))
_AT = integer((), (), 3)

_slice = functools.partial(function, "slices")
_lookup = functools.partial(function, "lookups")
_update = functools.partial(function, "updates")
_shape = functools.partial(function, "shapes")
_choice = functools.partial(function, "choices")


def _pad(mode: str, **settings: Any) -> Function:
    return _shape(f"pad, {mode}", lambda x: jnp.pad(x, ((1, 2), (3, 0)), mode, **settings), _X)


def _piecewise(x: Any) -> Any:
    return jnp.piecewise(x, [x < -1, x > 1], [lambda x: -x, lambda x: x * x, lambda x: jnp.sin(x)])


def _segments(x: Any, ids: Any) -> Any:
    return jax.ops.segment_sum(x, ids, 5)


_PIECE = real((4, 6), (512, 1024))

FUNCTIONS: tuple[Function, ...] = (
    _slice("slice", lambda x: x[1:4, 2:], _X),
    _slice("slice with steps", lambda x: x[::2, 1::3], _X),
    _slice("slice backwards", lambda x: x[::-1, ::-2], _X),
    _slice("one row", lambda x: x[-2], _X),
    _slice("one entry", lambda x: x[1, 2] * x[2, 1], _X),
    _slice("new axes", lambda x: x[None, ..., 1:, None], _X),
    _slice("overlapping slices", lambda x: x[:-1] * x[1:], _X),
    _slice("dynamic row", lambda x, i: x[i] * 2, _X, _AT),
    _slice("dynamic_slice_in_dim", lambda x, i: lax.dynamic_slice_in_dim(x, i, 3, 1), _X, _AT),
    _lookup("integer array", lambda x, i: x[i], _X, _ROWS),
    _lookup("integer array on the second axis", lambda x, i: x[:, i], _X, _ROWS),
    _lookup("negative integers", lambda x, i: x[i - 4], _X, _ROWS),
    _lookup("two integer arrays", lambda x, i, j: x[i, j], _X, _ROWS, _ROWS),
    _lookup("integer arrays about a slice", lambda x, i: x[i, :, i], real((5, 3, 5), (1024, 4, 1024)), _ROWS),
    _lookup("grid of integers", lambda x, i, j: x[i[:, None], j[None]], _X, _ROWS, _ROWS),
    *(
        _lookup(f"take, {mode}", lambda x, i, mode=mode: jnp.take(x, 2 * i - 2, 0, mode=mode), _X, _ROWS)
        for mode in ("fill", "clip", "wrap")
    ),
    _lookup("take, flat", lambda x, i: jnp.take(x, i), _X, _ROWS),
    _lookup(
        "take_along_axis",
        lambda x, i: jnp.take_along_axis(x, i, 1),
        _X,
        integer((5, 3), (1024, 64), (6, 1024)),
    ),
    _lookup(
        "take_along_axis, first",
        lambda x, i: jnp.take_along_axis(x, i, 0),
        _X,
        integer((3, 6), (64, 1024), (5, 1024)),
    ),
    _lookup("at get, fill", lambda x, i: x.at[3 * i].get(mode="fill", fill_value=2.0), _X, _ROWS),
    _lookup("one-hot product", lambda x, i: jax.nn.one_hot(i, x.shape[0], dtype=x.dtype) @ x, _X, _ROWS),
    _lookup("diagonal", lambda x: jnp.diagonal(x, 1), _X),
    _lookup("diag", lambda x: jnp.diag(x), real((5,), (1024,))),
    _lookup(
        "vmapped row", lambda x, i: jax.vmap(lambda x, i: x[i])(x, i), _CUBE, integer((3,), (32,), (4, 128))
    ),
    _lookup(
        "vmapped dynamic_slice",
        jax.vmap(lambda x, i: lax.dynamic_slice_in_dim(x, i, 2)),
        _CUBE,
        integer((3,), (32,), (3, 126)),
    ),
    _update("at set", lambda x, u: x.at[1:5:2].set(u), _X, real((2, 6), (2, 1024))),
    _update(
        "at set, rows", lambda x, i, u: x.at[i].set(u, unique_indices=True), _X, _AT, real((6,), (1024,))
    ),
    _update("at set, repeated rows", lambda x, i, u: x.at[i].set(u), _X, _ROWS, _PIECE),
    _update("at set, column", lambda x, u: x.at[:, 1].set(u), _X, real((5,), (1024,))),
    _update("at add", lambda x, i, u: x.at[i].add(u), _X, _ROWS, _PIECE),
    _update("at subtract", lambda x, i, u: x.at[i].subtract(u), _X, _ROWS, _PIECE),
    _update("at multiply", lambda x, u: x.at[:2].multiply(u), _X, real((2, 6), (2, 1024))),
    _update("at max", lambda x, i, u: x.at[i].max(u), _X, _ROWS, _PIECE),
    _update("at min", lambda x, i, u: x.at[i].min(u), _X, _ROWS, _PIECE),
    _update("segment_sum", _segments, _X, integer((5,), (1024,), 5)),
    _update("fill_diagonal", lambda x: jnp.fill_diagonal(x, 1.5, inplace=False), _X),
    _update("insert", lambda x, u: jnp.insert(x, 2, u, axis=0), _X, real((6,), (1024,))),
    _update("delete", lambda x: jnp.delete(x, 2, axis=1), _X),
    _shape("reshape", lambda x: x.reshape(x.shape[1], -1) * 2, _X),
    _shape("ravel and transpose", lambda x: x.T.ravel(), _X),
    _shape("moveaxis", lambda x: jnp.moveaxis(x, 0, -1) * 2, _CUBE),
    _shape("squeeze and expand", lambda x: jnp.squeeze(jnp.expand_dims(x, (0, 2)), 0), _X),
    _shape("broadcast_to", lambda x: jnp.broadcast_to(x[:, None], (x.shape[0], 4, x.shape[1])), _X),
    _shape("flip", lambda x: jnp.flip(x, 1), _X),
    _shape("rot90", jnp.rot90, _X),
    _shape("roll", lambda x: jnp.roll(x, 2, 1), _X),
    _shape("roll, both axes", lambda x: jnp.roll(x, (1, -2), (0, 1)), _X),
    _shape("roll by a traced number", lambda x, i: jnp.roll(x, i, 0), _X, _AT),
    _pad("constant", constant_values=1.0),
    _pad("edge"),
    _pad("reflect"),
    _pad("symmetric"),
    _pad("wrap"),
    _pad("linear_ramp"),
    _pad("mean"),
    _pad("maximum"),
    _shape("concatenate", lambda x, y: jnp.concatenate((x, y, x)), _X, real((2, 6), (512, 1024))),
    _shape("stack", lambda x, y: jnp.stack((x, y), 1), _X, _X),
    _shape("hstack and vstack", lambda x, y: jnp.vstack((jnp.hstack((x, y)), jnp.hstack((y, x)))), _X, _X),
    _shape("split", lambda x: [a * a for a in jnp.split(x, 2, 1)], _X),
    _shape("array_split", lambda x: [a * a for a in jnp.array_split(x, 3)], _X),
    _shape("repeat", lambda x: jnp.repeat(x, 3, 1), _X),
    _shape(
        "repeat by counts",
        lambda x, n: jnp.repeat(x, n, 0, total_repeat_length=2 * x.shape[0]),
        _X,
        integer((5,), (1024,), 3),
    ),
    _shape("block", lambda x: jnp.block([[x, -x], [2 * x, x]]), _X),
    _shape(
        "meshgrid", lambda a, b: jnp.multiply(*jnp.meshgrid(a, b)), real((4,), (1024,)), real((5,), (1024,))
    ),
    _shape("triangle below", jnp.tril, _X),
    _shape("triangle above", lambda x: jnp.triu(x, 1), _X),
    _choice("where", lambda m, a, b: jnp.where(m, a, b), _GAPS, _X, _X),
    _choice("where, masked entries", lambda m, x: jnp.where(m, x, 0), _GAPS, _X),
    _choice("where, guarded logarithm", lambda x: jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1)), 0), _X),
    _choice("select", lambda x, y: jnp.select([x > 1, y > x], [x * y, y], 0.5 * x), _X, _X),
    _choice("choose", lambda i, a, b: jnp.choose(i, (a, b), mode="clip"), integer(*_SHAPES, 2), _X, _X),
    _choice("clip", lambda x: jnp.clip(x, -1, 1), _X),
    _choice("clip between arrays", lambda x, low: jnp.clip(x, low, low + 1), _X, _X),
    _choice("piecewise", _piecewise, _X),
    _choice("maximum of many", lambda x, y: jnp.maximum(jnp.maximum(x, 0), y), _X, _X),
    _choice("positive and negative part", lambda x: jnp.maximum(x, 0) + 0.1 * jnp.minimum(x, 0), _X),
    _choice("dropped by a mask", lambda x, m, y: jnp.where(m, x / 0.75, 0) * y, _X, _GAPS, _FIXED),
)

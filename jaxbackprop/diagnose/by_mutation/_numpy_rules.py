"""NumPy rules of the primitives that derivations are made of: (parameters, *arrays) -> array."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

Rule = Callable[..., Any]


def quiet() -> contextlib.AbstractContextManager[None]:
    """Overflow and its kin are values here, not events."""
    return np.errstate(all="ignore")


def _logistic(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _convert(params: dict[str, Any], x: Any) -> Any:
    dtype = params["new_dtype"]
    return x if np.dtype(dtype).kind in "fV" and x.dtype.kind == "f" else np.asarray(x).astype(dtype)


def _integer_power(params: dict[str, Any], x: Any) -> Any:
    y = params["y"]
    return 1 / np.power(x, -y) if y < 0 else np.power(x, y)


def _divide(params: dict[str, Any], x: Any, y: Any) -> Any:
    if np.issubdtype(np.asarray(x).dtype, np.integer):
        return np.where(y == 0, -1, np.trunc(np.true_divide(x, np.where(y == 0, 1, y))))
    return np.true_divide(x, y)


def _dot(params: dict[str, Any], a: Any, b: Any) -> Any:
    (left, right), (left_batch, right_batch) = params["dimension_numbers"]
    if len(left) == 1 and not left_batch and a.ndim < 3 and b.ndim < 3:
        return np.dot(a if left[0] == a.ndim - 1 else a.T, b if right[0] == 0 else b.T)
    free_a = [i for i in range(a.ndim) if i not in left and i not in left_batch]
    free_b = [i for i in range(b.ndim) if i not in right and i not in right_batch]
    batch = [a.shape[i] for i in left_batch]
    inner = math.prod(a.shape[i] for i in left)
    shape_a, shape_b = [a.shape[i] for i in free_a], [b.shape[i] for i in free_b]
    a = a.transpose([*left_batch, *free_a, *left]).reshape([*batch, math.prod(shape_a), inner])
    b = b.transpose([*right_batch, *right, *free_b]).reshape([*batch, inner, math.prod(shape_b)])
    return np.matmul(a, b).reshape([*batch, *shape_a, *shape_b])


def _broadcast(params: dict[str, Any], x: Any, *_: Any) -> Any:
    shape = params["shape"]
    spread = [1] * len(shape)
    for i, d in enumerate(params["broadcast_dimensions"]):
        spread[d] = x.shape[i]
    return np.broadcast_to(np.reshape(x, spread), shape)


def _select(params: dict[str, Any], which: Any, *cases: Any) -> Any:
    if len(cases) == 2:
        return np.where(np.asarray(which) != 0, cases[1], cases[0])
    return np.choose(which, cases) if len(cases) > 1 else cases[0]


def _slice(params: dict[str, Any], x: Any) -> Any:
    strides = params["strides"] or (1,) * x.ndim
    cuts = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return x[tuple(slice(*cut) for cut in cuts)]


def _cumulative(function: Rule) -> Rule:
    def rule(params: dict[str, Any], x: Any) -> Any:
        axis = params["axis"]
        if params["reverse"]:
            return np.flip(function(np.flip(x, axis), axis=axis), axis)
        return function(x, axis=axis)

    return rule


def _reduce(function: Rule) -> Rule:
    return lambda params, x: function(x, axis=tuple(params["axes"]))


def _plain(function: Rule) -> Rule:
    return lambda params, *args: function(*args)


# jax's names and NumPy's.
_SAME = "sin cos tan tanh sinh cosh exp exp2 expm1 log log1p sqrt square cbrt abs sign floor ceil"
_OTHER = {
    **{"neg": "negative", "not": "invert", "is_finite": "isfinite", "asin": "arcsin", "acos": "arccos"},
    **{"atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "atan2": "arctan2"},
    **{"add": "add", "add_any": "add", "sub": "subtract", "mul": "multiply", "pow": "power", "rem": "fmod"},
    **{"max": "maximum", "min": "minimum", "eq": "equal", "ne": "not_equal", "lt": "less", "gt": "greater"},
    **{"le": "less_equal", "ge": "greater_equal", "and": "bitwise_and", "or": "bitwise_or"},
}

RULES: dict[str, Rule] = {
    **{name: _plain(getattr(np, name)) for name in _SAME.split()},
    **{name: _plain(getattr(np, in_numpy)) for name, in_numpy in _OTHER.items()},
    "logistic": _plain(_logistic),
    "rsqrt": lambda params, x: 1 / np.sqrt(x),
    "integer_pow": _integer_power,
    "div": _divide,
    "clamp": lambda params, low, x, high: np.minimum(np.maximum(x, low), high),
    "convert_element_type": _convert,
    "dot_general": _dot,
    "broadcast_in_dim": _broadcast,
    "reshape": lambda params, x, *_: np.reshape(x, params["new_sizes"]),
    "squeeze": lambda params, x: np.squeeze(x, tuple(params["dimensions"])),
    "expand_dims": lambda params, x: np.expand_dims(x, tuple(params["dimensions"])),
    "transpose": lambda params, x: np.transpose(x, params["permutation"]),
    "select_n": _select,
    "slice": _slice,
    "concatenate": lambda params, *xs: np.concatenate(xs, params["dimension"]),
    "stack": lambda params, *xs: np.stack(xs, params.get("axis", 0)),
    "rev": lambda params, x: np.flip(x, tuple(params["dimensions"])),
    "reduce_sum": _reduce(np.sum),
    "reduce_prod": _reduce(np.prod),
    "reduce_max": _reduce(np.max),
    "reduce_min": _reduce(np.min),
    "reduce_and": _reduce(np.all),
    "reduce_or": _reduce(np.any),
    "argmax": lambda params, x: np.argmax(x, params["axes"][0]),
    "argmin": lambda params, x: np.argmin(x, params["axes"][0]),
    "cumsum": _cumulative(np.cumsum),
    "cumprod": _cumulative(np.cumprod),
    "cummax": _cumulative(np.maximum.accumulate),
    "cummin": _cumulative(np.minimum.accumulate),
}

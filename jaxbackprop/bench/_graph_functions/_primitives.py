"""Uses of one primitive: cases of the graph's rules, and how large they are to be timed."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxbackprop._specs import Array, real
from jaxbackprop.graph.rules.cases import ROWS

from ._function import Function, Sizes, function

_CASES = {row.name: row for row in ROWS}
_SIDE = 1024

# NumPy's names of primitives of one or two arrays, entry by entry.
_ELEMENTARY = {
    **{
        name: name
        for name in (
            "sin cos sinh cosh tanh exp exp2 expm1 square abs cbrt erf erfc logistic log log1p sqrt rsqrt "
            "lgamma digamma tan erf_inv add"
        ).split()
    },
    "arctan": "atan",
    "arcsinh": "asinh",
    "negative": "neg",
    "arcsin": "asin",
    "arccos": "acos",
    "arctanh": "atanh",
    "arccosh": "acosh",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "arctan2": "atan2",
    "maximum": "max",
    "minimum": "min",
    "power": "pow",
    "power of integers": "pow (integers)",
    "row added to a matrix": "add (b broadcast along axis 0)",
    "matrix times a row": "mul (b broadcast along axis 0)",
    "matrix times a number": "mul (b a number)",
}


def _one(group: str, name: str, case: str, *large: tuple[int, ...] | Array) -> Function:
    """A case as an entry of the list.

    Args:
        group: see `Function`.
        name: see `Function`.
        case: the name of a case.
        large: how large its arrays are to be timed; all of them, or none: as many rows and columns as are
            usual. A range of their own keeps products of many from overflowing.
    """
    row = _CASES[case]
    drawn = [i for i, argument in enumerate(row.arguments) if isinstance(argument, Array)]
    small = [dataclasses.replace(row.arguments[i], dtype=_single(row.arguments[i])) for i in drawn]
    wanted = large or [tuple(n if n == 1 else _SIDE for n in array.shape) for array in small]
    sizes = [
        Sizes(array, size if isinstance(size, Array) else dataclasses.replace(array, shape=size))
        for array, size in zip(small, wanted, strict=True)
    ]

    def f(*given: Any) -> Any:
        arguments = list(row.arguments)
        for i, value in zip(drawn, given, strict=True):
            arguments[i] = value
        return row.f(*arguments)

    # JAX's own derivative of a power multiplies integers by floating-point numbers.
    return function(group, name, f, *sizes, loose=case == "pow (integers)")


def _single(array: Array) -> str:
    return "float32" if array.floating else array.dtype


_SQUARE = (_SIDE, _SIDE)
_NEAR_1 = real((512, 512), 0.9, 1.1, "float32")
_SORTED = (64, 2048)
_IMAGES, _KERNEL = (4, 16, 32, 32), (16, 16, 3, 3)
_POOLED = (8, 64, 64, 16)

FUNCTIONS: tuple[Function, ...] = (
    *(_one("elementary", name, case) for name, case in _ELEMENTARY.items()),
    _one("reductions", "sum", "reduce_sum (of everything)"),
    _one("reductions", "sum over two axes", "reduce_sum", (32, 128, 256)),
    _one("reductions", "max", "reduce_max"),
    _one("reductions", "amax over two axes", "reduce_max (two axes)", (32, 128, 256)),
    _one("reductions", "min", "reduce_min"),
    _one("reductions", "prod", "reduce_prod", _NEAR_1),
    _one("running", "cumsum", "cumsum", _NEAR_1),
    _one("running", "cumsum, reverse", "cumsum (reverse)", _NEAR_1),
    _one("running", "cumprod", "cumprod", _NEAR_1),
    _one("running", "cumprod, reverse", "cumprod (reverse)", _NEAR_1),
    _one("running", "cummax", "cummax", _NEAR_1),
    _one("running", "cummin", "cummin (reverse)", _NEAR_1),
    _one("running", "cumlogsumexp", "cumlogsumexp", _NEAR_1),
    _one("sorting", "sort", "sort", _SORTED),
    _one("sorting", "sort by keys", "sort (with another)", _SORTED, _SORTED),
    _one("sorting", "sort by integers", "sort (by integers)", _SORTED, _SORTED, _SORTED),
    _one("sorting", "top_k", "top_k", _SORTED),
    _one("products", "matmul", "dot_general (matrices)", (384, 512), (512, 256)),
    _one(
        "products",
        "matmul of a batch and a matrix",
        "dot_general (a window's positions)",
        (8, 128, 256),
        (256, 128),
    ),
    _one("products", "matrix times vector", "dot_general (a matrix and a vector)", (384, 512), (512,)),
    _one("products", "inner", "dot_general (a bᵀ)", (384, 512), (256, 512)),
    _one("products", "dot_general", "dot_general (attention)", (4, 64, 8, 32), (4, 64, 8, 32)),
    _one(
        "products",
        "dot_general over several axes",
        "dot_general (two contracted, crosswise)",
        (32, 8, 32, 32),
        (32, 64, 32),
    ),
    _one("convolutions", "conv", "conv_general_dilated (images)", (4, 32, 32, 16), (3, 3, 16, 16)),
    _one("convolutions", "conv, strides", "conv_general_dilated (strides)", _IMAGES, _KERNEL),
    _one("convolutions", "conv, uneven padding", "conv_general_dilated (padding)", _IMAGES, _KERNEL),
    _one(
        "convolutions",
        "conv, negative padding",
        "conv_general_dilated (negative padding)",
        _IMAGES,
        _KERNEL,
    ),
    _one("convolutions", "conv, dilated kernel", "conv_general_dilated (dilated kernel)", _IMAGES, _KERNEL),
    _one("convolutions", "conv, dilated image", "conv_general_dilated (dilated input)", _IMAGES, _KERNEL),
    _one(
        "convolutions",
        "conv, everything",
        "conv_general_dilated (everything, groups)",
        _IMAGES,
        (16, 8, 3, 3),
    ),
    _one(
        "convolutions",
        "conv, depthwise",
        "conv_general_dilated (each channel alone)",
        (4, 32, 32, 3),
        (3, 3, 1, 6),
    ),
    _one("convolutions", "conv, groups", "conv_general_dilated (groups)", (16, 16, 512), (16, 8, 5)),
    _one(
        "convolutions",
        "conv, groups of the batch",
        "conv_general_dilated (groups of the batch)",
        (16, 16, 512),
        (16, 16, 5),
    ),
    _one(
        "convolutions",
        "conv, three axes",
        "conv_general_dilated (three axes)",
        (1, 4, 12, 12, 12),
        (4, 4, 3, 3, 3),
    ),
    _one("windows", "max pooling, overlapping", "reduce_window_max (images)", _POOLED),
    _one("windows", "min pooling", "reduce_window_min (images)", _POOLED),
    _one("windows", "sum pooling", "reduce_window_sum (side by side)", _POOLED),
    _one("slices", "dynamic_slice", "dynamic_slice", _SQUARE, (), ()),
    _one("slices", "dynamic_slice beyond the end", "dynamic_slice (far outside)", _SQUARE),
    _one("updates", "scatter_add", "scatter-add", _SQUARE, (512, 1024), (512, 1)),
    _one("updates", "dynamic_update_slice", "dynamic_update_slice", _SQUARE, (200, 300), (), ()),
    _one("shapes", "transpose", "transpose", (32, 128, 256)),
    _one("shapes", "lax.pad, between and off", "pad (negative, between the entries)", _SQUARE, ()),
    _one("shapes", "tile", "tile"),
    _one("shapes", "unstack", "unstack", (131072, 8)),
    _one("choices", "select among three", "select_n (three cases)"),
    _one("choices", "lax.clamp", "clamp"),
)

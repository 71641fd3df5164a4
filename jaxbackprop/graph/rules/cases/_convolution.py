"""Convolutions: every stride, padding, dilation, grouping and layout, alone and together."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxbackprop._specs import real

from ._row import Row


def _conv(say: str, x: tuple[int, ...], w: tuple[int, ...], **settings: Any) -> Row:
    given = {"window_strides": (1,) * (len(x) - 2), "padding": "VALID", **settings}

    def f(x: jax.Array, w: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(x, w, **given)

    return Row("conv_general_dilated", f, (real(x), real(w)), say=say)


def _wider_result(x: jax.Array, w: jax.Array) -> jax.Array:
    wide = jnp.float32 if x.dtype.itemsize == 2 else x.dtype
    return lax.conv_general_dilated(x, w, (1,), "SAME", preferred_element_type=wide)


ROWS: tuple[Row, ...] = (
    _conv("one axis", (2, 3, 7), (4, 3, 3)),
    _conv("images", (2, 5, 6, 3), (3, 3, 3, 4), padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")),
    _conv("no axis", (2, 3), (4, 3)),
    _conv("three axes", (1, 2, 3, 4, 3), (2, 2, 2, 3, 1), padding="SAME"),
    _conv("strides", (2, 3, 8, 7), (2, 3, 3, 2), window_strides=(2, 3)),
    _conv("strides that skip entries", (2, 1, 9), (2, 1, 2), window_strides=(4,)),
    _conv("padding", (2, 3, 5, 4), (2, 3, 3, 2), padding=((2, 0), (1, 3))),
    _conv("padding beyond the kernel", (1, 2, 3), (2, 2, 2), padding=((4, 5),)),
    _conv("negative padding", (2, 3, 7, 6), (2, 3, 2, 2), padding=((-1, 2), (-2, -1))),
    _conv("dilated input", (2, 3, 4, 3), (2, 3, 3, 2), padding=((1, 2), (0, 0)), lhs_dilation=(2, 3)),
    _conv("dilated kernel", (2, 3, 8, 7), (2, 3, 3, 2), padding=((1, 0), (0, 0)), rhs_dilation=(2, 3)),
    _conv("kernel as long as the input", (2, 3, 5), (4, 3, 5)),
    _conv("kernel of one", (2, 3, 5), (4, 3, 1), window_strides=(2,)),
    _conv("groups", (2, 6, 5), (4, 3, 3), feature_group_count=2),
    _conv(
        "each channel alone",
        (2, 5, 5, 3),
        (3, 3, 1, 6),
        feature_group_count=3,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    ),
    _conv("groups of the batch", (6, 2, 5), (4, 2, 3), batch_group_count=2),
    _conv(
        "layout",
        (5, 3, 2, 4),
        (2, 3, 3, 2),
        dimension_numbers=lax.ConvDimensionNumbers((2, 1, 3, 0), (3, 2, 0, 1), (1, 3, 0, 2)),
    ),
    _conv(
        "everything, groups",
        (2, 4, 5, 6),
        (6, 2, 3, 2),
        window_strides=(2, 3),
        padding=((2, -1), (-1, 4)),
        lhs_dilation=(3, 2),
        rhs_dilation=(2, 3),
        feature_group_count=2,
    ),
    _conv(
        "everything, groups of the batch",
        (5, 4, 2, 3),
        (3, 2, 3, 6),
        window_strides=(3, 2),
        padding=((-1, 3), (2, 1)),
        lhs_dilation=(2, 2),
        rhs_dilation=(2, 1),
        batch_group_count=2,
        dimension_numbers=("HNWC", "HWIO", "NHWC"),
        precision=("highest", "default"),
    ),
    _conv("no rows", (0, 3, 5), (2, 3, 3)),
    _conv("no outputs", (2, 3, 2), (2, 3, 3)),
    Row("conv_general_dilated", _wider_result, (real((2, 3, 5)), real((2, 3, 3))), say="wider result"),
)

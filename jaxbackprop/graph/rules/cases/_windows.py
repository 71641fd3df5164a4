"""Pooling: windows that lie apart, side by side, and over one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax

from jaxbackprop._specs import real

from ._row import Row

IMAGES = (2, 6, 7, 3)

# Ties within and between windows; what is equal to the padding.
TIES = np.array([[1.0, 3.0, 3.0, 1.0], [3.0, 3.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0], [2.0, 2.0, -1.0, -1.0]])
INFINITE = np.array([[-np.inf, -np.inf, np.inf, 1.0], [-np.inf, -np.inf, 0.0, np.inf]])
MORE_TIES = np.array([[1.0, 1.0, 2.0, 2.0], [0.0, 3.0, 3.0, 3.0], [0.0] * 4, [4.0, 4.0, 5.0, 4.0]])

SUM, MAX, MIN = (lax.add, 0.0), (lax.max, -np.inf), (lax.min, np.inf)


def _over(
    pool: tuple[Callable[..., Any], float], window: tuple[int, ...], *settings: Any, **named: Any
) -> Callable[..., Any]:
    combine, initial = pool

    def f(x: jax.Array) -> jax.Array:
        return lax.reduce_window(x, np.array(initial, x.dtype), combine, window, *settings, **named)

    return f


ROWS: tuple[Row, ...] = (
    *(
        Row("reduce_window_sum", _over(SUM, *settings), (real(shape),), say=say)
        for say, shape, settings in (
            ("side by side", IMAGES, ((1, 2, 2, 1), (1, 2, 2, 1))),
            ("side by side, padded", IMAGES, ((1, 2, 3, 1), (1, 2, 3, 1), "SAME")),
            ("overlapping", IMAGES, ((1, 3, 3, 1), (1, 2, 2, 1), "SAME")),
            ("apart", IMAGES, ((1, 1, 2, 1), (1, 2, 3, 1))),
            ("each step", IMAGES, ((1, 3, 2, 1), (1, 1, 1, 1), "SAME")),
            ("all", IMAGES, ((1, 6, 7, 1),)),
            ("negative padding", (6, 7), ((2, 3), (2, 1), ((-1, 2), (-2, -1)))),
            ("dilated", (5, 6), ((2, 3), (2, 1), ((1, 2), (0, 3)), (2, 3), (3, 2))),
            ("many taps", (12, 11), ((9, 8), (2, 2), "SAME")),
            ("of nothing", (0, 4), ((1, 2), (1, 2))),
        )
    ),
    *(
        Row(name, _over(pool, *settings), (real(shape),), tuple((x,) for x in special), say=say)
        for name, pool in (("reduce_window_max", MAX), ("reduce_window_min", MIN))
        for say, shape, settings, special in (
            ("side by side", (4, 4), ((2, 2), (2, 2)), (TIES, MORE_TIES)),
            ("overlapping", (4, 4), ((3, 2), (1, 1), "SAME"), (TIES, -TIES, MORE_TIES)),
            ("padded", (2, 4), ((2, 2), (1, 2), ((1, 1), (1, 1))), (INFINITE, -INFINITE)),
            ("images", IMAGES, ((1, 3, 3, 1), (1, 2, 2, 1), "SAME"), ()),
            ("apart", IMAGES, ((1, 1, 2, 1), (1, 2, 3, 1)), ()),
            ("dilated", (5, 6), ((2, 3), (2, 1), ((1, 2), (0, 3)), (2, 3)), ()),
            (
                "many taps",
                (12, 11),
                ((9, 8), (2, 2), "SAME"),
                (np.round(2 * np.sin(np.arange(132.0))).reshape(12, 11),),
            ),
            ("of nothing", (0, 4), ((1, 2), (1, 2)), ()),
        )
    ),
)

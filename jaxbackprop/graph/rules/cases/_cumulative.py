"""Cumulative reductions, in both directions."""

from __future__ import annotations

from functools import partial

import numpy as np
from jax import lax

from jaxbackprop._specs import real

from ._row import Row

A = real((3, 5))
CUBE = real((2, 6, 3))
LONG = real((37,), -1.5, 1.5)

# A zero at the beginning, inside, at the end, two of them.
ZEROS = np.array(
    [
        [0.0, 2.0, -1.0, 3.0, 0.5],
        [2.0, -1.0, 0.0, 3.0, 2.0],
        [1.0, 2.0, 3.0, 4.0, 0.0],
        [2.0, 0.0, 3.0, 0.0, 5.0],
    ]
)
# The same greatest (or least) two, three and more times, in pairs and across them.
TIES = np.array([[1.0, 1.0, 1.0, 1.0, 1.0], [3.0, 1.0, 3.0, 3.0, 2.0], [1.0, 2.0, 2.0, -1.0, -1.0]])
EQUALS = np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0, -1.0, -1.0, 1.0, 2.0, 2.0])

REDUCTIONS = {
    "cumsum": (lax.cumsum, ()),
    "cumprod": (lax.cumprod, (ZEROS,)),
    "cumlogsumexp": (lax.cumlogsumexp, (TIES,)),
    "cummax": (lax.cummax, (TIES, ZEROS)),
    "cummin": (lax.cummin, (TIES, ZEROS)),
}

ROWS: tuple[Row, ...] = tuple(
    row
    for name, (reduce, special) in REDUCTIONS.items()
    for row in (
        Row(name, partial(reduce, axis=1), (A,), tuple((x,) for x in special)),
        Row(name, partial(reduce, axis=1, reverse=True), (A,), tuple((x,) for x in special), say="reverse"),
        Row(name, partial(reduce, axis=0), (LONG,), ((EQUALS,),) if special else (), say="many"),
        Row(
            name,
            partial(reduce, axis=0, reverse=True),
            (LONG,),
            ((EQUALS,),) if special else (),
            say="many, reverse",
        ),
        Row(name, partial(reduce, axis=1), (CUBE,), say="the middle axis"),
        Row(name, partial(reduce, axis=0), (real((1, 4)),), say="of one"),
    )
)

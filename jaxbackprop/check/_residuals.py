"""What a pullback holds between the forward and the backward pass."""

from __future__ import annotations

import math
from typing import Any

import jax


def held_bytes(pullback: Any) -> int:
    """Bytes of the arrays that a pullback of `jax.vjp` holds, each array once.

    An argument that is kept counts like any other array: whether somebody else keeps it anyway is not for the
    rule to know. Shapes, dtypes and settings are no arrays and count nothing.

    Args:
        pullback: what `jax.vjp` returns beside the value; it may hold tracers.
    """
    held = {id(leaf): leaf for leaf in jax.tree.leaves(pullback) if hasattr(leaf, "dtype")}
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in held.values())

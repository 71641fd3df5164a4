"""The lecture's other initialiser; Xavier uniform and zeros are jax.nn.initializers' own."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer


def symmetric_uniform(r: float) -> Initializer:
    """Initialiser that draws from Uniform(-r, r).

    Args:
        r: half the width; finite and above 0.

    Raises:
        ValueError: where r is not finite or not above 0.

    Source: lecture, unit 3 "Weight Initialization".
    """
    if not (math.isfinite(r) and r > 0):
        raise ValueError(f"r must be finite and above 0, got {r}")

    def init(key, shape, dtype=jnp.float32, out_sharding=None):  # type: ignore[no-untyped-def]
        return jax.random.uniform(key, shape, dtype, -r, r, out_sharding=out_sharding)

    return init

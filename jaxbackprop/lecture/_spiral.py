"""Three classes in the plane, as arms of a spiral: what small networks are trained on."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

POINTS = 300


def spiral() -> tuple[jax.Array, jax.Array]:
    """The points, (300, 2) of unit variance, and their classes, (300,)."""
    rng = np.random.default_rng(0)
    labels = np.arange(POINTS) % 3
    radius = np.sqrt(rng.uniform(0.02, 1, POINTS))
    angle = 2 * np.pi * (labels / 3 + 0.8 * radius)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return jnp.asarray(points / points.std(axis=0), jnp.float32), jnp.asarray(labels)

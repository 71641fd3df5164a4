"""Float64 on the CPU, where a gradient's truth is computed, and what floating-point leaves are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Arrays = tuple[np.ndarray, ...]


@contextlib.contextmanager
def float64_on_cpu() -> Iterator[None]:
    """Float64, exact products and ordinary promotion on the CPU backend, whatever the caller has set.

    The settings are scoped to the block and to the thread; the caller's come back with its end.
    """
    with (
        jax.enable_x64(True),
        jax.default_device(jax.local_devices(backend="cpu")[0]),
        jax.default_matmul_precision("highest"),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        yield


def is_float(leaf: Any) -> bool:
    """Whether a leaf is a floating-point array or NumPy scalar (Python floats are static settings)."""
    return isinstance(leaf, jax.Array | np.ndarray | np.generic) and jnp.issubdtype(leaf.dtype, jnp.floating)


def to_numpy64(leaf: Any) -> np.ndarray:
    """A floating-point leaf as a float64 NumPy array, exactly (float64 holds every smaller format)."""
    return np.asarray(leaf).astype(np.float64, copy=False)

"""A parameter that a layer may do without."""

from __future__ import annotations

from flax import nnx
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike


def optional_param(
    wanted: bool, init: Initializer, rngs: nnx.Rngs, shape: tuple[int, ...], dtype: DTypeLike
) -> nnx.Param | None:
    """A parameter drawn with the next `params` key; where it is not wanted None, and no key is taken."""
    return nnx.Param(init(rngs.params(), shape, dtype)) if wanted else nnx.data(None)

"""Activations that hold something: a parameter, or the choice of what is kept for the backward pass."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxbackprop import ops
from jaxbackprop._shapes import as_choice


class PReLU(nnx.Module):
    """Parametric relu with one slope for all entries, as `flax.nnx.PReLU`, whose gradients are hand-derived.

    At 0 both gradients are the left piece's, as `ops.prelu` says; flax's are the right piece's.

    Attributes:
        negative_slope: a scalar.
    """

    def __init__(
        self,
        negative_slope_init: float = 0.01,
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        """Sets the slope.

        Args:
            negative_slope_init: its first value.
            dtype: of the computation; None takes the inputs'.
            param_dtype: of the slope.
        """
        self.negative_slope = nnx.Param(jnp.asarray(negative_slope_init, param_dtype))
        self.dtype = dtype
        self.param_dtype = param_dtype

    def __call__(self, inputs: Float[Array, "..."]) -> Float[Array, "..."]:
        """Scales what is not above 0."""
        dtype = inputs.dtype if self.dtype is None else self.dtype
        inputs, slope = promote_dtype((inputs, self.negative_slope[...]), dtype=dtype)
        return ops.prelu(inputs, slope)


class Sigmoid(nnx.Module):
    """`ops.sigmoid` as a module, for `nnx.Sequential`; flax has the function alone."""

    def __init__(self, *, keep: Literal["x", "y"] = "x"):
        """Chooses what the backward pass keeps: "x" is accurate, "y" lean."""
        self.keep = as_choice("keep", keep, "x", "y")

    def __call__(self, inputs: Float[Array, "..."]) -> Float[Array, "..."]:
        """Squashes every entry between 0 and 1."""
        return ops.sigmoid(inputs, keep=self.keep)


class Tanh(nnx.Module):
    """`ops.tanh` as a module, for `nnx.Sequential`; flax has the function alone."""

    def __init__(self, *, keep: Literal["x", "y"] = "x"):
        """Chooses what the backward pass keeps: "x" is accurate, "y" lean."""
        self.keep = as_choice("keep", keep, "x", "y")

    def __call__(self, inputs: Float[Array, "..."]) -> Float[Array, "..."]:
        """Squashes every entry between -1 and 1."""
        return ops.tanh(inputs, keep=self.keep)
